"""Dropping a month from the command line and by the maintenance process, and what readers find of it afterwards."""

import html
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit import holds
from audit.models import ApprovalRequest, AuditEvent, PayloadEntry
from audit.retention import dropping, gaps
from audit.retention.errors import NotAsSealed
from audit.trail import Target
from audit.vocabulary import Action
from portal import retention, sealing
from portal.models import User
from portal.roles import Role
from tests.audit.retention import cast
from tests.audit.seals.cast import as_superuser
from tests.conftest import OwnDatabase
from tests.portal import retaining
from tests.portal.desk.cast import browser_of, somebody
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.crypto import key_destruction
from tokens.crypto.key_making import make_day_key_apart
from tokens.crypto.keyset import DataKey, Purpose
from tokens.dossier import account, packs
from tokens.exports import files, requests, worker
from tokens.models import ContactMapping, Enterprise, Export, Mapping


def run(*arguments: str) -> tuple[int, str]:
    """Exit code, and what it says."""
    out = StringIO()
    try:
        call_command("retention", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


@pytest.fixture
def people(own_database: OwnDatabase) -> tuple[User, User]:
    """Two officers of every enterprise."""
    return somebody(Role.COMPLIANCE_OFFICER, name="olivia"), somebody(Role.COMPLIANCE_OFFICER, name="omar")


def text(response: Any) -> str:
    parts = b"".join(response) if response.streaming else response.content
    return html.unescape(parts.decode())


def test_the_command_asks_first_and_drops_once_somebody_approved(people: tuple[User, User]) -> None:
    assert run("drop") == (0, "Nothing is past its policy.\n")
    old, acme = cast.month(30), an_enterprise("Acme")
    gone, held = (retaining.logged_in(old, acme) for _ in range(2))
    holds.place(
        enterprise_id=acme.pk, scope=holds.Scope.ENTRY, entry_id=held, case="LIT-7", reason="r",
        actor=retaining.actor(people[0]),
    )  # fmt: skip
    sealing.seal()
    [policy, _] = json.loads(run("status", "--json")[1])["policies"]
    assert policy["due"] == [{"month": old.label, "rows": 2, "exact": True, "kept": 1}]
    assert f"  {old.label}: 2 rows, 1 of them kept" in run("status")[1]
    assert run("drop", "--month", "1999-01")[0] == 2
    code, said = run("drop")
    assert (code, "write one" in said) == (6, True)
    code, said = run("drop", "--reason", "past the policy")
    asked = ApprovalRequest.objects.get()
    assert (code, f"/admin/approvals/{asked.pk}/" in said) == (7, True)
    assert "waits for approval" in run("status")[1]
    assert PayloadEntry.objects.count() == 2
    retaining.approved(asked, people[0])
    code, said = run("drop", "--json")
    [result] = json.loads(said)["dropped"]
    assert (code, result["month"], result["rows"], result["kept"]) == (0, old.label, 1, 1)
    assert set(PayloadEntry.objects.values_list("pk", flat=True)) == {held}
    assert f"dropped payload {old.label}" in run("status")[1]
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert f"1 rows (payload) were dropped by the act {result['event']}, which kept 1." in out.getvalue()
    call_command("verify_audit", "--entry", str(gone), stdout=out)
    assert run("drop") == (0, "Nothing is past its policy.\n")
    code, said = run("keep", "--kind", "payload", "--months", "36", "--reason", "the contract")
    assert code == 7


def test_the_maintenance_process_drops_what_was_approved_and_says_once_why_it_could_not(
    people: tuple[User, User],
) -> None:
    old, older, acme = cast.month(30), cast.month(31), an_enterprise("Acme")
    edited, _ = retaining.logged_in(old, acme), retaining.logged_in(older, acme)
    sealing.seal()
    as_superuser("UPDATE audit_payloadentry SET status = 500 WHERE id = %s", values=[edited])
    retaining.ordered(old, *people)
    retaining.ordered(older, *people)
    retention.carry_out()
    retention.carry_out()
    [refusal] = AuditEvent.objects.filter(action=Action.DROP_REFUSED)
    assert str(NotAsSealed()) in refusal.details["reason"]
    assert [act.month for act in gaps.acts()] == [older]
    page = text(browser_of(people[0]).get("/admin/retention/"))
    assert "could not be dropped" in page
    assert str(NotAsSealed()) in page
    code, said = run("drop")
    assert (code, "verify_audit" in said) == (6, True)


def test_what_readers_find_of_a_dropped_month(people: tuple[User, User]) -> None:
    """One story: the page, the approval, the drop; then the entry, the person, the pack, the export."""
    olivia, omar = (browser_of(one) for one in people)
    old, acme = cast.month(30), an_enterprise("Acme")
    ana = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))
    link = ContactMapping.objects.get(mapping=ana)
    held, gone = retaining.logged_in(old, acme, links=[link.pk]), retaining.logged_in(old, acme)
    holds.place(
        enterprise_id=acme.pk, scope=holds.Scope.PERSON, subject=Target("mapping", str(ana.pk), ana.token),
        case="LIT-7", reason="r", actor=retaining.actor(people[0]),
    )  # fmt: skip
    sealing.seal()
    _is_asked_for_and_dropped(olivia, omar, old, people[1])
    page = text(olivia.get("/admin/retention/"))
    assert f"Payload log of {old.label}" in page
    assert "all of it is held" in page
    _is_told_to_readers(olivia, acme, ana, held, gone, old.label)


