"""Users of the portal: made, given roles, switched off; by verbs and by commands."""

import io
import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import ApprovalRequest, AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal import people
from portal.access import enterprises_for, may
from portal.exit_codes import APPROVAL_NEEDED
from portal.models import Membership, User
from portal.roles import Permission, Role
from tests.portal.desk import cast
from tests.tokens.cast import an_enterprise
from tokens.models import Enterprise

pytestmark = pytest.mark.django_db


def run(command: str, *arguments: str) -> Any:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def acts() -> list[str]:
    return list(AuditEvent.objects.filter(target_type="user").order_by("pk").values_list("action", flat=True))


def test_a_user_without_a_role_may_nothing_and_with_one_what_it_says() -> None:
    acme, rival = an_enterprise("Acme"), an_enterprise("Rival")
    user = people.create_user("olivia", password=cast.PASSWORD, actor=SYSTEM)
    assert not any(may(user, permission) for permission in Permission)
    people.grant(user, Role.COMPLIANCE_OFFICER, enterprise=acme, actor=SYSTEM)
    assert may(user, Permission.UNSUBSCRIBE)
    assert not may(user, Permission.MANAGE_CLIENTS)
    assert list(enterprises_for(user, Permission.UNSUBSCRIBE)) == [acme]
    people.grant(user, Role.AUDITOR, enterprise=None, actor=SYSTEM)
    assert set(enterprises_for(user, Permission.VIEW_LOG)) == {acme, rival}
    assert list(enterprises_for(user, Permission.UNSUBSCRIBE)) == [acme]


def test_a_role_everywhere_holds_in_enterprises_to_come() -> None:
    user = cast.somebody(Role.AUDITOR)
    later = an_enterprise("Later")
    assert list(enterprises_for(user, Permission.VIEW_LOG)) == [later]


def test_a_role_is_granted_once_and_revoked_from_the_next_page_on() -> None:
    acme = an_enterprise("Acme")
    user = cast.somebody(Role.AUDITOR, enterprise=acme)
    browser = cast.browser_of(user)
    people.grant(user, Role.AUDITOR, enterprise=acme, actor=SYSTEM)
    assert Membership.objects.count() == 1
    assert browser.get("/admin/log/").status_code == 200
    for _ in range(2):
        people.revoke(user, Role.AUDITOR, enterprise=acme, actor=SYSTEM)
    assert browser.get("/admin/log/").status_code == 302
    assert cast.browser_of(User.objects.get()).get("/admin/log/").status_code == 403
    assert acts().count(Action.ROLE_REVOKED) == 1


def test_who_is_switched_off_is_out_at_once_and_comes_back_as_before() -> None:
    user = cast.somebody(Role.AUDITOR)
    browser = cast.browser_of(user)
    people.switch_off(user, actor=SYSTEM)
    assert browser.get("/admin/log/").status_code == 302
    people.switch_on(user, actor=SYSTEM)
    assert Client().post("/admin/login/", {"username": "aaron", "password": cast.PASSWORD}).status_code == 302
    assert Action.USER_SWITCHED_OFF in acts()


def test_who_is_switched_off_holds_nothing_whoever_asks() -> None:
    user = cast.somebody(Role.AUDITOR)
    user.is_active = False
    assert not may(user, Permission.VIEW_LOG)


@pytest.mark.parametrize("password", ["short", "password1234", "olivia-olivia"])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        people.create_user("olivia-olivia", password=password, actor=SYSTEM)
    assert not User.objects.exists()


def test_a_changed_password_is_recorded_and_not_what_it_is() -> None:
    browser = cast.at_desk(Role.AUDITOR)
    new = "another sentence of mine"
    given = {"old_password": cast.PASSWORD, "new_password1": new, "new_password2": new}
    browser.post("/admin/password_change/", given | {"old_password": "wrong"})
    browser.post("/admin/password_change/", given)
    [event] = AuditEvent.objects.filter(action=Action.PASSWORD_CHANGED)
    assert event.actor_name == "aaron"
    assert new.encode() not in bytes(event.header)


def test_the_command_makes_a_user_and_a_link_with_which_they_set_up_their_sign_in() -> None:
    acme = an_enterprise("Acme")
    made = json.loads(run("create_user", "olivia", "--role", "compliance-officer", "--json"))
    assert made["enterprise"] == acme.eid
    assert "password" not in made
    path, _, code = made["set_up"].partition("#")
    assert Client().post(path, {"code": code})["Location"] == "/admin/set-up/finish/"
    assert acts()[:3] == [Action.USER_CREATED, Action.SET_UP_LINK_MADE, Action.ROLE_GRANTED]


def test_the_command_reads_a_password_from_stdin(monkeypatch: pytest.MonkeyPatch, acme: Enterprise) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{cast.PASSWORD}\n"))
    made = json.loads(run("create_user", "olivia", "--role", "auditor", "--password-stdin", "--json"))
    assert "password" not in made
    assert User.objects.get().check_password(cast.PASSWORD)


def test_the_command_gives_more_roles_to_who_is_there(acme: Enterprise) -> None:
    user = cast.somebody(Role.AUDITOR, enterprise=acme)
    run("create_user", "aaron", "--role", "data-engineer", "--everywhere")
    held = set(user.memberships.values_list("role", "enterprise"))
    assert held == {("auditor", acme.pk), ("data-engineer", None)}
    assert user.check_password(cast.PASSWORD)


def command(*arguments: str) -> int:
    """Its exit code."""
    try:
        run(*arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_command_grants_at_once_until_two_people_can_decide(acme: Enterprise) -> None:
    assert command("create_user", "olivia", "--role", "compliance-officer") == 0
    assert command("create_user", "ursula", "--role", "administrator") == 0
    assert command("create_user", "nina", "--role", "auditor") == APPROVAL_NEEDED
    assert not User.objects.get(username="nina").memberships.exists()
    asked = ApprovalRequest.objects.get()
    assert (asked.act, asked.requester_id, asked.target_name) == ("role.grant", "command-line", "nina")
    olivia = cast.browser_of(User.objects.get(username="olivia"))
    olivia.post(f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve"})
    assert User.objects.get(username="nina").memberships.get().role == "auditor"
    assert command("create_user", "nina", "--role", "auditor") == 0, "what they hold needs no second request"


def test_the_command_makes_no_request_in_a_sandbox(acme: Enterprise) -> None:
    cast.somebody(Role.COMPLIANCE_OFFICER)
    cast.somebody(Role.ADMINISTRATOR)
    trial = an_enterprise("Trial", sandbox=True)
    assert command("create_user", "nina", "--role", "auditor", "--enterprise", trial.eid) == 0
    assert command("create_user", "nina", "--role", "auditor", "--everywhere") == APPROVAL_NEEDED


def test_a_weak_password_leaves_nothing(monkeypatch: pytest.MonkeyPatch, acme: Enterprise) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(CommandError, match="too short"):
        run("create_user", "olivia", "--role", "auditor", "--password-stdin")
    assert not User.objects.exists()


def test_the_command_switches_a_user_off(acme: Enterprise) -> None:
    user = cast.somebody(Role.AUDITOR)
    run("switch_user", "aaron", "off")
    user.refresh_from_db()
    assert not user.is_active
    with pytest.raises(CommandError, match="There is no user"):
        run("switch_user", "nobody", "off")


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise("Acme")
