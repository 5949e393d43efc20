"""What the simulator does of the contract that client libraries do not ask for, and the faults it makes on demand."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from portal.simulator import Simulator, notifications
from portal.simulator.auth import challenge_of
from portal.simulator.world import CHILD, EID, Package

ROOT = Path(__file__).parents[3]
ROWS = "/hub/v1/dataevents/key:People/rowset"


@pytest.fixture
def http(simulator: Simulator) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=simulator.origin, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def signed_in(http: httpx2.Client, package: Package) -> httpx2.Client:
    http.headers["Authorization"] = f"Bearer {token_of(http, package)['access_token']}"
    return http


def token_of(http: httpx2.Client, package: Package, **more: str) -> dict[str, Any]:
    said = {"grant_type": "client_credentials", "client_id": package.client_id, **more}
    answer = http.post("/v2/token", json={"client_secret": package.client_secret, **said})
    found: dict[str, Any] = answer.json()
    return found


def test_a_token_is_for_the_business_unit_and_the_scopes_that_were_asked_for(
    http: httpx2.Client, package: Package
) -> None:
    found = token_of(http, package, account_id=CHILD, scope="sms_read")
    assert (found["scope"], found["expires_in"]) == ("sms_read", 1079)
    assert found["rest_instance_url"].endswith(".rest.marketingcloudapis.com/")
    who = http.get("/v2/userinfo", headers={"Authorization": f"Bearer {found['access_token']}"}).json()
    assert (who["organization"]["member_id"], who["organization"]["enterprise_id"]) == (int(CHILD), int(EID))
    assert token_of(http, package, account_id="999")["error"] == "invalid_request"
    assert token_of(http, package, scope="users_write")["error"] == "invalid_scope"


def test_a_code_needs_its_verifier_and_is_good_once_as_is_each_refresh_token(
    simulator: Simulator, http: httpx2.Client
) -> None:
    here = "https://portal.example/callback"
    app = simulator.world.add_package(kind="public", redirect_uris=(here,))
    verifier = "v" * 43
    asked = {
        "response_type": "code", "client_id": app.client_id, "redirect_uri": here, "scope": "offline sms_read",
        "state": "s1", "code_challenge": challenge_of(verifier), "code_challenge_method": "S256",
    }  # fmt: skip

    def code() -> str:
        sent_to = urlsplit(http.get("/v2/authorize", params=asked).headers["Location"])
        answer = parse_qs(sent_to.query)
        assert (answer["state"], answer["tssd"]) == (["s1"], [simulator.world.subdomain])
        return answer["code"][0]

    def exchange(**said: str) -> httpx2.Response:
        return http.post("/v2/token", json={"client_id": app.client_id, **said})

    first = code()
    grant = {"grant_type": "authorization_code", "code": first, "redirect_uri": here}
    assert exchange(**grant, code_verifier="w" * 43).json()["error"] == "invalid_grant"
    assert exchange(**grant, code_verifier=verifier).json()["error"] == "invalid_grant"  # it was used up
    issued = exchange(**{**grant, "code": code()}, code_verifier=verifier).json()
    again = {"grant_type": "refresh_token", "refresh_token": issued["refresh_token"]}
    assert exchange(**again).json()["scope"] == "offline sms_read"
    assert exchange(**again).status_code == 400


def test_rows_before_the_first_bad_one_are_stored_and_an_empty_page_has_no_items(
    signed_in: httpx2.Client,
) -> None:
    page = "/data/v1/customobjectdata/key/people/rowset"  # as clients write it that lower-case their paths
    assert "items" not in signed_in.get(page).json()
    rows = [{"keys": {"Id": "1"}, "values": {"City": "Bonn"}}, {"keys": {"Id": "2"}, "values": {"Town": ""}}]
    assert signed_in.post(ROWS, json=[*rows, {"keys": {"Id": "3"}, "values": {}}]).status_code == 400
    assert [row["keys"]["id"] for row in signed_in.get(page).json()["items"]] == ["1"]
    # What is left out keeps its value, and "" clears it.
    signed_in.post(ROWS, json=[{"keys": {"Id": "1"}, "values": {}}])
    assert signed_in.get(page).json()["items"][0]["values"] == {"city": "Bonn"}
    signed_in.post(ROWS, json=[{"keys": {"Id": "1"}, "values": {"City": ""}}])
    assert signed_in.get(page).json()["items"][0]["values"] == {"city": ""}


@pytest.mark.parametrize(
    ("fault", "status", "headers"),
    [
        ({"kind": "status", "status": 401}, 401, {}),
        ({"kind": "status", "status": 403}, 403, {}),
        ({"kind": "status", "status": 429, "retry_after": 7}, 429, {"retry-after": "7"}),
        ({"kind": "status", "status": 500}, 500, {}),
    ],
)
def test_a_planned_refusal_does_nothing_and_happens_as_often_as_it_was_planned(
    signed_in: httpx2.Client,
    simulator: Simulator,
    fault: dict[str, Any],
    status: int,
    headers: dict[str, str],
) -> None:
    signed_in.post("/simulator/faults", json={**fault, "path": "/hub/v1"}).raise_for_status()
    row = [{"keys": {"Id": "1"}, "values": {}}]
    refused = signed_in.post(ROWS, json=row)
    assert refused.status_code == status
    assert {**refused.headers, **headers} == dict(refused.headers)
    assert simulator.world.extensions[EID, "people"].rows == {}
    assert signed_in.post(ROWS, json=row).status_code == 200


def test_a_reset_loses_the_call_or_only_its_answer_and_half_an_upsert_is_written(
    signed_in: httpx2.Client, simulator: Simulator
) -> None:
    written = simulator.world.extensions[EID, "people"].rows
    rows = [{"keys": {"Id": number}, "values": {}} for number in "123"]
    for kind, left in (("reset", []), ("reset-after", ["1", "2", "3"])):
        simulator.faults.plan(kind=kind, path="rowset")
        with pytest.raises(httpx2.TransportError):
            signed_in.post(ROWS, json=rows)
        assert [key for (key,) in written] == left
    written.clear()
    simulator.faults.plan(kind="half", path="rowset", rows=2)
    assert signed_in.post(ROWS, json=rows).status_code == 500
    assert [key for (key,) in written] == ["1", "2"]


def test_a_fault_that_is_not_understood_is_refused_with_its_reason(http: httpx2.Client) -> None:
    answer = http.post("/simulator/faults", json={"kind": "earthquake"})
    assert answer.status_code == 400
    assert "earthquake" in answer.json()["message"]


def test_another_sub_domain_is_not_found(http: httpx2.Client) -> None:
    path = "/https://mcother.auth.marketingcloudapis.com/v2/token"
    assert http.post(path, json={"grant_type": "client_credentials"}).status_code == 404


def test_entities_in_an_envelope_are_refused(http: httpx2.Client) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><Envelope><Body><a>&b;</a></Body></Envelope>'
    answer = http.post("/Service.asmx", content=bomb, headers={"SOAPAction": '"Retrieve"'})
    assert answer.status_code == 500
    assert "can't be read" in answer.text


def test_deleting_a_contact_takes_its_time_and_one_runs_at_a_time(
    signed_in: httpx2.Client, simulator: Simulator
) -> None:
    delete = "/contacts/v1/contacts/actions/delete"
    asked = {"values": ["SUB-1"], "DeleteOperationType": "ContactAndAttributes"}
    begun = signed_in.post(f"{delete}?type=keys", json=asked).json()
    assert signed_in.post(f"{delete}?type=keys", json=asked).status_code == 400
    status = f"{delete}/status?operationID={begun['operationID']}"
    assert [signed_in.get(status).json()["status"] for _ in range(3)] == [
        "Processing",
        "Completed",
        "Completed",
    ]
    assert "SUB-1" not in simulator.world.subscribers
    assert (
        signed_in.post("/sms/v1/contacts/subscriptions", json={"subscriberKey": ["SUB-1"]}).json()["count"]
        == 0
    )


class Receiver(HTTPServer):
    """An address for events, which keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.came: list[tuple[str | None, bytes]] = []
        self.arrived = threading.Semaphore(0)

    def next(self) -> tuple[str | None, bytes]:
        assert self.arrived.acquire(timeout=60)
        return self.came[-1]


