"""The first spelling of an address is that of its first line, whatever the order of the chunks.

`get_or_create` keeps what comes first, and after a kill, or with two workers, a later chunk may come first. The earlier
chunk then puts its own spelling in place. Who minted a mapping is known without a column for it: the chunk that was
finished by the same transaction. A value that the payload log refers to by now stays as it was said.
"""

import uuid
from collections.abc import Mapping
from typing import Final

from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.formats.kinds import Kind
from tokens.vault.cursors import binary_cursor
from tokens.vault.mint import place_of_value

# Of these mappings those that a chunk of the job wrote whose lines come later. Locked in the order of all writers.
WRITTEN_BY_LATER_CHUNKS: Final = """
SELECT mapping.id, mapping.token
FROM tokens_mapping mapping
JOIN tokens_bulkchunk chunk ON chunk.xmin = mapping.xmin
WHERE mapping.id = ANY(%(ids)b::bigint[]) AND mapping.state = 1
  AND chunk.job_id = %(job)s AND chunk.state = 'done' AND chunk.first_line > %(line)s
ORDER BY mapping.id
FOR NO KEY UPDATE OF mapping
"""

# A logged body is put together from the value, so its proof would fail after a change.
SPOKEN_OF: Final = """
SELECT DISTINCT link.mapping_id
FROM tokens_contactmapping link
WHERE link.mapping_id = ANY(%(ids)b::bigint[]) AND link.id IN (
    SELECT unnest(links) FROM audit_payloadentry
    WHERE links && ARRAY(SELECT id FROM tokens_contactmapping WHERE mapping_id = ANY(%(ids)b::bigint[]))
)
"""

RESPELL: Final = """
UPDATE tokens_mapping mapping SET value = new.value
FROM unnest(%(ids)b::bigint[], %(values)b::bytea[]) AS new (id, value)
WHERE mapping.id = new.id AND mapping.state = 1
"""


def put_first(enterprise_id: int, job_id: uuid.UUID, first_line: int, spellings: Mapping[int, str]) -> int:
    """Give addresses the spelling of the chunk that begins on `first_line` if a later chunk of the job gave theirs.

    `spellings` are those of the chunk by mapping id. Runs in the transaction that finishes the chunk; the number of
    changed mappings is returned.
    """
    if not spellings:
        return 0
    with binary_cursor() as cursor:
        ids = sorted(spellings)
        cursor.execute(WRITTEN_BY_LATER_CHUNKS, {"ids": ids, "job": job_id, "line": first_line})
        tokens: dict[int, str] = dict(cursor.fetchall())
        if not tokens:
            return 0
        cursor.execute(SPOKEN_OF, {"ids": list(tokens)})
        for (mapping_id,) in cursor.fetchall():
            del tokens[mapping_id]
        seal = keyring(enterprise_id).sealer(Purpose.VALUE)
        values = [
            seal(spellings[mapping_id].encode(), place_of_value(enterprise_id, Kind.EMAIL, token))
            for mapping_id, token in tokens.items()
        ]
        cursor.execute(RESPELL, {"ids": list(tokens), "values": values})
    return len(tokens)
