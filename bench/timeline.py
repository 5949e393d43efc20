"""The timeline of a person in a long log: every exchange that touched them, from the index."""

import random
import time

import psycopg

from bench.fixture import Fixture
from bench.report import Report, Target
from bench.seals import an_exchange, columns_of, forget
from portal.embedded import Urls

PEOPLE_AN_ENTRY = 500
PERSONS = 40
LINES = 50
WITHIN_MS = 200

FILL = """
INSERT INTO audit_payloadentry
SELECT filled.* FROM (
    SELECT uuidv7(random() * interval '-1 hour') AS id,
           -- asked of each entry anew, since it names the entry's number
           (SELECT array_agg(%(first)s + (random() * %(links)s)::bigint)
            FROM generate_series(1, %(people)s) WHERE number > 0) AS links
    FROM generate_series(1, %(entries)s) AS number
) made, LATERAL jsonb_populate_record(
    NULL::audit_payloadentry,
    %(shared)s::jsonb || jsonb_build_object('id', id, 'enterprise_id', %(enterprise)s, 'links', links,
                                            'header', '', 'leaf_hash', '')
) filled
"""


def measure(report: Report, found: Fixture, urls: Urls, entries: int) -> None:
    """How long the first page of somebody's timeline takes, and how many exchanges it is cut from."""
    forget(urls)
    began = time.perf_counter()
    print(f"Writing a log of {entries:,} entries of {PEOPLE_AN_ENTRY} people each ...", flush=True)
    fill(urls, found, entries)
    print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    took, touched = asked(found)
    report.title(f"The timeline of a person over {entries:,} entries of {PEOPLE_AN_ENTRY} people")
    report.add("exchanges of one person, mean", "", [sum(touched) / len(touched)])
    report.add("the newest fifty lines, median", "ms", [took[len(took) // 2]])
    report.add("the slowest of forty persons", "ms", [took[-1]], Target(at_most=WITHIN_MS))
    forget(urls)


def fill(urls: Urls, found: Fixture, entries: int) -> None:
    """Entries that no client sent: only what the index and the timeline read of them."""
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        row = connection.execute(
            "SELECT min(id), max(id) - min(id) FROM tokens_contactmapping WHERE enterprise_id = %s",
            [found.enterprise_id],
        ).fetchone()
        assert row is not None
        connection.execute("SET session_replication_role = replica")  # passes the append-only triggers
        parameters = {
            "first": row[0], "links": row[1], "people": PEOPLE_AN_ENTRY, "entries": entries,
            "shared": columns_of(an_exchange()), "enterprise": found.enterprise_id,
        }  # fmt: skip
        connection.execute(FILL, parameters)
        connection.execute("VACUUM ANALYZE audit_payloadentry")
        connection.execute(
            "CHECKPOINT"
        )  # or whoever is asked for next waits for what filling left to be written


def asked(found: Fixture) -> tuple[list[float], list[int]]:
    """Milliseconds of each person's page, sorted, and how many exchanges touched each."""
    from audit.models import PayloadEntry
    from tokens.dossier import timeline
    from tokens.models import ContactMapping
    from tokens.vault import find

    draw = random.Random(7)
    links = ContactMapping.objects.filter(enterprise=found.enterprise_id).select_related("mapping")
    first, last = links.order_by("pk").first(), links.order_by("-pk").first()
    assert first is not None
    assert last is not None
    took, touched = [], []
    for number in range(PERSONS + 1):
        chosen = links.filter(pk__gte=draw.randint(first.pk, last.pk)).order_by("pk").first()
        assert chosen is not None
        began = time.perf_counter()
        timeline.lines(
            find.of_mapping(chosen.mapping), list(timeline.LineKind), older=None, newer=None, limit=LINES
        )
        if number:  # the first one warms caches and connections
            took.append(1000 * (time.perf_counter() - began))
            touched.append(PayloadEntry.objects.filter(links__contains=[chosen.pk]).count())
    return sorted(took), touched
