"""`make run SANDBOX=1`: the simulated account is the one of the sample enterprise, from start to start."""

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from audit.trail import SYSTEM
from portal import sample_data, sandbox, simulated_account
from portal.management.commands.run_portal import PARTS
from portal.simulator.world import Subscriber
from portal.synthetic_people import people
from tests.tokens.cast import an_enterprise
from tokens.connections import verbs
from tokens.errors import BadConnection
from tokens.models import Connection, Enterprise

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def sample(db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Enterprise:
    settings.STATE_DIR = tmp_path
    monkeypatch.setattr(sample_data, "PEOPLE", 4)
    sample_data.create()
    return Enterprise.objects.get()


def test_the_account_has_the_people_of_the_sample_enterprise_under_their_tokens(sample: Enterprise) -> None:
    world = simulated_account.account()
    assert list(world.units) == [unit.mid for unit in sample.business_units.order_by("pk")]
    assert world.eid == sample.eid
    assert world.subscribers.keys() == {one.subscriber_key for one in people(4)}
    assert all(one.email.endswith(f"@{sample.token_domain}") for one in world.subscribers.values())
    assert len(world.sms) == 4
    connection = Connection.objects.get()
    assert connection.client_secret is not None
    package = world.packages[connection.client_id]
    assert (package.client_secret, world.subdomain) == (
        connection.client_secret.open(),
        connection.subdomain,
    )


@pytest.mark.usefixtures("sample")
def test_a_second_start_finds_the_same_account_with_what_happened_to_its_people(tmp_path: Path) -> None:
    first = simulated_account.account()
    somebody = next(iter(first.subscribers.values()))
    somebody.unsubscribed[first.eid] = "STOP"
    first.subscribers["SUB-NEW"] = Subscriber("SUB-NEW", "new@tok.sample.example")
    first.sms[0].opted_in = False
    simulated_account.keep(first)
    again = simulated_account.account()
    assert (again.subdomain, again.packages.keys()) == (first.subdomain, first.packages.keys())
    assert (again.subscribers, again.sms) == (first.subscribers, first.sms)
    kept = tmp_path / "simulated-people.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"account": "of another database"}'])
def test_people_that_were_kept_for_another_account_are_not_taken(damaged: str, tmp_path: Path) -> None:
    (tmp_path / "simulated-people.json").write_text(damaged)
    assert len(simulated_account.account().subscribers) == 4


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize("part", ["subscribers", "sms"])
def test_people_that_another_release_kept_begin_anew(part: str, tmp_path: Path) -> None:
    first = simulated_account.account()
    kept = {"account": first.subdomain, "subscribers": [], "sms": []} | {
        part: [{"key": "SUB-1", "was": "else"}]
    }
    (tmp_path / "simulated-people.json").write_text(json.dumps(kept))
    again = simulated_account.account()
    assert (again.subscribers, again.sms) == (first.subscribers, first.sms)


def test_a_connection_of_ones_own_is_left_alone(sample: Enterprise) -> None:
    facts = {"subdomain": "mc" + "x" * 26, "client_id": "own", "client_secret": "secret"}
    verbs.create_connection(sample, name="Ours", actor=SYSTEM, **facts)
    with pytest.raises(BadConnection, match="Ours"):
        simulated_account.account()


def test_without_the_simulator_nothing_goes_through_its_connection(sample: Enterprise) -> None:
    simulated_account.account()
    Connection.objects.update(in_use_since=sample.created_at)
    simulated_account.disconnect()
    assert Connection.objects.get().in_use_since is None


def test_beside_a_connection_in_use_the_simulator_is_refused(sample: Enterprise) -> None:
    simulated_account.account()
    Connection.objects.update(in_use_since=sample.created_at)
    sandbox.refuse_beside(simulated_account.real_connections())  # its own is none
    facts = {"subdomain": "mc" + "x" * 26, "client_id": "own", "client_secret": "secret"}
    unit = sample.business_units.order_by("pk").last()
    for enterprise, more in ((an_enterprise(), {}), (sample, {"business_unit": unit})):
        ours = verbs.create_connection(enterprise, name="Ours", actor=SYSTEM, **facts, **more)
        sandbox.refuse_beside(simulated_account.real_connections())
        Connection.objects.filter(pk=ours.pk).update(in_use_since=sample.created_at)
        with pytest.raises(SystemExit):
            sandbox.refuse_beside(simulated_account.real_connections())
        Connection.objects.filter(pk=ours.pk).update(in_use_since=None)


@pytest.mark.parametrize(
    ("name", "value", "only"),
    [("EMBEDDED", False, PARTS), ("TLS_CERT", "cert.pem", PARTS), ("TLS_CERT", "", ["worker"])],
)
def test_where_it_makes_no_sense_it_is_refused(
    name: str, value: object, only: list[str], settings: Any
) -> None:
    settings.EMBEDDED, settings.TLS_CERT = True, ""
    setattr(settings, name, value)
    with pytest.raises(SystemExit) as refused:
        sandbox.refuse_where_it_makes_no_sense(only)
    assert refused.value.code == 2


def test_the_simulator_listens_beside_the_portal_or_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MARKETING_CLOUD_HOSTS", "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] - sandbox.PORT_DISTANCE
        made = sandbox.prepare(f"http://127.0.0.1:{port}")
    listener = socket.socket(fileno=made.program.descriptors[0])
    with listener:
        assert made.origin == f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert listener.getsockname()[1] != port + sandbox.PORT_DISTANCE


def test_what_is_printed_is_ready_to_be_typed() -> None:
    made = sandbox.Sandbox("http://127.0.0.1:8900", sandbox.Program("simulator", []))
    text = made.text("t@tok.sample.example")
    assert text.count("    curl ") == 7
    assert '{"to": "t@tok.sample.example"}' in text
