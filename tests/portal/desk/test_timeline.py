"""The timeline of a person: one list of everything on record, paged by key, filtered by kind."""

import html
import re
from typing import Any

import pytest
from django.db import connection, connections
from django.http import HttpRequest, QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import trail
from audit.models import AuditEvent
from audit.partitions import name_of
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.desk.keyset import sheet_by
from portal.roles import Role
from tests.conftest import OwnDatabase
from tests.portal.desk import cast
from tests.portal.desk.exchanges import logged
from tests.tokens.api import cast as api_cast
from tests.tokens.bulk import scene
from tests.tokens.cast import an_enterprise, mapping_of
from tokens.consent.opt_outs import record_opt_out
from tokens.dossier import timeline
from tokens.dossier.timeline import LineKind
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Mapping
from tokens.vault import find

OTTO = Actor("user:99", "otto", "192.0.2.9")


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def looked_at(mapping: Mapping, actor: Actor = OTTO, action: Action = Action.PERSON_VIEWED) -> None:
    target = Target("mapping", str(mapping.pk), mapping.token)
    trail.record(action, actor=actor, enterprise_id=mapping.enterprise_id, target=target)


def all_lines(mapping: Mapping, **window: Any) -> list[timeline.Line]:
    return timeline.lines(find.of_mapping(mapping), list(LineKind), **({"limit": 500} | window))


def link_of(mapping: Mapping) -> int:
    return int(mapping.links.get().pk)


def opt_out(acme: Enterprise, mapping: Mapping, number: int = 1) -> ConsentEvent:
    return record_opt_out(
        acme,
        kind=Kind.EMAIL,
        mapping=mapping,
        source=ConsentEvent.Source.OFFICER,
        source_id=str(number),
        occurred_at=timezone.now(),
        actor=OTTO,
    )


def test_everything_stands_in_one_list_in_the_order_of_time(
    acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    asked = caller.resolve(api_cast.ask(ana.token))["X-Request-ID"]
    looked_at(ana)
    out = opt_out(acme, ana)
    looked_at(ana, action=Action.PERSON_SEARCHED)
    lines = all_lines(ana)
    assert [line.kind for line in lines] == [
        LineKind.SIGHT, LineKind.CONSENT, LineKind.SIGHT, LineKind.EXCHANGE, LineKind.RECORD, LineKind.RECORD,
    ]  # fmt: skip
    assert lines[1].pk == out.pk
    assert str(lines[3].pk) == asked
    assert [line.pk for line in lines] == sorted((line.pk for line in lines), reverse=True)


def test_what_others_did_or_belongs_to_others_is_not_in_it(
    acme: Enterprise, rival: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    before = len(all_lines(ana))
    ben = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.BEN))
    looked_at(ben)
    opt_out(acme, ben)
    caller.resolve(api_cast.ask(ben.token))
    twin = Mapping.objects.get(token=api_cast.a_person(rival, *api_cast.ANA))
    opt_out(rival, twin, 2)
    # An event of another enterprise that names the same id, or another thing with the same id.
    trail.record(
        Action.PERSON_VIEWED, actor=OTTO, enterprise_id=rival.pk, target=Target("mapping", str(ana.pk))
    )
    trail.record(
        Action.CLIENT_CHANGED, actor=OTTO, enterprise_id=acme.pk, target=Target("client", str(ana.pk))
    )
    assert len(all_lines(ana)) == before


def test_acts_upon_the_mapping_that_nobody_thought_of_yet_are_in_it(acme: Enterprise, ana: Mapping) -> None:
    """Whatever the vocabulary names one day: the query asks for the target, not for a list of acts."""
    looked_at(ana, action=Action.KEY_CREATED)
    assert all_lines(ana)[0].kind == LineKind.ACT


@pytest.mark.django_db
def test_the_job_that_gave_the_attributes_is_in_it() -> None:
    enterprise = scene.make_enterprise()
    job = scene.converted(enterprise, scene.HEADER + "SUB-1,ana@mail.example,,Ana,Rome,\n")
    ana = Mapping.objects.get(kind=Kind.EMAIL)
    assert [line.what for line in all_lines(ana) if line.kind == LineKind.JOB] == [job]


# Half of the entries, then events, opt-outs and entries by turns, so that pages begin in the middle of each source.
@pytest.fixture
def long(acme: Enterprise, ana: Mapping) -> list[timeline.Line]:
    for number in range(30):
        logged(acme, ago=1000 - number, links=[link_of(ana)])
    for number in range(15):
        looked_at(ana)
        opt_out(acme, ana, number)
        logged(acme, links=[link_of(ana)])
    lines = all_lines(ana)
    assert len(lines) == 77
    return lines


