"""How PostgreSQL finds the rows of an enterprise that its statistics do not know yet, beside a large one.

It expects no row of such an enterprise. An index that starts with the enterprise then looks like the cheapest way to
anything, and each item of a batch would read all that the enterprise has got so far.
"""

import re
from typing import Any

import pytest
from django.db import connections

from tests.conftest import OwnDatabase
from tokens.api.resolve import LOOK_UP
from tokens.bulk.holding import KNOWN_TOKENS
from tokens.vault.contacts import FIND_CONTACTS
from tokens.vault.mint import FIND

LARGE, NEW, ROWS = 1, 2, 20_000
FILL = f"""
INSERT INTO tokens_mapping (enterprise_id, kind, token, value, index_version_1, blind_index_1)
SELECT {LARGE}, 1 + n % 2, 'token-' || n, '\\x01', 1, sha256(n::text::bytea) FROM generate_series(1, {ROWS}) n;
INSERT INTO tokens_contact (enterprise_id, subscriber_key)
SELECT {LARGE}, 'key-' || n FROM generate_series(1, {ROWS}) n;
INSERT INTO tokens_contactmapping (enterprise_id, mapping_id, contact_id, is_primary)
SELECT {LARGE}, mapping.id, contact.id, true
FROM tokens_mapping mapping JOIN tokens_contact contact ON contact.subscriber_key = replace(token, 'token', 'key');
ANALYZE tokens_mapping, tokens_contact, tokens_contactmapping;
"""
STATEMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mint.FIND": (
        FIND.format(n=1, parity=1),
        {"kinds_1": [1, 2], "indexes_1": [b"\x01" * 32, b"\x02" * 32], "enterprise": NEW},
    ),
    "resolve.LOOK_UP": (
        LOOK_UP,
        {"enterprise": NEW, "opt_outs_block": True, "tokens": "a\nb", "keys": "k1\nk2"},
    ),
    "holding.KNOWN_TOKENS": (KNOWN_TOKENS, {"tokens": ["a", "b"], "kind": 1, "enterprise": NEW}),
    "contacts.FIND_CONTACTS": (FIND_CONTACTS, {"keys": ["k1", "k2"], "enterprise": NEW}),
}


BY_ENTERPRISE_ALONE = re.compile(r"Index Cond: \(enterprise_id = [^()]*\)")


@pytest.fixture
def owner(own_database: OwnDatabase) -> Any:
    with connections["owner"].cursor() as cursor:
        cursor.execute(FILL)
        yield cursor


def conditions(owner: Any, statement: str) -> list[str]:
    """The conditions by which the plan of a statement searches indexes."""
    text, parameters = STATEMENTS[statement]
    owner.execute(f"EXPLAIN {text}", parameters)
    return [line.strip() for (line,) in owner.fetchall() if "Index Cond:" in line]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_index_is_searched_by_the_enterprise_alone(owner: Any, statement: str) -> None:
    searched = conditions(owner, statement)
    assert searched
    assert not any(map(BY_ENTERPRISE_ALONE.fullmatch, searched))


def test_an_index_that_starts_with_the_enterprise_would_be(owner: Any) -> None:
    owner.execute("CREATE INDEX ON tokens_mapping (enterprise_id, token)")
    assert any(map(BY_ENTERPRISE_ALONE.fullmatch, conditions(owner, "mint.FIND")))
