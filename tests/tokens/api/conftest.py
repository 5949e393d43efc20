"""An enterprise, its caller, and Ana."""

from collections.abc import Iterator

import pytest

from tests.tokens.api import cast
from tests.tokens.cast import an_enterprise
from tokens.api import allowlist
from tokens.models import Enterprise


@pytest.fixture(autouse=True)
def _fresh_allowlist() -> Iterator[None]:
    """What this process remembers of allowlists is of another test's database."""
    allowlist.union.forget()
    yield
    allowlist.union.forget()


@pytest.fixture
def enterprise(db: None) -> Enterprise:
    return an_enterprise()


@pytest.fixture
def caller(enterprise: Enterprise) -> cast.MarketingCloud:
    return cast.a_caller(enterprise)


@pytest.fixture
def ana(enterprise: Enterprise) -> str:
    """Ana's e-mail token."""
    return cast.a_person(enterprise, *cast.ANA)
