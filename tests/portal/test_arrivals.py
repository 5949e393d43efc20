"""People who arrive from a provider for the first time, at the same moment."""

from typing import Final

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal import arrivals
from portal.provider_settings import Provider, RoleLine
from portal.roles import Role
from tests.conftest import OwnDatabase
from tests.tokens.racing import race

AUDITORS: Final = (RoleLine("auditors", Role.AUDITOR.value, "*"),)
SSO: Final = Provider("oidc", "Single sign-on", "https://sso.example", "portal", "x", "groups", AUDITORS)
AARON: Final = {"preferred_username": "aaron", "groups": ["auditors"]}


def test_two_browsers_of_one_person_may_arrive_together(own_database: OwnDatabase) -> None:
    users, errors = race(6, lambda _: arrivals.arrive(SSO, "u-2", AARON, address=None))
    assert not errors
    assert len({user.pk for user in users}) == 1
    assert AuditEvent.objects.filter(action=Action.USER_CREATED).count() == 1


def test_of_people_of_one_name_who_arrive_together_all_but_one_are_told(own_database: OwnDatabase) -> None:
    users, errors = race(6, lambda dice: arrivals.arrive(SSO, f"u-{dice.random()}", AARON, address=None))
    assert len(users) == 1
    assert {type(error) for error in errors} == {arrivals.NameTaken}
