"""Users and roles at the desk: made, given roles by two people, switched off; sessions end when roles change."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from audit.models import ApprovalRequest, AuditEvent
from audit.vocabulary import Action
from portal.models import Membership, User
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.cast import an_enterprise
from tokens.models import Enterprise

USERS = "/admin/users/"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


@pytest.fixture
def ursula(acme: Enterprise) -> Client:
    """The browser of Acme's administrator of users."""
    return cast.at_desk(Role.ADMINISTRATOR, acme)


@pytest.fixture
def bob(db: None) -> User:
    return cast.a_user("bob")


def roles_of(user: User) -> set[tuple[str, int | None]]:
    return set(user.memberships.values_list("role", "enterprise"))


def test_a_new_user_is_given_a_link_that_is_shown_once_and_a_role_by_two_people(
    ursula: Client, olivia: Client, acme: Enterprise
) -> None:
    page = text(ursula.post(USERS + "new/", {"username": "nina", "first_name": "Nina", "last_name": "N"}))
    [code] = re.findall(r'id="set-up-link"[^>]*>[^<]+#([^<]+)<', page)
    nina = User.objects.get(username="nina")
    assert code not in text(ursula.get(f"{USERS}{nina.pk}/")) + text(ursula.get("/admin/events/"))
    sent = {"role": "auditor", "where": str(acme.pk)}
    assert "Nobody does this alone" in text(ursula.post(f"{USERS}{nina.pk}/grant/", sent))
    ursula.post(f"{USERS}{nina.pk}/grant/", sent | {"reason": "She joins in May."})
    assert roles_of(nina) == set()
    asked = ApprovalRequest.objects.get()
    shown = text(olivia.get(f"/admin/approvals/{asked.pk}/"))
    assert "log.view" in shown
    assert "not set up their sign-in yet" in shown
    nina.set_password(cast.PASSWORD)
    nina.save()
    entrance = {"username": "nina", "password": cast.PASSWORD}
    assert "no role in the portal yet" in text(Client().post("/admin/login/", entrance))
    olivia.post(f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve"})
    assert roles_of(nina) == {("auditor", acme.pk)}
    assert Client().post("/admin/login/", entrance).status_code == 302
    assert AuditEvent.objects.get(action=Action.ROLE_GRANTED).actor_name == "ursula"


def test_in_a_sandbox_a_role_is_granted_at_once(bob: User) -> None:
    sandbox = an_enterprise("Trial", sandbox=True)
    browser = cast.at_desk(Role.ADMINISTRATOR, sandbox)
    browser.post(f"{USERS}{bob.pk}/grant/", {"role": "auditor", "where": str(sandbox.pk)})
    assert roles_of(bob) == {("auditor", sandbox.pk)}
    assert not ApprovalRequest.objects.exists()


def test_a_role_in_every_enterprise_takes_two_even_where_all_are_sandboxes(bob: User) -> None:
    an_enterprise("Trial", sandbox=True)
    browser = cast.browser_of(cast.somebody(Role.ADMINISTRATOR))
    browser.post(f"{USERS}{bob.pk}/grant/", {"role": "auditor", "where": "*", "reason": "the audit"})
    assert roles_of(bob) == set()
    assert ApprovalRequest.objects.get().enterprise_id is None


@pytest.mark.parametrize("where", ["*", "rival", "nonsense", ""])
def test_no_role_is_granted_where_one_is_no_administrator(
    ursula: Client, bob: User, rival: Enterprise, where: str
) -> None:
    sent = {"role": "auditor", "where": str(rival.pk) if where == "rival" else where, "reason": "x"}
    assert "Choose a role" in text(ursula.post(f"{USERS}{bob.pk}/grant/", sent, follow=True))
    assert not ApprovalRequest.objects.exists()


def test_a_role_is_revoked_by_one_and_the_session_ends(ursula: Client, acme: Enterprise) -> None:
    aaron = cast.somebody(Role.AUDITOR, Role.DATA_ENGINEER, enterprise=acme)
    browser = cast.browser_of(aaron)
    held = aaron.memberships.get(role=Role.AUDITOR)
    ursula.post(f"{USERS}{aaron.pk}/roles/{held.pk}/revoke/")
    assert roles_of(aaron) == {("data-engineer", acme.pk)}
    answer = browser.get("/admin/bulk/")
    assert answer["Location"].startswith("/admin/login/")


def test_a_role_elsewhere_is_neither_seen_nor_revoked(
    ursula: Client, acme: Enterprise, rival: Enterprise
) -> None:
    aaron = cast.somebody(Role.AUDITOR, enterprise=acme)
    other = Membership.objects.create(user=aaron, role=Role.DATA_ENGINEER, enterprise=rival)
    assert rival.name not in text(ursula.get(f"{USERS}{aaron.pk}/")) + text(ursula.get(USERS))
    assert ursula.post(f"{USERS}{aaron.pk}/roles/{other.pk}/revoke/").status_code == 404
    page = text(ursula.post(f"{USERS}{aaron.pk}/off/", follow=True))
    assert "may not change users" in page
    assert User.objects.get(pk=aaron.pk).is_active


def test_a_user_of_others_is_not_there(ursula: Client, rival: Enterprise) -> None:
    stranger = cast.somebody(Role.AUDITOR, enterprise=rival)
    assert ursula.get(f"{USERS}{stranger.pk}/").status_code == 404
    assert "aaron" not in text(ursula.get(USERS))


def test_a_user_is_switched_off_and_on_and_sessions_of_before_stay_ended(
    ursula: Client, acme: Enterprise
) -> None:
    aaron = cast.somebody(Role.AUDITOR, enterprise=acme)
    browser = cast.browser_of(aaron)
    ursula.post(f"{USERS}{aaron.pk}/off/")
    assert browser.get("/admin/log/").status_code == 302
    ursula.post(f"{USERS}{aaron.pk}/on/")
    assert browser.get("/admin/log/").status_code == 302
    assert cast.browser_of(User.objects.get(pk=aaron.pk)).get("/admin/log/").status_code == 200


def test_nobody_switches_themselves_off(acme: Enterprise) -> None:
    ursula = cast.somebody(Role.ADMINISTRATOR, enterprise=acme)
    cast.browser_of(ursula).post(f"{USERS}{ursula.pk}/off/")
    assert User.objects.get(pk=ursula.pk).is_active


def test_who_holds_no_role_yet_is_switched_off_by_who_made_them_and_by_nobody_of_another_place(
    ursula: Client, rival: Enterprise
) -> None:
    ursula.post(USERS + "new/", {"username": "nina"})
    nina = User.objects.get(username="nina")
    stranger = cast.browser_of(cast.somebody(Role.ADMINISTRATOR, enterprise=rival, name="uwe"))
    for act in ("off", "link"):
        assert "somebody else made them" in text(stranger.post(f"{USERS}{nina.pk}/{act}/", follow=True))
    assert User.objects.get(pk=nina.pk).is_active
    ursula.post(f"{USERS}{nina.pk}/off/")
    assert not User.objects.get(pk=nina.pk).is_active


@pytest.mark.parametrize(("name", "said"), [("", "required"), ("bob", "already exists"), ("a b", "valid")])
def test_a_bad_name_makes_no_user(ursula: Client, bob: User, name: str, said: str) -> None:
    assert said in text(ursula.post(USERS + "new/", {"username": name}))
    assert User.objects.count() == 2


def test_who_only_looks_is_offered_no_act(olivia: Client, ursula: Client, bob: User) -> None:
    page = text(olivia.get(f"{USERS}{bob.pk}/"))
    assert set(re.findall(r'method="post" action="([^"]+)"', page)) == {"/admin/search/", "/admin/logout/"}
    assert "New user" not in text(olivia.get(USERS))
