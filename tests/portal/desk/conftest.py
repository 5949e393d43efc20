"""Two enterprises, so that a page that forgets to ask whose rows it shows is caught."""

import pytest
from django.test import Client

from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tests.tokens.api.conftest import _fresh_allowlist
from tests.tokens.cast import an_enterprise
from tokens.models import Enterprise, Mapping

__all__ = ["_fresh_allowlist"]


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise("Acme")


@pytest.fixture
def rival(db: None) -> Enterprise:
    return an_enterprise("Rival")


@pytest.fixture
def caller(acme: Enterprise) -> api_cast.MarketingCloud:
    return api_cast.a_caller(acme)


@pytest.fixture
def ana(acme: Enterprise) -> Mapping:
    """Ana is known to Acme."""
    token = api_cast.a_person(acme, *api_cast.ANA)
    return Mapping.objects.get(token=token)


@pytest.fixture
def olivia(acme: Enterprise) -> Client:
    """The browser of Acme's compliance officer."""
    return cast.at_desk(Role.COMPLIANCE_OFFICER, acme)


@pytest.fixture
def aaron(acme: Enterprise) -> Client:
    """The browser of Acme's auditor."""
    return cast.at_desk(Role.AUDITOR, acme)


@pytest.fixture
def ines(acme: Enterprise) -> Client:
    """The browser of Acme's integration admin."""
    return cast.at_desk(Role.INTEGRATION_ADMIN, acme)


@pytest.fixture
def dario(acme: Enterprise) -> Client:
    """The browser of Acme's data engineer."""
    return cast.at_desk(Role.DATA_ENGINEER, acme)
