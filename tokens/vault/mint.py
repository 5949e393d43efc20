"""Get-or-create of mappings: one implementation for Get Token and for bulk jobs (decision 5).

Five steps, each a set: sort by kind and normalised value; select under every live index version; insert what is
missing with ON CONFLICT DO NOTHING; select again, since another transaction may have won; draw new tokens for what is
missing even then, because a token that was drawn is taken. Sorted input keeps transactions that want the same values
from waiting for each other in a circle. The unique indexes hold 1:1, nothing here does.

READ COMMITTED (Django's default) is needed: the second select must see what the winner committed.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from django.db import transaction

from tokens.crypto import envelope
from tokens.crypto.keyring import IndexKey, Keyring, keyring
from tokens.crypto.keyset import Purpose
from tokens.errors import NoFreeToken
from tokens.formats.kinds import Kind
from tokens.formats.normalise import CURRENT, normalise
from tokens.formats.token_email import draw_email_tokens
from tokens.formats.token_mobile import TokenSpaceExhausted, draw_mobile_tokens
from tokens.models import Enterprise
from tokens.models.mappings import State
from tokens.vault.cursors import binary_cursor

ROUNDS: Final = 25
"""Times that tokens are drawn before giving up; one is usual, two if a drawn token was taken."""


class Wanted(NamedTuple):
    """A clear value that needs a token.

    `normalised` is its form under the current normalisation; `spelling` is what gets sent if the value is new.
    """

    kind: Kind
    normalised: str
    spelling: str

    def __repr__(self) -> str:
        return f"Wanted({self.kind!r}, …)"


class Held(NamedTuple):
    """The mapping of a wanted value. `is_new`: this call made it. An erased mapping answers its retired token."""

    mapping_id: int
    token: str
    state: State
    is_new: bool


_Key = tuple[Kind, str]
_STATES: Final = {state.value: state for state in State}

# The mapping of each asked value, by its blind index in the column of the version's parity. A superseded mapping is
# no answer. LIMIT keeps the planner at one index look-up for each value, whatever it thinks of the array's size.
FIND = """
SELECT asked.n, mapping.id, mapping.token, mapping.state
FROM unnest(%(kinds_{n})b::smallint[], %(indexes_{n})b::bytea[]) WITH ORDINALITY AS asked (kind, blind_index, n)
CROSS JOIN LATERAL (
    SELECT id, token, state FROM tokens_mapping
    WHERE enterprise_id = %(enterprise)s AND kind = asked.kind
      AND blind_index_{parity} = asked.blind_index AND state <> 3
    LIMIT 1
) AS mapping
"""

# New mappings in sorted order. Nothing is said of a row whose value or token is taken by now.
INSERT = """
INSERT INTO tokens_mapping (enterprise_id, kind, token, value,
                            index_version_0, blind_index_0, index_version_1, blind_index_1)
SELECT %(enterprise)s, new.kind, new.token, new.value,
       %(version_0)s, new.blind_index_0, %(version_1)s, new.blind_index_1
FROM unnest(%(kinds)b::smallint[], %(tokens)b::text[], %(values)b::bytea[],
            %(indexes_0)b::bytea[], %(indexes_1)b::bytea[])
     WITH ORDINALITY AS new (kind, token, value, blind_index_0, blind_index_1, n)
ORDER BY new.n
ON CONFLICT DO NOTHING
RETURNING id, token
"""

# A person opted out under another version of the blind index: block the new mapping under the current one too.
COPY_SUPPRESSIONS = """
INSERT INTO tokens_suppression (enterprise_id, kind, index_version, blind_index, since)
SELECT known.enterprise_id, known.kind, %(version)s, new.current_index, known.since
FROM unnest(%(kinds)b::smallint[], %(other_indexes)b::bytea[], %(current_indexes)b::bytea[])
     AS new (kind, other_index, current_index)
JOIN tokens_suppression known ON known.enterprise_id = %(enterprise)s AND known.kind = new.kind
     AND known.blind_index = new.other_index
