"""The ids under which sources know their events, as we keep them: keyed digests, for an id can hold anything.

The key changes now and then. What was digested under an earlier one keeps that digest, so that an event which comes
again is still known.
"""

import json
from collections.abc import Sequence

from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.models import ConsentEvent, Enterprise


def source_ids(
    enterprise: Enterprise, source: ConsentEvent.Source, named: Sequence[Sequence[str]]
) -> list[str]:
    """The id of each event that its source names by these parts; `named[n]` is never ambiguous."""
    ring = keyring(enterprise.pk)
    data = [json.dumps([source.value, *parts]).encode() for parts in named]
    current = [ring.digest(Purpose.LOG_DIGEST, one)[1].hex() for one in data]
    every = [[digest.hex() for digest in ring.digests_under_all(Purpose.LOG_DIGEST, one)] for one in data]
    earlier = [one for digests, now in zip(every, current, strict=True) for one in digests if one != now]
    if not earlier:
        return current
    stored = ConsentEvent.objects.filter(enterprise=enterprise, source=source, source_id__in=earlier)
    known = set(stored.values_list("source_id", flat=True))
    return [
        next((one for one in digests if one in known), now)
        for digests, now in zip(every, current, strict=True)
    ]