def _is_asked_for_and_dropped(olivia: Client, omar: Client, old: Any, approver: User) -> None:
    page = text(olivia.get("/admin/retention/"))
    assert old.label in page
    assert "LIT-7" in page
    wanted = {"kind": "payload", "month": old.label}
    page = text(olivia.post("/admin/retention/drop/", wanted))
    assert "1 row of the payload log of" in page
    olivia.post("/admin/retention/drop/", wanted | {"reason": "past the policy"})
    asked = ApprovalRequest.objects.get()
    assert "waits for approval" in text(olivia.get("/admin/retention/"))
    omar.post(f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve", "comment": ""})
    assert "goes within minutes" in text(olivia.get("/admin/retention/"))
    sealing.seal()
    retention.carry_out()
    assert [(act.rows, act.kept) for act in gaps.acts()] == [(1, 1)]


def _is_told_to_readers(
    olivia: Client, acme: Enterprise, ana: Mapping, held: Any, gone: Any, label: str
) -> None:
    assert "A held copy: retention dropped the rest" in text(olivia.get(f"/admin/log/{held}/"))
    dropped = olivia.get(f"/admin/log/{gone}/")
    assert dropped.status_code == 410
    assert f"The payload log of {label} was dropped" in text(dropped)
    assert olivia.post("/admin/search/", {"what": str(gone)}).url == f"/admin/log/{gone}/"
    assert olivia.get(f"/admin/log/{cast.id_in(cast.month(30))}/").status_code == 404
    told = f"The payload log of {label} was dropped by retention: only what legal holds keep is left of it."
    for address in ("/admin/log/", f"/admin/people/{ana.pk}/"):
        assert told in text(olivia.get(address))
    assert "held copy" in text(olivia.get(f"/admin/people/{ana.pk}/"))
    pack = json.loads("".join(account.as_json(_a_pack(ana))))
    assert pack["dropped_by_retention"] == [told]
    assert [one["held_copy"] for one in pack["exchanges"]] == [True]
    export = requests.ask(
        acme, what=Export.What.LOG, form=Export.Form.JSONL, only={}, case="C-1", actor=cast.DAVE
    )
    while worker.work(export.pk, seconds=30):
        pass
    export.refresh_from_db()
    stream = files.stream(export, taken_by="dave", taken_at=export.requested_at)
    lines = [json.loads(line) for line in b"".join(stream).splitlines()]
    assert lines[0]["export"]["dropped"] == told
    assert [(line["request_id"], line["held_copy"]) for line in lines[1:-1]] == [(str(held), "yes")]


def _a_pack(ana: Mapping) -> account.Account:
    pack = packs.make(ana, case="DSAR-7", actor=cast.DAVE)
    return account.Account(pack, taken_by="dave", taken_at=pack.expires_at)


def test_the_day_keys_of_a_dropped_month_go_with_it_but_those_of_held_copies(
    people: tuple[User, User],
) -> None:
    old, acme = cast.month(30), an_enterprise("Acme")
    Enterprise.objects.filter(pk=acme.pk).update(residue_days=3650)
    held = retaining.logged_in(old, acme, residue=b"sealed")
    day = PayloadEntry.objects.get(pk=held).at.date()
    other = next(old.day.replace(day=n) for n in range(3, 28) if abs(n - day.day) > 3)
    outside = cast.month(26).day
    for one in (day, other, outside):
        make_day_key_apart(acme.pk, one)
    hold = holds.place(
        enterprise_id=acme.pk, scope=holds.Scope.ENTRY, entry_id=held, case="LIT-7", reason="r",
        actor=retaining.actor(people[0]),
    )  # fmt: skip
    retaining.logged_in(old, acme)
    sealing.seal()
    retaining.ordered(old, *people)
    retention.carry_out()
    assert _live_keys(acme) >= {day, outside}
    assert other not in _live_keys(acme)
    [event] = AuditEvent.objects.filter(action=Action.KEY_DESTROYED)
    assert (event.details["day"], event.details["why"]) == (other.isoformat(), "its month was dropped")
    waiting = holds.ask_to_release(hold, reason="closed", actor=retaining.actor(people[0])).waits_for
    assert waiting is not None
    retaining.approved(waiting, people[1])
    assert key_destruction.destroy_day_keys_of_dropped_months() == 0
    retaining.ordered(old, *people)
    retention.carry_out()
    assert day not in _live_keys(acme)
    assert outside in _live_keys(acme)


def _live_keys(acme: Enterprise) -> set[Any]:
    keys = DataKey.objects.filter(enterprise=acme, purpose=Purpose.RESIDUE, wrapped__isnull=False)
    return set(keys.values_list("day", flat=True))


def test_a_busy_log_is_tried_again_and_told_to_nobody(
    people: tuple[User, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, acme = cast.month(30), an_enterprise("Acme")
    retaining.logged_in(old, acme)
    sealing.seal()
    retaining.ordered(old, *people)

    def busy(*_: Any, **__: Any) -> None:
        raise dropping.errors.Busy

    with monkeypatch.context() as patch:
        patch.setattr(dropping, "_replace", busy)
        assert run("drop")[0] == 5
        retention.carry_out()
    assert not AuditEvent.objects.filter(action=Action.DROP_REFUSED).exists()
    retention.carry_out()
    assert len(gaps.acts()) == 1
