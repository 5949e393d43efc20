"""The start page: figures that are right, bounded in cost, and the person's own."""

import html
import json
import re
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis.exceptions import ConnectionError as RedisConnectionError

from audit import trail
from audit.models import Api, Outcome
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal.desk import figures
from portal.desk.figures import Scope
from portal.roles import Role
from tests.portal.desk import cast
from tests.portal.desk.exchanges import logged
from tokens.models import Enterprise


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def cards(browser: Client) -> dict[str, str]:
    """The figures by name."""
    found = re.findall(
        r'figure-name">([^<]+)</span>\s*<span class="figure-value">([^<]+)</span>',
        text(browser.get("/admin/")),
    )
    return dict(found)


def plots(browser: Client) -> Any:
    [block] = re.findall(
        r'<script id="plots" type="application/json">(.*?)</script>', browser.get("/admin/").content.decode()
    )
    return json.loads(block)


def scope_of(*enterprises: Enterprise) -> Scope:
    return Scope(False, tuple(enterprise.pk for enterprise in enterprises))


def test_figures_are_of_the_last_hour_and_day(olivia: Client, acme: Enterprise) -> None:
    for hours in (0.1, 0.5, 3, 20, 30):
        logged(acme, ago=hours * 3600, items_asked=10, items_answered=9, outcome=Outcome.PARTIAL)
    seen = cards(olivia)
    assert seen["Exchanges, last hour"] == "2"
    assert "4 in 24 hours" in text(olivia.get("/admin/"))
    assert seen["Unresolved, 24 h"] == "10.00 %"


def test_figures_are_of_ones_own_enterprises(olivia: Client, acme: Enterprise, rival: Enterprise) -> None:
    logged(acme)
    logged(rival)
    logged(None)
    assert cards(olivia)["Exchanges, last hour"] == "1"
    assert cards(cast.at_desk(Role.AUDITOR))["Exchanges, last hour"] == "3"


def test_latency_is_that_of_answered_calls(olivia: Client, acme: Enterprise) -> None:
    for milliseconds in range(1, 101):
        logged(acme, duration_us=milliseconds * 1000)
    logged(acme, duration_us=59_000_000, status=503, outcome=Outcome.FAILED)
    logged(acme, duration_us=59_000_000, api=Api.OAUTH)
    count = figures.last_hour(scope_of(acme))
    assert (count.p50, count.p95, count.p99) == (50_000, 95_000, 99_000)


def test_failing_clients_are_named_and_lead_to_their_calls(olivia: Client, acme: Enterprise) -> None:
    logged(acme)
    logged(acme, status=401, outcome=Outcome.REFUSED, client_id="c-2", client_name="Inbound SMS")
    page = text(olivia.get("/admin/"))
    assert cards(olivia)["Failing clients, 24 h"] == "1"
    assert "most by Inbound SMS" in page
    assert "/admin/log/?within=24h&outcome=refused" in page


def test_alarms_and_open_unsubscribes_are_counted_for_who_may_see_them(
    olivia: Client, acme: Enterprise
) -> None:
    trail.record(Action.ALARM_CANNOT_OPEN, actor=SYSTEM, enterprise_id=acme.pk)
    assert cards(olivia)["Alarms, 24 h"] == "1"
    assert cards(olivia)["To unsubscribe"] == "0"
    assert "Alarms, 24 h" not in cards(cast.at_desk(Role.DATA_ENGINEER, acme))


def test_who_may_not_see_the_log_sees_figures_without_links_to_it(dario: Client, acme: Enterprise) -> None:
    logged(acme)
    page = text(dario.get("/admin/"))
    assert cards(dario)["Exchanges, last hour"] == "1"
    assert "/admin/log/" not in page
    assert plots(dario)["urls"] == []


def test_each_quarter_of_the_plots_leads_to_its_entries(olivia: Client, acme: Enterprise) -> None:
    logged(acme, ago=3 * 3600)
    drawn = plots(olivia)
    [quarter] = [index for index, number in enumerate(drawn["outcomes"]["complete"]) if number]
    entries = text(olivia.get(drawn["urls"][quarter]))
    assert entries.count("row-link") == 1
    assert drawn["latency"]["p50"][quarter] == 2.0
    assert drawn["latency"]["p50"][quarter - 1] is None


def test_plots_have_a_table_twin_with_the_same_figures(olivia: Client, acme: Enterprise) -> None:
    logged(acme, ago=3 * 3600, outcome=Outcome.NONE)
    page = text(olivia.get("/admin/"))
    assert page.count("Show as a table") == 2
    [row] = re.findall(
        r"<tr>\s*<td[^>]*>.*?</td>((?:<td class=.right.>\d+</td>){5})", re.sub(r">\s+<", "><", page)
    )
    assert re.findall(r">(\d+)<", row) == ["0", "0", "1", "0", "0"]


def test_with_no_exchange_there_is_a_word_instead_of_an_empty_plot(olivia: Client, acme: Enterprise) -> None:
    page = text(olivia.get("/admin/"))
    assert "No exchange in the last 24 hours" in page
    assert "<canvas" not in page


def test_quarters_that_are_over_are_counted_once(acme: Enterprise) -> None:
    for quarter in range(96):
        logged(acme, ago=quarter * 900 + 1)
    with CaptureQueriesContext(connection) as first:
        day = figures.last_day(scope_of(acme))
    with CaptureQueriesContext(connection) as second:
        again = figures.last_day(scope_of(acme))
    assert day.is_whole
    assert day.sum().total in (95, 96)
    assert again.counts == day.counts
    assert (len(first), len(second)) == (12, 1)


def test_the_running_quarter_is_never_kept(acme: Enterprise) -> None:
    logged(acme)
    before = figures.last_day(scope_of(acme)).sum().total
    logged(acme)
    assert figures.last_day(scope_of(acme)).sum().total == before + 1


def test_what_is_kept_belongs_to_a_scope(acme: Enterprise, rival: Enterprise) -> None:
    logged(acme, ago=3600)
    assert figures.last_day(scope_of(acme)).sum().total == 1
    assert figures.last_day(scope_of(rival)).sum().total == 0
    assert figures.last_day(scope_of(acme, rival)).sum().total == 1


def test_counting_stops_when_its_time_is_up_and_goes_on_at_the_next_visit(
    olivia: Client, acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(acme, ago=20 * 3600)
    monkeypatch.setattr(figures, "_BUDGET_SECONDS", -1.0)
    assert "still being counted" in text(olivia.get("/admin/"))
    monkeypatch.undo()
    assert "still being counted" not in text(olivia.get("/admin/"))


def test_without_the_cache_figures_are_slower_and_right(
    olivia: Client, acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(cache, "get_many", away)
    monkeypatch.setattr(cache, "set_many", away)
    logged(acme)
    assert cards(olivia)["Exchanges, last hour"] == "1"


def test_ten_thousand_entries_cost_as_many_queries_as_none(olivia: Client, acme: Enterprise) -> None:
    olivia.get("/admin/")
    with CaptureQueriesContext(connection) as few:
        olivia.get("/admin/")
    for ago in range(2_000):
        logged(acme, ago=ago)
    with CaptureQueriesContext(connection) as many:
        olivia.get("/admin/")
    assert len(many) == len(few) <= 12
