"""Joins the client's journal with the payload log; a process of its own, over the portal's database.

`python -m tests.journeys.log_check JOURNAL` prints one JSON object. A line of the journal is found when the log has an
entry of that request id, with status 200, whose rebuilt bodies are proven by their keyed digests and have the SHA-256
that the client saw.
"""

import hashlib
import json
import os
import sys
import uuid
from collections import Counter
from pathlib import Path

import django


def main(journal: Path) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    django.setup()
    found: Counter[str] = Counter()
    for line in journal.read_text().splitlines():
        found[verdict(json.loads(line))] += 1
    print(json.dumps(found))


def verdict(line: dict[str, str]) -> str:
    """What the log knows of one answer that the client holds."""
    from audit.models import PayloadEntry
    from tokens.log.rebuild import Proof, rebuild

    entry = PayloadEntry.objects.filter(pk=uuid.UUID(line["id"])).first()
    if entry is None or entry.status != line["status"]:
        return "unlogged"
    exchange = rebuild(entry)
    for body, seen in ((exchange.request, line["request"]), (exchange.response, line["response"])):
        if body.proof is not Proof.PROVEN or body.exact is None:
            return f"body {body.proof.value}"
        if hashlib.sha256(body.exact).hexdigest() != seen:
            return "other body"
    return "found"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
