"""The payload log: whose entries it shows, how it filters, and that it never counts or skips rows."""

import datetime
import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Api, Outcome, PayloadEntry
from portal.desk import log, patience
from portal.roles import Role
from tests.portal.desk import cast
from tests.portal.desk.exchanges import logged
from tokens.models import Enterprise

LOG = "/admin/log/"


def shown(browser: Client, query: str = "") -> list[str]:
    """Ids of the entries on the page, in their order."""
    response = browser.get(LOG + query)
    assert response.status_code == 200
    return re.findall(r'class="row-link" href="/admin/log/([0-9a-f-]{36})/"', response.content.decode())


def follow(browser: Client, page: str, link: str) -> Any:
    [query] = re.findall(rf'href="(\?[^"]+)" rel="{link}"', page)
    return browser.get(LOG + query.replace("&amp;", "&")).content.decode()


def test_a_time_before_all_times_is_no_error(olivia: Client) -> None:
    for moment in ("0001-01-01T00:00", "1969-12-31T23:59"):
        assert shown(olivia, f"?since={moment}") == []


def test_an_empty_log_says_what_comes_next(olivia: Client) -> None:
    page = olivia.get(LOG).content.decode()
    assert "Nothing here yet" in page
    assert "/admin/clients/" in page


def test_newest_come_first(olivia: Client, acme: Enterprise) -> None:
    old, new = logged(acme, ago=60), logged(acme, ago=5)
    assert shown(olivia) == [str(new), str(old)]


def test_nobody_sees_entries_of_an_enterprise_in_which_they_have_no_role(
    olivia: Client, acme: Enterprise, rival: Enterprise
) -> None:
    theirs, nobodys, ours = logged(rival), logged(None), logged(acme)
    assert shown(olivia) == [str(ours)]
    assert shown(olivia, f"?id={theirs}") == []
    assert shown(olivia, f"?id={nobodys}") == []


def test_a_filter_for_another_enterprise_is_no_way_around(rival: Enterprise, acme: Enterprise) -> None:
    logged(rival)
    assert shown(cast.at_desk(Role.AUDITOR, acme), f"?enterprise={rival.pk}") == []


def test_a_role_everywhere_also_sees_entries_of_no_enterprise(acme: Enterprise, rival: Enterprise) -> None:
    ids = {str(logged(acme)), str(logged(rival)), str(logged(None))}
    browser = cast.at_desk(Role.AUDITOR)
    assert set(shown(browser)) == ids
    assert len(shown(browser, f"?enterprise={rival.pk}")) == 1


@pytest.mark.parametrize(
    ("query", "facts"),
    [
        ("within=1h", {}),
        ("api=get-token", {"api": Api.GET_TOKEN}),
        ("status=503", {"status": 503}),
        ("status=4xx", {"status": 403}),
        ("status=5xx", {"status": 500}),
        ("outcome=partial", {"outcome": Outcome.PARTIAL}),
        ("address=203.0.113.9", {"remote_address": "203.0.113.9"}),
        ("odd=on", {"anomalies": [(0, "key_not_linked")]}),
    ],
)
def test_each_filter_keeps_what_matches(olivia: Client, acme: Enterprise, query: str, facts: Any) -> None:
    logged(acme, ago=7200)
    wanted = logged(acme, ago=5, **facts)
    assert shown(olivia, "?" + query)[0] == str(wanted)
    assert len(shown(olivia, "?" + query)) == 1
    assert len(shown(olivia)) == 2


def test_an_entry_is_found_by_its_request_id_and_by_its_client(
    olivia: Client, acme: Enterprise, caller: Any
) -> None:
    logged(acme)
    wanted = logged(acme, client_id=caller.client.client_id)
    assert shown(olivia, f"?id={wanted}") == [str(wanted)]
    assert shown(olivia, f"?client={caller.client.client_id}") == [str(wanted)]


def test_a_range_of_time_has_a_first_and_no_last_moment(olivia: Client, acme: Enterprise) -> None:
    for minutes in (30, 20, 10):
        logged(acme, ago=minutes * 60)
    now = timezone.now()
    since, until = (now - datetime.timedelta(minutes=m) for m in (25, 15))
    assert len(shown(olivia, f"?since={since:%Y-%m-%dT%H:%M:%S}&until={until:%Y-%m-%dT%H:%M:%S}")) == 1


