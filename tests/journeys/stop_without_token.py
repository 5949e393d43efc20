"""From a STOP that got no token to the proof that the person is out: the journey of an officer, in a real browser.

Everything is real but Marketing Cloud, which is the simulator that the portal started beside itself.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from django.utils import timezone

from portal.second_factor import codes
from portal.synthetic_people import Person, people
from tests.browser.conftest import Visitor
from tests.journeys.running_portal import RunningPortal
from tests.processes import wait_for

# Who signs in first sets up a second factor, and the main job does so as the officer; this one holds every role.
USERNAME = "admin"
CONNECTED = re.compile(r"simulated Marketing Cloud:  (\S+)")


@dataclass
class Journey:
    """The steps. `visitor` is at a browser; `cloud` steers the simulator."""

    portal: RunningPortal
    cloud: httpx2.Client
    visitor: Visitor
    folder: Path

    def run(self) -> None:
        """All of it. Raises AssertionError at the first thing that is not as it must be."""
        somebody, another = people(2)
        token, other = self.token_of(somebody), self.token_of(another)
        assert (self.resolved(token), self.resolved(other)) == (1, 1)
        self.import_extract(self.text_without_a_token(somebody))
        self.unsubscribe(somebody)
        assert self.resolved(token) == 0
        self.read_the_receipt(somebody)
        # The other way round Marketing Cloud tells the portal, and nobody has to be told anything.
        self.steer("unsubscribe", to=other)
        wait_for(lambda: self.resolved(other) == 0, seconds=120)

    def text_without_a_token(self, person: Person) -> Path:
        """They text STOP while Get Token can't be reached; the extract of the queue that it drops into."""
        self.steer("faults", kind="reset", path="tokens/get", times=5)
        self.steer("text", mobile=person.mobile, text="STOP")
        self.reached(lambda state: [one["state"] for one in state["texts"]] == ["no token"])
        extract = self.folder / "queue.csv"
        extract.write_bytes(self.cloud.get("/no-token-queue.csv").content)
        return extract

    def sign_in(self) -> None:
        """For the first time: password, then a second factor of one's own."""
        page = self.visitor.page
        self.visitor.open("/admin/login/")
        page.get_by_label("User name").fill(USERNAME)
        page.get_by_label("Password").fill(self.portal.sample_access()["password"])
        self.visitor.press("Sign in")
        key = page.inner_text("#key").replace(" ", "")
        page.get_by_label("Code that the app shows").fill(codes.code_at(key, int(time.time()) // 30))
        self.visitor.press("Finish")

    def import_extract(self, extract: Path) -> None:
        """The officer imports what Marketing Cloud exported, and the keyword blocks."""
        self.sign_in()
        page = self.visitor.page
        self.visitor.open("/admin/no-token-queue/new/")
        page.get_by_label("Extract", exact=True).set_input_files(extract)
        page.get_by_label("When Marketing Cloud wrote it").fill(f"{timezone.now():%Y-%m-%dT%H:%M}")
        self.visitor.press("Read the file")
        self.visitor.press("Take the lines over")
        assert "1 new, 0 known, 1 blocked by a keyword." in page.inner_text("[role=status]")

    def unsubscribe(self, person: Person) -> None:
        """STOP means all of it to this officer: the mail ends too."""
        page = self.visitor.page
        self.visitor.open("/admin/unsubscribes/new/")
        page.get_by_label("E-mail address, mobile number or token", exact=True).fill(person.email)
        page.get_by_label("Law").select_option("can-spam")
        page.get_by_role("textbox", name="Evidence").fill("STOP of the No Token Queue.")
        self.visitor.press("Record the opt-out")
        assert "Resolve has refused this person's e-mail" in page.inner_text(".verdict")

    def read_the_receipt(self, person: Person) -> None:
        """The worker tells Marketing Cloud, reads it back, and closes with that proof; the receipt says so."""
        self.reached(lambda state: state["subscribers"][person.subscriber_key]["unsubscribed"])
        page = self.visitor.page
        page.get_by_role("link", name="Receipt").click()
        page.get_by_role("heading", name="Receipt of an opt-out").wait_for()

        def is_closed() -> bool:
            page.reload()
            return "Carried out and closed" in page.inner_text("main")

        wait_for(is_closed, seconds=120)
        assert "read back" in page.inner_text("main")
        assert person.email not in page.content()
        assert page.pdf().startswith(b"%PDF")

    # -- Marketing Cloud -----------------------------------------------------------------------------------------
    def steer(self, what: str, **said: Any) -> None:
        """One call that steers the simulator."""
        self.cloud.post(f"/{what}", json=said).raise_for_status()

    def reached(self, condition: Callable[[dict[str, Any]], object]) -> None:
        """Returns once the account is so."""
        wait_for(lambda: condition(self.cloud.get("/state").json()), seconds=120)

    def token_of(self, person: Person) -> str:
        """What Marketing Cloud has in the place of their address."""
        found: str = self.cloud.get("/state").json()["subscribers"][person.subscriber_key]["email"]
        return found

    def resolved(self, token: str) -> int:
        """How many values Resolve gives for a token."""
        access = self.portal.sample_access()
        answer = httpx2.post(
            f"{self.portal.address}/api/v1/tokens/resolve",
            json={"tokens": [{"tokenRequestId": "r-1", "token": token}]},
            auth=(access["client_id"], access["client_secret"]),
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code == 200
        return len(answer.json()["resolvedTokens"])


@contextmanager
def steering(portal: RunningPortal) -> Iterator[httpx2.Client]:
    """What steers the simulator of a portal, which asks for tokens five times without a pause from now on."""
    log = portal.state.with_name(portal.state.name + ".log")
    wait_for(lambda: CONNECTED.search(log.read_text()), seconds=120)
    found, access = CONNECTED.search(log.read_text()), portal.sample_access()
    assert found is not None
    server = {
        "url": portal.address,
        "client_id": access["client_id"],
        "client_secret": access["client_secret"],
    }
    with httpx2.Client(base_url=f"{found[1]}/simulator", trust_env=False, timeout=60) as http:
        http.post("/token-server", json=server | {"ladder": [0, 0, 0, 0]}).raise_for_status()
        yield http