@pytest.mark.parametrize("size", [1, 7, 50, 76, 77, 78])
def test_pages_by_key_show_each_line_once_forwards_and_back(
    ana: Mapping, long: list[timeline.Line], size: int
) -> None:
    found = find.of_mapping(ana)

    def page(query: str) -> Any:
        request = HttpRequest()
        request.GET = QueryDict(query.removeprefix("?"))
        return sheet_by(
            lambda older, newer, limit: timeline.lines(
                found, list(LineKind), older=older, newer=newer, limit=limit
            ),
            request,
            size=size,
        )

    pages = [page("")]
    while pages[-1].older:
        pages.append(page(pages[-1].older))
    assert [line.pk for one in pages for line in one.rows] == [line.pk for line in long]
    back = [pages[-1]]
    while back[-1].newer:
        back.append(page(back[-1].newer))
    seen = [line.pk for one in reversed(back) for line in one.rows]
    assert seen == [line.pk for line in long]


@pytest.mark.parametrize("kind", list(LineKind))
def test_one_kind_at_a_time(ana: Mapping, long: list[timeline.Line], kind: LineKind) -> None:
    only = timeline.lines(find.of_mapping(ana), [kind], limit=500)
    assert [line.pk for line in only] == [line.pk for line in long if line.kind == kind]


# -- the page -----------------------------------------------------------------------------------------------
def test_the_page_filters_by_kind_and_says_who_saw_the_person(olivia: Client, ana: Mapping) -> None:
    looked_at(ana)
    page = text(olivia.get(f"/admin/people/{ana.pk}/?show=sight"))
    assert "otto" in page
    assert "Token made" not in page
    assert "Token made" in text(olivia.get(f"/admin/people/{ana.pk}/?show=record"))
    assert "Token made" in text(olivia.get(f"/admin/people/{ana.pk}/?show=nonsense"))


@pytest.mark.parametrize("show", ["exchange", "sight", "consent", "act"])
def test_kinds_that_a_role_may_not_see_can_not_be_asked_for(
    acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud, show: str
) -> None:
    caller.resolve(api_cast.ask(ana.token))
    looked_at(ana)
    looked_at(ana, action=Action.KEY_CREATED)
    opt_out(acme, ana)
    page = text(cast.at_desk(Role.DATA_ENGINEER, acme).get(f"/admin/people/{ana.pk}/?show={show}"))
    assert "otto" not in page
    assert "/admin/log/" not in page
    assert "Token made" in page


def test_the_second_page_is_reached_by_its_link(olivia: Client, ana: Mapping, long: Any) -> None:
    first = text(olivia.get(f"/admin/people/{ana.pk}/"))
    older = re.search(r'href="(\?older=[^"]+)"', first)
    assert older
    second = text(olivia.get(f"/admin/people/{ana.pk}/{older[1]}"))
    oldest, newest = (f"/admin/log/{line.pk}/" for line in (long[-1], long[0]))
    assert (oldest in second, newest in second) == (True, False)
    assert (oldest in first, newest in first) == (False, True)


def test_a_timeline_costs_the_same_statements_however_long_it_is(
    acme: Enterprise, ana: Mapping, long: Any
) -> None:
    found = find.of_mapping(ana)

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            timeline.lines(found, list(LineKind), limit=51)
        return len(captured)

    assert statements() == 4
    for _ in range(60):
        looked_at(ana)
    assert statements() == 4


# -- how PostgreSQL finds it --------------------------------------------------------------------------------
EVENTS = """
INSERT INTO audit_auditevent (id, at, enterprise_id, action, actor_id, actor_name, target_type, target_id, target_name,
                              details, header, leaf_hash)
SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
       now(), %s, 'person.viewed', 'user:1', 'x', 'mapping', (n %% 2000)::text, 'x', '{}', '\\x', '\\x'
FROM generate_series(1, 20000) n;
"""


@pytest.fixture
def large(own_database: OwnDatabase) -> Mapping:
    """Ana among 20,000 events of 2,000 people."""
    ana = mapping_of(an_enterprise(), "ana@mail.example")
    with connections["owner"].cursor() as cursor:
        cursor.execute(EVENTS.replace("n % 4096", "n %% 4096"), [ana.enterprise_id])
        cursor.execute("ANALYZE audit_auditevent")
    looked_at(ana)
    return ana


def plan_of_events(mapping: Mapping) -> str:
    return timeline.events_of(mapping).order_by("-pk")[:51].explain()


def test_events_of_a_person_are_found_by_their_index(large: Mapping) -> None:
    plan = plan_of_events(large)
    assert "target_id" in " ".join(line for line in plan.splitlines() if "Index Cond" in line)
    assert f"Seq Scan on {name_of('audit_auditevent', timezone.now().date())}" not in plan
    assert AuditEvent.objects.count() > 20_000


def test_without_the_index_they_would_not_be(large: Mapping) -> None:
    """The known-bad twin."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP INDEX event_by_target")
    plan = plan_of_events(large)
    assert not any("target_id" in line for line in plan.splitlines() if "Index Cond" in line)