def test_a_filter_that_makes_no_sense_is_explained(olivia: Client, acme: Enterprise) -> None:
    logged(acme)
    page = olivia.get(LOG + "?address=nowhere").content.decode()
    assert "Please mend what is marked below" in page
    assert "row-link" not in page


def test_pages_follow_each_other_without_loss_or_repetition(olivia: Client, acme: Enterprise) -> None:
    made = [str(logged(acme, ago=ago)) for ago in range(120, 0, -1)]
    page, seen = olivia.get(LOG).content.decode(), []
    while True:
        seen += re.findall(r'href="/admin/log/([0-9a-f-]{36})/"', page)
        if 'rel="next"' not in page:
            break
        logged(acme)  # the log grows meanwhile
        page = follow(olivia, page, "next")
    assert seen == made[::-1]


def test_the_way_back_leads_to_the_same_page(olivia: Client, acme: Enterprise) -> None:
    for ago in range(60, 0, -1):
        logged(acme, ago=ago)
    first = shown(olivia)
    second = follow(olivia, olivia.get(LOG).content.decode(), "next")
    back = follow(olivia, second, "prev")
    assert re.findall(r'href="/admin/log/([0-9a-f-]{36})/"', back) == first
    assert 'rel="prev"' not in back


def test_links_to_other_pages_keep_the_filter(olivia: Client, acme: Enterprise) -> None:
    for ago in range(60, 0, -1):
        logged(acme, ago=ago, status=500)
    page = olivia.get(LOG + "?status=500").content.decode()
    assert re.search(r'href="\?status=500&amp;older=[0-9a-f-]+" rel="next"', page)


@pytest.mark.parametrize("query", ["?older=nonsense", "?newer=1", f"?older={uuid.UUID(int=0)}"])
def test_a_cursor_that_makes_no_sense_does_no_harm(olivia: Client, acme: Enterprise, query: str) -> None:
    logged(acme)
    assert olivia.get(LOG + query).status_code == 200


@pytest.mark.slow
def test_ten_thousand_entries_cost_as_many_queries_as_one_and_none_counts_or_skips(
    olivia: Client, acme: Enterprise
) -> None:
    logged(acme)
    with CaptureQueriesContext(
        connection,
    ) as few:
        olivia.get(LOG)
    for ago in range(10_000, 0, -1):
        logged(acme, ago=ago / 10)
    with CaptureQueriesContext(connection) as many:
        assert len(shown(olivia)) == 50
    assert len(many) == len(few)
    assert len(many) <= 13, [query["sql"][:90] for query in many]
    said = " ".join(query["sql"].upper() for query in many)
    assert "COUNT(" not in said
    assert "OFFSET" not in said


def test_the_list_reads_no_body(olivia: Client, acme: Enterprise) -> None:
    logged(acme)
    with CaptureQueriesContext(connection) as queries:
        olivia.get(LOG)
    [read] = [query["sql"] for query in queries if 'FROM "audit_payloadentry"' in query["sql"]]
    assert "skeleton" not in read
    assert "residue" not in read


def test_a_filter_that_takes_too_long_is_given_up_with_advice(
    olivia: Client, acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(acme)

    def slow(*args: object, **kwargs: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '30ms'")
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(log, "sheet", slow)
    page = olivia.get(LOG).content.decode()
    assert "Choose a narrower time" in page


def test_patience_ends_and_leaves_the_connection_as_it_was(db: None) -> None:
    with connection.cursor() as cursor:
        with pytest.raises(patience.TookTooLong), patience.patience(1):
            cursor.execute("SELECT pg_sleep(10)")
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_nothing_on_the_page_edits_or_deletes(olivia: Client, acme: Enterprise) -> None:
    logged(acme)
    page = olivia.get(LOG).content.decode()
    forms = re.findall(r'method="post" action="([^"]+)"', page)
    assert set(forms) == {"/admin/search/", "/admin/logout/"}
    assert PayloadEntry.objects.count() == 1
