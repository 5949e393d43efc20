"""The simulator's server: finds the handler of a call and works it off, with the faults that were planned for it.

Python's own server is enough: a few calls at a time, from this machine. It gives what WSGI servers keep to
themselves, the socket, which a fault must be able to reset.
"""

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from portal.simulator import auth, contacts, control, data_extensions, messaging, notifications, soap
from portal.simulator.faults import Fault, Faults, Planned
from portal.simulator.messages import Refused, Reply, Request
from portal.simulator.world import World

Handler = Callable[[World, Request], Reply]
# A host of the tenant, as it stands in front of a path here.
_HOST: Final = re.compile(
    r"/https:/{1,2}(?P<tenant>[a-z0-9-]+)\.(?:auth|rest|soap)\.marketingcloudapis\.com/+", re.IGNORECASE
)
_NO_ANSWER: Final = struct.pack("ii", 1, 0)  # SO_LINGER of nought: closing resets
_WSDL: Final = Path(__file__).with_name("partner_api.wsdl")


def _wsdl(world: World, request: Request) -> Reply:
    return Reply(200, _WSDL.read_bytes(), "text/xml; charset=utf-8")


# Paths in lower case, since some clients write them so; what is between braces is taken as it was written.
_ROUTES: Final[list[tuple[str, str, Handler]]] = [
    ("GET", "/v2/authorize", auth.authorize),
    ("POST", "/v2/token", auth.token),
    ("GET", "/v2/userinfo", auth.userinfo),
    ("POST", "/services/oauth2/token", auth.core_token),
    ("GET", "/data/v1/customobjectdata/key/{key}/rowset", data_extensions.read),
    ("GET", "/data/v1/customobjectdata/token/{token}/rowset", data_extensions.read_on),
    ("POST", "/hub/v1/dataevents/key:{key}/rowset", data_extensions.upsert),
    ("PUT", "/data/v1/async/dataextensions/key:{key}/rows", data_extensions.upsert_later),
    ("GET", "/data/v1/async/{id}/status", data_extensions.status),
    ("GET", "/data/v1/async/{id}/results", data_extensions.results),
    ("POST", "/contacts/v1/contacts/actions/delete", contacts.delete),
    ("GET", "/contacts/v1/contacts/actions/delete/status", contacts.delete_status),
    ("POST", "/sms/v1/contacts/subscriptions", contacts.subscriptions),
    ("POST", "/platform/v1/ens-callbacks", notifications.create_callbacks),
    ("GET", "/platform/v1/ens-callbacks", notifications.list_callbacks),
    ("DELETE", "/platform/v1/ens-callbacks/{id}", notifications.delete_callback),
    ("POST", "/platform/v1/ens-verify", notifications.verify),
    ("POST", "/platform/v1/ens-subscriptions", notifications.create_subscriptions),
    ("GET", "/platform/v1/ens-subscriptions-by-cb/{id}", notifications.list_subscriptions),
    ("POST", "/service.asmx", soap.call),
    ("GET", "/etframework.wsdl", _wsdl),
    ("POST", "/simulator/seed", control.seed),
    ("GET", "/simulator/state", control.look),
    ("POST", "/simulator/sms-import", control.import_sms),
    ("POST", "/simulator/expire-tokens", control.expire_tokens),
    ("POST", "/simulator/unsubscribe", control.send_events),
    ("POST", "/simulator/token-server", messaging.connect),
    ("POST", "/simulator/text", messaging.text),
    ("GET", "/simulator/no-token-queue.csv", messaging.extract),
    ("POST", "/simulator/send", messaging.send),
]


def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", route)
    exact, names = map(re.escape, parts[::2]), [f"(?P<{name}>[^/]+)" for name in parts[1::2]]
    return re.compile("".join(map("".join, zip_longest(exact, names, fillvalue=""))), re.IGNORECASE)


ROUTES: Final = [(method, _pattern(path), handler) for method, path, handler in _ROUTES]


