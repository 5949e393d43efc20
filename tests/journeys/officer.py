"""The compliance officer in the browser's place: an HTTP session that signs in and finds a person."""

import base64
import hashlib
import hmac
import re
import struct
import time
from types import TracebackType

import httpx2

TOKEN_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
KEY = re.compile(r'<output[^>]*id="key"[^>]*>([A-Z2-7 ]+)</output>')
ENTRY_LINK = re.compile(r'href="/admin/log/([0-9a-f-]{36})/"')


class Officer:
    """A signed-in officer."""

    def __init__(self, address: str, username: str, password: str) -> None:
        self.client = httpx2.Client(base_url=address, follow_redirects=True, timeout=60)
        page = self.submit("/admin/login/", {"username": username, "password": password})
        assert "/login/" not in str(page.url), "the officer could not sign in"
        self._set_up_second_factor(page)

    def __enter__(self) -> "Officer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def _set_up_second_factor(self, page: httpx2.Response) -> None:
        """The first sign-in leads there: the key of the page goes into an app, which answers with a code."""
        key = KEY.search(page.text)
        assert key is not None, "the officer was not led to set up a second factor"
        form = TOKEN_FIELD.search(page.text)
        assert form is not None
        fields = {
            "csrfmiddlewaretoken": form[1],
            "code": totp(key[1].replace(" ", "")),
            "next": "/admin/people/",
        }
        codes = self.client.post(str(page.url), data=fields, headers={"Referer": str(page.url)})
        assert "Store these recovery codes" in codes.text, "the code of the app was not accepted"

    def submit(self, path: str, fields: dict[str, str]) -> httpx2.Response:
        """Open the form at `path`, fill it in and send it."""
        form = self.client.get(path)
        assert form.status_code == 200, f"{path} answered {form.status_code}"
        token = TOKEN_FIELD.search(form.text)
        assert token is not None, f"{path} has no form"
        headers = {"Referer": str(form.url)}
        return self.client.post(path, data=fields | {"csrfmiddlewaretoken": token[1]}, headers=headers)

    def find(self, value: str) -> httpx2.Response:
        """The page of the person with this exact value."""
        page = self.submit("/admin/people/", {"what": value})
        assert page.status_code == 200
        assert re.search(r"/admin/people/\d+/$", str(page.url)), "the search did not lead to one person"
        return page

    def read_entry(self, entry: str) -> httpx2.Response:
        """A log entry."""
        page = self.client.get(f"/admin/log/{entry}/")
        assert page.status_code == 200
        return page


def totp(key: str) -> str:
    """The code of this half minute (RFC 6238), as an app makes it."""
    counter = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.new(base64.b32decode(key), counter, hashlib.sha1).digest()
    at = digest[-1] & 0x0F
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"