class _Receive(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.headers["x-sfmc-ens-signature"], body))
        self.send_response(204)
        self.end_headers()
        self.server.arrived.release()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def test_an_address_is_verified_by_its_handshake_and_then_gets_signed_events(
    signed_in: httpx2.Client, simulator: Simulator, receiver: Receiver
) -> None:
    asked = [{"callbackName": "portal", "url": f"http://127.0.0.1:{receiver.server_port}/"}]
    (made,) = signed_in.post("/platform/v1/ens-callbacks", json=asked).json()
    signature, handshake = receiver.next()
    assert signature is None
    said = json.loads(handshake)
    wrong = signed_in.post("/platform/v1/ens-verify", json={**said, "verificationKey": "no"})
    assert wrong.status_code == 400
    assert signed_in.post("/platform/v1/ens-verify", json=said).json()["status"] == "verified"
    wanted = {"callbackId": made["callbackId"], "eventCategoryTypes": ["EngagementEvents.EmailUnsubscribe"]}
    assert signed_in.post("/platform/v1/ens-subscriptions", json=[wanted]).status_code == 201

    statuses = notifications.deliver(
        simulator.world, [notifications.unsubscribe_event("t@tok.example.net", eid=EID)]
    )
    signature, body = receiver.next()
    assert statuses == [204]
    mac = hmac.new(made["signatureKey"].encode(), body, hashlib.sha256).digest()
    assert signature == base64.b64encode(mac).decode()


def test_the_command_says_in_one_line_where_it_is_and_ends_on_sigterm() -> None:
    command = [sys.executable, ROOT / "manage.py", "simulate_marketing_cloud", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        body = {key: said[key] for key in ("client_id", "client_secret")}
        url = said["hosts"].format(subdomain=said["subdomain"], api="auth") + "/v2/token"
        with httpx2.Client(trust_env=False, timeout=30) as http:
            answer = http.post(url, json={"grant_type": "client_credentials", **body})
        assert answer.status_code == 200
        assert answer.json()["rest_instance_url"].startswith(f"http://127.0.0.1:{said['port']}/")
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
        assert process.stdout is not None
        process.stdout.close()
