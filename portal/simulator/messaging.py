"""What Marketing Cloud asks of a token server: Get Token for each text that comes in, Resolve for each send.

A text that gets no token in five tries drops into the No Token Queue, whose extract is a file. Clear values of a send
are forgotten as soon as they are counted, as Marketing Cloud does.
"""

import csv
import io
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle, islice
from typing import Any, Final

import httpx2

from portal.simulator.faults import Fault, Faults
from portal.simulator.messages import Refused, Reply, Request, as_json
from portal.simulator.world import SmsSubscription, World

# The waits between the five tries, in seconds: Salesforce's example. A test makes them shorter.
LADDER: Final = (5.0, 30.0, 60.0, 120.0)
GET_TOKEN: Final = "/api/v1/tokens/get"  # noqa: S105
RESOLVE: Final = "/api/v1/tokens/resolve"
MOST_CONNECTIONS: Final = 50
LARGEST_BATCH: Final = 500
MOST_BATCHES: Final = 2000
STOP_WORDS: Final = frozenset(("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"))
ANSWER_WITHIN: Final = 60.0
# The columns of the real extract are not public.
EXTRACT: Final = ("MessageID", "MobileNumber", "ShortCode", "Keyword", "MessageText", "ReceivedDate", "Tries")


@dataclass(slots=True)
class TokenServer:
    """Where the customer's token server is, and with what to call it."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    auth: str = "basic"  # basic or oauth
    ladder: tuple[float, ...] = LADDER
    _bearer: str = field(default="", repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(
        self, http: httpx2.Client, path: str, body: dict[str, Any], faults: Faults
    ) -> tuple[int, dict[str, Any]]:
        """One call, with the faults that are planned for its path: its status (0: no answer) and its JSON."""
        planned = {fault.kind: fault for fault in faults.take(path)}
        if late := planned.get(Fault.LATENCY):
            time.sleep(late.seconds)
        if refused := planned.get(Fault.STATUS):
            return refused.status, {}
        if Fault.RESET in planned:
            return 0, {}
        try:
            answer = http.post(f"{self.url}{path}", json=body, **self._proof(http))
            said = answer.json() if answer.status_code == 200 else {}
        except (httpx2.HTTPError, ValueError):
            return 0, {}
        return (0, {}) if Fault.RESET_AFTER in planned else (answer.status_code, said)

    def _proof(self, http: httpx2.Client) -> dict[str, Any]:
        if self.auth == "basic":
            return {"auth": (self.client_id, self.client_secret)}
        with self._lock:
            if not self._bearer:
                form = {"grant_type": "client_credentials", "client_id": self.client_id}
                form["client_secret"] = self.client_secret
                self._bearer = http.post(f"{self.url}/oauth2/token", data=form).json().get("access_token", "")
            return {"headers": {"Authorization": f"Bearer {self._bearer}"}}


@dataclass(slots=True)
class Text:
    """A message that somebody wrote to a short code."""

    id: str
    mobile: str
    text: str
    short_code: str
    received_at: float
    tries: list[int] = field(default_factory=list)  # the status of each
    token: str = ""
    key: str = ""

    @property
    def state(self) -> str:
        if self.token:
            return "done"
        return "no token" if len(self.tries) > len(LADDER) else "waiting"


@dataclass(slots=True)
class Send:
    """A send and what came of it: numbers, and the tokens that were not resolved with their reason."""

    id: str
    asked: int
    resolved: int = 0
    unresolved: dict[str, str] = field(default_factory=dict)
    failed: int = 0  # items of batches that were never answered
    seconds: float = 0
    state: str = "sending"


def connect(world: World, request: Request) -> Reply:
    """`POST /simulator/token-server`: {"url", "client_id", "client_secret", "auth", "ladder"}"""
    said = request.json()
    try:
        ladder = tuple(float(wait) for wait in said.pop("ladder", LADDER))
        if len(ladder) != len(LADDER):
            raise ValueError(f"ladder: give {len(LADDER)} waits")
        world.token_server = TokenServer(**{**said, "url": said["url"].rstrip("/"), "ladder": ladder})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refused(400, 10001, f"The token server is not understood: {error}") from None
    return as_json({})


def text(world: World, request: Request) -> Reply:
    """`POST /simulator/text`: {"mobile", "text", "shortCode"}: somebody writes to a short code."""
    said, server = request.json(), _server(world)
    made = Text(
        id=secrets.token_hex(8),
        mobile=str(said["mobile"]),
        text=str(said.get("text", "STOP")),
        short_code=str(said.get("shortCode", "46356")),
        received_at=time.time(),
    )
    world.texts.append(made)
    world.after.append(partial(find_token, world, server, made))
    return as_json({"id": made.id})


def find_token(world: World, server: TokenServer, one: Text) -> None:
    """Ask for the token of who wrote until there is one, five times in all; STOP ends their subscription."""
    wanted = {
        "tokenRequestId": one.id,
        "tokenValue": one.mobile,
        "tokenType": "MobileNumber",
        "privateCode": one.short_code,
    }
    with httpx2.Client(timeout=ANSWER_WITHIN, trust_env=False) as http:
        for wait in (0.0, *server.ladder):
            time.sleep(wait)
            status, answer = server.ask(http, GET_TOKEN, {"tokenValues": [wanted]}, world.faults)
            found = next(
                (item for item in answer.get("tokens", []) if item["tokenRequestId"] == one.id), None
            )
            with world.lock:
                one.tries.append(status)
                if found is not None:
                    one.token, one.key = found["token"], found["subscriberKey"]
                    _work_off(world, one)
                    return


def extract(world: World, request: Request) -> Reply:
    """`GET /simulator/no-token-queue.csv`: the extract of the No Token Queue, with clear numbers as the real one."""
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow(EXTRACT)
    for one in world.texts:
        if one.state == "no token":
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.received_at))
            keyword = one.text.split()[0].upper() if one.text.split() else ""
            rows.writerow([one.id, one.mobile, one.short_code, keyword, one.text, moment, len(one.tries)])
    return Reply(200, file.getvalue().encode(), "text/csv; charset=utf-8")


def send(world: World, request: Request) -> Reply:
    """`POST /simulator/send`: {"tokens": […]}: each is resolved, 500 a call over 50 connections.

    {"batches": n} instead of tokens sends to the account's own subscribers, again and again, until n calls are full.
    """
    said, server = request.json(), _server(world)
    size = min(int(said.get("batch", LARGEST_BATCH)), LARGEST_BATCH)
    if "batches" in said:
        tokens = _of_subscribers(world, min(int(said["batches"]), MOST_BATCHES) * size)
    else:
        tokens = [str(token) for token in said["tokens"]]
    made = Send(id=secrets.token_hex(8), asked=len(tokens))
    world.sends[made.id] = made
    batches = [tokens[first : first + size] for first in range(0, len(tokens), size)]
    world.after.append(partial(resolve_all, world, server, made, batches))
    return as_json({"id": made.id})


def resolve_all(world: World, server: TokenServer, made: Send, batches: Sequence[Sequence[str]]) -> None:
    """Resolve every batch; one that fails as a whole is asked again, five times in all."""
    began = time.monotonic()
    limits = httpx2.Limits(max_connections=MOST_CONNECTIONS)
    with (
        httpx2.Client(timeout=ANSWER_WITHIN, trust_env=False, limits=limits) as http,
        ThreadPoolExecutor(MOST_CONNECTIONS) as pool,
    ):
        for _ in pool.map(partial(_resolve, world, server, made, http), batches):
            pass
    with world.lock:
        made.state, made.seconds = "sent", time.monotonic() - began


def shown(world: World) -> dict[str, Any]:
    """Texts and sends for `/simulator/state`, without clear numbers."""
    return {
        "texts": [
            {"id": one.id, "state": one.state, "tries": one.tries, "token": one.token} for one in world.texts
        ],
        "sends": [asdict(one) for one in world.sends.values()],
    }


def _resolve(
    world: World, server: TokenServer, made: Send, http: httpx2.Client, batch: Sequence[str]
) -> None:
    ids = {secrets.token_hex(8): token for token in batch}
    items = [{"tokenRequestId": number, "token": token} for number, token in ids.items()]
    for wait in (0.0, *server.ladder):
        time.sleep(wait)
        asked = {"sendKey": made.id, "tokens": items}
        status, answer = server.ask(http, RESOLVE, asked, world.faults)
        if status == 200:
            break
    with world.lock:
        if status != 200:
            made.failed += len(batch)
            return
        made.resolved += len(answer["resolvedTokens"])
        made.unresolved |= {ids[one["tokenRequestId"]]: one["message"] for one in answer["unresolvedTokens"]}


def _work_off(world: World, one: Text) -> None:
    if one.text.strip().upper() not in STOP_WORDS:
        return
    held = [entry for entry in world.sms if entry.mobile == one.token and entry.short_code == one.short_code]
    for entry in held:
        entry.opted_in = False
    if not held:
        world.sms.append(SmsSubscription(one.token, one.key, short_code=one.short_code, opted_in=False))


def _of_subscribers(world: World, number: int) -> list[str]:
    emails = [one.email for one in world.subscribers.values() if one.email]
    if not emails:
        raise Refused(400, 10001, "The account has no subscribers: POST /simulator/seed, or name the tokens.")
    return list(islice(cycle(emails), number))


def _server(world: World) -> TokenServer:
    if not isinstance(world.token_server, TokenServer):
        raise Refused(400, 10001, "Say first where the token server is: POST /simulator/token-server.")
    return world.token_server
