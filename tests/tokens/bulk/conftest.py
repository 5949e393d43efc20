"""The enterprise of these tests."""

import pytest

from tests.tokens.bulk.scene import make_enterprise
from tokens.models import Enterprise


@pytest.fixture
def enterprise(db: None) -> Enterprise:
    return make_enterprise()