ORDER BY new.current_index
ON CONFLICT DO NOTHING
"""


def get_or_create(enterprise: Enterprise, wanted: Sequence[Wanted]) -> list[Held]:
    """The mapping of each wanted value, in the order of `wanted`; equal values share one.

    Runs in the caller's transaction, or in one of its own. One statement when all values are known, two or three
    when some are new. Raises NoFreeToken.
    """
    spellings: dict[_Key, str] = {}
    for want in wanted:
        spellings.setdefault((want.kind, want.normalised), want.spelling)
    with transaction.atomic(savepoint=False):
        held = _Minting(enterprise, spellings).run()
    return [held[want.kind, want.normalised] for want in wanted]


def known(enterprise: Enterprise, values: Iterable[tuple[Kind, str]]) -> dict[tuple[Kind, str], Held]:
    """The mappings of those (kind, normalised value) pairs that have one; nothing is minted. One statement."""
    keys = sorted(set(values))
    return _Minting(enterprise, {key: key[1] for key in keys}).find(keys)


class _Minting:
    """One run: the sorted values, and their blind indexes under every live version."""

    def __init__(self, enterprise: Enterprise, spellings: dict[_Key, str]) -> None:
        self.enterprise = enterprise
        self.ring: Keyring = keyring(enterprise.pk)
        self.spellings = spellings
        self.keys = sorted(spellings)
        self.versions = self.ring.live_versions()
        self.indexes = {version.number: self._indexes(version) for version in self.versions}

    def run(self) -> dict[_Key, Held]:
        held = self.find(self.keys)
        missing = [key for key in self.keys if key not in held]
        minted: list[_Key] = []
        for _ in range(ROUNDS):
            if not missing:
                break
            new = self._insert(missing)
            held |= new
            minted += new
            if len(new) < len(missing):
                held |= self.find([key for key in missing if key not in new])
            missing = [key for key in missing if key not in held]
        if missing:
            raise NoFreeToken(f"{len(missing)} values, {ROUNDS} draws")
        if len(self.versions) > 1 and minted:
            self._copy_suppressions(minted)
        return held

    def find(self, keys: list[_Key]) -> dict[_Key, Held]:
        """The mappings of `keys` that are there, under any live index version. Of two, the older counts."""
        if not keys:
            return {}
        parameters: dict[str, object] = {"enterprise": self.enterprise.pk}
        for version in self.versions:
            parameters[f"kinds_{version.number}"] = [int(kind) for kind, _ in keys]
            parameters[f"indexes_{version.number}"] = [self.indexes[version.number][key] for key in keys]
        statement = " UNION ALL ".join(FIND.format(n=v.number, parity=v.parity) for v in self.versions)
        found: dict[_Key, Held] = {}
        with binary_cursor() as cursor:
            cursor.execute(statement, parameters)
            for n, mapping_id, token, state in cursor.fetchall():
                before = found.get(keys[n - 1])
                if before is None or mapping_id < before.mapping_id:
                    found[keys[n - 1]] = Held(mapping_id, token, _STATES[state], False)
        return found

    def _insert(self, keys: list[_Key]) -> dict[_Key, Held]:
        # A token that was drawn twice goes to one value; the other has to wait for the next round.
        of_token: dict[str, _Key] = {}
        for token, key in zip(self._draw(keys), keys, strict=True):
            of_token.setdefault(token, key)
        tokens, keys = list(of_token), list(of_token.values())
        columns = {version.parity: version for version in self.versions}  # the newest of each parity
        parameters: dict[str, object] = {
            "enterprise": self.enterprise.pk,
            "kinds": [int(kind) for kind, _ in keys],
            "tokens": tokens,
            "values": self._sealed(keys, tokens),
        }
        for parity in (0, 1):
            version = columns.get(parity)
            # Without a live version of this parity the array is empty, and unnest fills the column with NULL.
            indexes = self.indexes[version.number] if version else {}
            parameters[f"version_{parity}"] = version.number if version else None
            parameters[f"indexes_{parity}"] = [indexes[key] for key in keys] if version else []
        with binary_cursor() as cursor:
            cursor.execute(INSERT, parameters)
            return {
                of_token[token]: Held(mapping_id, token, State.ACTIVE, True)
                for mapping_id, token in cursor.fetchall()
            }

    def _draw(self, keys: list[_Key]) -> list[str]:
        """New tokens in the order of `keys`, none of which is a number that this enterprise knows."""
        numbers = [value for kind, value in keys if kind == Kind.MOBILE]
        emails = draw_email_tokens(len(keys) - len(numbers), self.enterprise.token_domain)
        mobiles = self._draw_mobiles(numbers) if numbers else []
        return emails + mobiles  # keys are sorted, and e-mail comes first

    def _draw_mobiles(self, numbers: list[str]) -> list[str]:
        taken = set(numbers)
        for _ in range(ROUNDS):
            try:
                tokens = draw_mobile_tokens(numbers, lengths=self.enterprise.mobile_token_digits, taken=taken)
            except TokenSpaceExhausted as error:
                raise NoFreeToken(str(error)) from None
            identifiers = known(self.enterprise, [(Kind.MOBILE, token) for token in tokens])
            if not identifiers:
                return tokens
            taken |= {number for _, number in identifiers}
        raise NoFreeToken(f"{ROUNDS} draws of {len(numbers)} numbers all met known numbers")

    def _sealed(self, keys: list[_Key], tokens: list[str]) -> list[bytes]:
        seal = self.ring.sealer(Purpose.VALUE)
        places = {kind: place_of_value(self.enterprise.pk, kind, "") for kind in Kind}
        return [
            seal(self.spellings[key].encode(), places[key[0]] + token.encode())
            for key, token in zip(keys, tokens, strict=True)
        ]

    def _indexes(self, version: IndexKey) -> dict[_Key, bytes]:
        if version.normalisation == CURRENT:
            return {(kind, value): version.digest(kind, value) for kind, value in self.keys}
        return {
            key: version.digest(key[0], normalise(key[0], self.spellings[key], version=version.normalisation))
            for key in self.keys
        }

    def _copy_suppressions(self, minted: list[_Key]) -> None:
        current, minted = self.versions[-1], sorted(minted)
        for other in self.versions[:-1]:
            with binary_cursor() as cursor:
                cursor.execute(
                    COPY_SUPPRESSIONS,
                    {
                        "enterprise": self.enterprise.pk,
                        "version": current.number,
                        "kinds": [int(kind) for kind, _ in minted],
                        "other_indexes": [self.indexes[other.number][key] for key in minted],
                        "current_indexes": [self.indexes[current.number][key] for key in minted],
                    },
                )


def place_of_value(enterprise_id: int, kind: Kind, token: str) -> bytes:
    """What the sealed value of a mapping is bound to; without a token, the part that a batch shares."""
    return envelope.place("tokens.Mapping", "value", enterprise_id, kind.value, token)
