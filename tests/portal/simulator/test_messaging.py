"""The simulator calls a real token server: a STOP finds its token or drops into the queue, a send is resolved."""

import csv
import io
from typing import Any

import httpx2
import pytest

from portal.simulator import Simulator
from tests import serving
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import IVAN, an_enterprise
from tokens.clients import switch_off, switch_on

LADDER = [0, 0, 0, 0]


def call(simulator: Simulator, path: str, **said: Any) -> Any:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        answer = http.post(f"{simulator.origin}/simulator/{path}", json=said)
    assert simulator.wait_until_followed_up()
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Host": "evil.example:8900"}])
def test_a_web_page_does_not_steer_it_through_the_browser(
    simulator: Simulator, header: dict[str, str]
) -> None:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        for path in ("text", "faults", "token-server"):
            answer = http.post(f"{simulator.origin}/simulator/{path}", json={}, headers=header)
            assert answer.status_code == 403
        assert http.get(f"{simulator.origin}/simulator/no-token-queue.csv", headers=header).status_code == 403
        assert http.get(f"{simulator.origin}/simulator/state").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["basic", "oauth"])
def test_texts_and_sends_reach_the_token_server(
    portal_server: serving.Server, simulator: Simulator, auth: str
) -> None:
    acme = an_enterprise()
    caller = api_cast.a_caller(acme, auth=auth)
    server = {"url": portal_server.url, "client_id": caller.client.client_id, "client_secret": caller.secret}
    call(simulator, "token-server", **server, auth=auth, ladder=LADDER)
    world = simulator.world

    call(simulator, "text", mobile="13175550101", text="stop")
    (done,) = world.texts
    assert (done.state, done.tries) == ("done", [200])
    (stopped,) = [one for one in world.sms if one.mobile == done.token]
    assert (stopped.opted_in, stopped.key) == (False, done.key)

    call(simulator, "send", tokens=[done.token, "nobody@tok.example.net", done.token], batch=2)
    (sent,) = world.sends.values()
    assert (sent.state, sent.asked, sent.resolved, sent.failed) == ("sent", 3, 2, 0)
    assert list(sent.unresolved) == ["nobody@tok.example.net"]

    switch_off(caller.client, actor=IVAN)
    call(simulator, "text", mobile="13175550102", text="STOP please")
    assert (world.texts[-1].state, world.texts[-1].tries) == ("no token", [401] * 5)
    with httpx2.Client(trust_env=False, timeout=60) as http:
        extract = http.get(f"{simulator.origin}/simulator/no-token-queue.csv").text
        state = http.get(f"{simulator.origin}/simulator/state").text
    (row,) = csv.DictReader(io.StringIO(extract))
    assert (row["MobileNumber"], row["Keyword"], row["Tries"]) == ("13175550102", "STOP", "5")
    assert "13175550102" not in state

    call(simulator, "send", tokens=[done.token])
    assert [one.failed for one in world.sends.values()] == [0, 1]
    switch_on(caller.client, actor=IVAN)


def test_without_a_token_server_it_says_what_to_do_first(simulator: Simulator) -> None:
    with httpx2.Client(trust_env=False, timeout=60, base_url=simulator.origin) as http:
        for path, said in (("text", {"mobile": "1"}), ("send", {"tokens": []})):
            answer = http.post(f"/simulator/{path}", json=said)
            assert (answer.status_code, "token-server" in answer.json()["message"]) == (400, True)
        wrong = http.post("/simulator/token-server", json={"url": "x", "client_id": "c", "ladder": [1]})
        odd = http.post("/simulator/seed", json=[1])
    assert "give 4 waits" in wrong.json()["message"]
    assert odd.status_code == 400


def test_faults_strike_the_calls_that_it_makes_too(simulator: Simulator) -> None:
    nowhere = {"url": "http://127.0.0.1:1", "client_id": "c", "client_secret": "s"}
    call(simulator, "token-server", **nowhere, ladder=LADDER)
    simulator.faults.plan(kind="status", status=503, path="tokens/get", times=2)
    simulator.faults.plan(kind="reset", path="tokens/get", times=3)
    call(simulator, "text", mobile="13175550101")
    assert simulator.world.texts[0].tries == [503, 503, 0, 0, 0]


def test_a_send_goes_to_the_accounts_own_subscribers(simulator: Simulator) -> None:
    nowhere = {"url": "http://127.0.0.1:1", "client_id": "c", "client_secret": "s"}
    call(simulator, "token-server", **nowhere, ladder=LADDER)
    call(simulator, "send", batches=2, batch=3)
    (sent,) = simulator.world.sends.values()
    assert (sent.asked, sent.failed) == (6, 6)


def test_who_unsubscribes_by_a_link_is_unsubscribed_there(simulator: Simulator) -> None:
    call(simulator, "unsubscribe", to="token1@tok.example.net")
    who = {one.key for one in simulator.world.subscribers.values() if one.unsubscribed}
    assert who == {"SUB-1"}