class Simulator(ThreadingHTTPServer):
    """One account of Marketing Cloud on a port of this machine, or on a socket that listens already.

    `afterwards` is called when something may have changed, so that somebody can keep what must last.
    """

    daemon_threads = True

    def __init__(
        self, port: int = 0, world: World | None = None, listener: socket.socket | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler, bind_and_activate=listener is None)
        if listener is not None:
            self.socket.close()
            self.socket, self.server_address = listener, listener.getsockname()
        self.world = world or World()
        self.afterwards: Callable[[World], object] = lambda world: None
        self._following_up = threading.Condition()
        self._open = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def faults(self) -> Faults:
        """Those that are planned."""
        return self.world.faults

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hosts(self) -> str:
        """Where the hosts of the tenant are, as `hosts_at` says."""
        return hosts_at(self.origin)

    def answer(self, request: Request, tenant: str | None, planned: list[Planned]) -> Reply:
        """What a call is answered, faults included, except those of the connection."""
        of_kind = {fault.kind: fault for fault in planned}
        if late := of_kind.get(Fault.LATENCY):
            time.sleep(late.seconds)
        if refused := of_kind.get(Fault.STATUS):
            return _refused(request, refused)
        if tenant is not None and tenant != self.world.subdomain:
            return Refused(404, 10005, "Not found.").reply()
        try:
            handler, keys = _found(request)
            asked = Request(
                request.method, request.path, request.query, request.headers, request.body, self.origin, keys
            )
            with self.world.lock:
                if Fault.HALF in of_kind and handler is data_extensions.upsert:
                    return data_extensions.upsert(self.world, asked, of_kind[Fault.HALF].rows)
                return handler(self.world, asked)
        except Refused as error:
            return error.reply()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # A body of another shape than the contract has.
            return Refused(
                400, 10001, f"The request is not understood: {type(error).__name__} {error}"
            ).reply()

    def due(self) -> list[Callable[[], object]]:
        """What has to happen once a call is answered: handshakes and events go out."""
        with self.world.lock, self._following_up:
            due, self.world.after = self.world.after, []
            self._open += len(due)
        return due

    def follow_up(self, due: list[Callable[[], object]]) -> None:
        """Do it, in threads of its own."""

        def work(one: Callable[[], object]) -> None:
            try:
                one()
                self.afterwards(self.world)
            finally:
                with self._following_up:
                    self._open -= 1
                    self._following_up.notify_all()

        for one in due:
            threading.Thread(target=work, args=(one,), daemon=True).start()

    def wait_until_followed_up(self, timeout: float = 60) -> bool:
        """Whether every handshake and event that was due has been answered; for tests."""
        with self._following_up:
            return self._following_up.wait_for(lambda: self._open == 0, timeout)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


def hosts_at(origin: str) -> str:
    """Where the hosts of the tenant of a simulator at `origin` are: a template with {subdomain} and {api}."""
    return origin + "/https://{subdomain}.{api}.marketingcloudapis.com"


def _found(request: Request) -> tuple[Handler, dict[str, str]]:
    allowed = set()
    for method, pattern, handler in ROUTES:
        if match := pattern.fullmatch(request.path):
            if method == request.method:
                return handler, {name: unquote(value) for name, value in match.groupdict().items()}
            allowed.add(method)
    raise Refused(405 if allowed else 404, 10005, "The method is not allowed." if allowed else "Not found.")


def _refused(request: Request, fault: Planned) -> Reply:
    if request.path.casefold().endswith("service.asmx"):
        text = "Token Expired" if fault.status == 401 else "The service is throttled: try again later."
        return soap.faulted("soap:Server", text)
    headers = {} if fault.retry_after is None else {"Retry_After": str(fault.retry_after)}
    codes = {429: 50100 if fault.retry_after is not None else 50200, 403: 20000}
    return Refused(fault.status, codes.get(fault.status, 0), "A planned fault.", **headers).reply()


def _is_of_a_web_page(headers: dict[str, str]) -> bool:
    """Whether a page of some website asks, by way of the browser on this machine or of a name that leads here."""
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    return "origin" in headers or host not in (None, "127.0.0.1", "localhost")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Simulator

    def _work(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = _HOST.match(self.path)
        where = urlsplit(self.path[host.end() - 1 :] if host else self.path)
        # As clients join addresses with and without "/", "//" is "/".
        path = re.sub("/{2,}", "/", where.path)
        query = {name.lower(): value for name, value in parse_qsl(where.query, keep_blank_values=True)}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, body, self.server.origin)
        if path.startswith("/simulator/") and _is_of_a_web_page(headers):
            self._say(Refused(403, 20000, "Web pages do not steer the simulator: use curl.").reply())
            return
        if path == "/simulator/faults":
            self._say(self._faults(request))
            return
        planned = self.server.faults.take(path)
        kinds = {fault.kind for fault in planned}
        if Fault.RESET in kinds:
            self._reset()
            return
        reply = self.server.answer(request, host and host["tenant"].lower(), planned)
        self.server.world.journal.append({"method": self.command, "path": path, "status": reply.status})
        self.server.afterwards(self.server.world)
        due = self.server.due()
        if Fault.RESET_AFTER in kinds:
            self._reset()
        else:
            self._say(reply)
        self.server.follow_up(due)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _work  # noqa: N815 - names of the base class

    def _faults(self, request: Request) -> Reply:
        try:
            if request.method == "DELETE":
                self.server.faults.clear()
                return Reply(200, b"{}")
            return control.plan_fault(self.server.faults, request)
        except Refused as error:
            return error.reply()

    def _say(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_ANSWER)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Nothing: paths hold tokens, and stdout is for the one line that says where it is."""


@contextmanager
def running(port: int = 0, world: World | None = None) -> Iterator[Simulator]:
    """A simulator in threads of this process, for as long as the block lasts."""
    with Simulator(port, world) as simulator:
        thread = threading.Thread(target=simulator.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield simulator
        finally:
            simulator.shutdown()
            thread.join()


def ready_line(simulator: Simulator, package_id: str, secret: str) -> str:
    """The one line that `simulate_marketing_cloud` prints: where it is, and with what to connect."""
    said = {
        "port": simulator.port,
        "hosts": simulator.hosts,
        "subdomain": simulator.world.subdomain,
        "business_units": list(simulator.world.units),
        "client_id": package_id,
        "client_secret": secret,
        "wsdl": f"{simulator.origin}/etframework.wsdl",
    }
    return json.dumps(said)
