"""Tries that gave no token, from our own payload log: what can still be saved, what is lost, and the books of both."""

import dataclasses
import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from structlog.testing import capture_logs

from audit.models import AuditEvent
from audit.vocabulary import Action
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import OLGA, an_enterprise
from tests.tokens.no_token_queue.cast import ANA, BEN, csv_of, imported
from tokens.api import allowlist
from tokens.formats.kinds import Kind
from tokens.models import Enterprise, QueueReconciliation, TokenChain
from tokens.no_token_queue import following, mending, reconcile, taking
from tokens.no_token_queue.chains import GRACE, Chain, Ladder, Try, group
from tokens.no_token_queue.following import follow, open_chains

LADDER = Ladder((5, 30, 60, 120))
START = datetime.datetime(2024, 11, 20, 14, 0, tzinfo=datetime.UTC)
HOURS = datetime.timedelta(hours=2)
End = TokenChain.End


def a_try(seconds: float, value: bytes = b"ana", entry: int | None = None) -> Try:
    at = START + datetime.timedelta(seconds=seconds)
    return Try(
        uuid.UUID(int=entry or int(seconds) + 1),
        at,
        value,
        Kind.MOBILE,
        "4477•••••23",
        "46356",
        "internal_error",
    )


# -- pure: chains -----------------------------------------------------------------------------------------------
def test_tries_of_a_value_are_one_chain_and_the_countdown_follows_the_ladder() -> None:
    [chain] = group([a_try(0), a_try(6), a_try(38)], LADDER)
    assert len(chain.tries) == 3
    assert chain.next_at == START + datetime.timedelta(seconds=38 + 60)
    assert chain.ends_at == START + datetime.timedelta(seconds=38 + 60 + 120)


@pytest.mark.parametrize(
    ("tries", "seconds", "end"),
    [
        ([0], 4, End.OPEN),
        ([0, 6], 100, End.OPEN),
        ([0, 6], 6 + 30 + GRACE.total_seconds() + 1, End.SILENT),
        ([0, 5, 35, 95, 215], 216, End.EXHAUSTED),
    ],
)
def test_a_chain_is_open_until_its_last_try_or_until_the_next_one_does_not_come(
    tries: list[float], seconds: float, end: End
) -> None:
    [chain] = group([a_try(one) for one in tries], LADDER)
    assert chain.end(START + datetime.timedelta(seconds=seconds)) is end


def test_a_sixth_try_or_a_late_one_begins_another_chain_since_the_person_wrote_again() -> None:
    assert [len(one.tries) for one in group(map(a_try, [0, 5, 35, 95, 215, 220]), LADDER)] == [5, 1]
    assert [len(one.tries) for one in group([a_try(0), a_try(500)], LADDER)] == [1, 1]


def test_values_apart_are_chains_apart_and_a_value_twice_in_a_call_is_one_try() -> None:
    tries = [a_try(0), a_try(0, b"ben", entry=9), a_try(0), a_try(5)]
    assert sorted(len(one.tries) for one in group(tries, LADDER)) == [1, 2]


def test_the_order_in_which_tries_are_read_does_not_matter() -> None:
    tries = [a_try(second) for second in (0, 5, 35, 95)]
    assert [one.id for one in group(tries, LADDER)] == [one.id for one in group(reversed(tries), LADDER)]


@pytest.mark.parametrize(
    "reason", ["phone_letters", "unknown_token_type", "internal_error", "unavailable", "no_free_token", "odd"]
)
def test_every_reason_is_told_with_what_mends_it(reason: str) -> None:
    wrong, mend = mending.what_to_mend(reason)
    assert wrong
    assert mend.endswith((".", "?"))


# -- from the real log ------------------------------------------------------------------------------------------
@pytest.fixture(autouse=True)
def _fresh_allowlist() -> Iterator[None]:
    allowlist.union.forget()
    yield
    allowlist.union.forget()


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


@pytest.fixture
def caller(acme: Enterprise) -> api_cast.MarketingCloud:
    return api_cast.a_caller(acme)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Get Token fails with 500 until it is undone."""

    def fails(*args: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("tokens.api.get_token.get_or_create", fails)
    return monkeypatch


def text_stop(caller: api_cast.MarketingCloud, number: str, times: int = 1) -> Any:
    for attempt in range(times):
        answer = caller.get_token(
            api_cast.want(number, f"r-{attempt}", kind="MobileNumber", privateCode="46356")
        )
    return answer


def test_a_failing_server_shows_who_can_still_be_saved_and_their_token_ends_it(
    acme: Enterprise, caller: api_cast.MarketingCloud, broken: pytest.MonkeyPatch
) -> None:
    assert text_stop(caller, ANA, times=2).status_code == 500
    [chain] = open_chains(acme)
    assert (len(chain.tries), chain.last.masked, chain.last.reason) == (2, "4477•••••23", "internal_error")
    assert chain.last.code == "46356"
    broken.undo()
    assert len(text_stop(caller, ANA).json()["tokens"]) == 1
    assert open_chains(acme) == []
    follow(acme)
    assert TokenChain.objects.get().end == End.ANSWERED


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (api_cast.want("12", kind="MobileNumber"), "phone_not_possible"),
        (api_cast.want(ANA, kind="Fax"), "unknown_token_type"),
    ],
)
def test_a_value_without_a_token_in_an_answered_call_is_a_try_too(
    acme: Enterprise, caller: api_cast.MarketingCloud, item: dict[str, Any], reason: str
) -> None:
    good = api_cast.want(BEN, "r-2")
    for _ in range(2):
        assert len(caller.get_token(item, good).json()["tokens"]) == 1
    [chain] = open_chains(acme)
    assert len(chain.tries) == 2
    assert chain.last.reason == reason


def test_what_was_refused_unread_is_told_by_client_since_nobody_knows_whose_it_is(
    acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    stranger = api_cast.a_caller(acme, name="Journeys", networks=["192.0.2.0/24"])
    assert text_stop(stranger, ANA).status_code == 403
    assert open_chains(acme) == []
    [unread] = mending.refused_unread([acme.pk], timezone.now() - HOURS)
    assert (unread.client, unread.times) == ("Journeys", 1)
    assert "allowlist" in unread.mend


def test_following_the_log_twice_keeps_one_row_and_brings_it_up_to_date(
    acme: Enterprise, caller: api_cast.MarketingCloud, broken: pytest.MonkeyPatch
) -> None:
    text_stop(caller, ANA, times=3)
    follow(acme)
    assert TokenChain.objects.get().end == End.OPEN
    text_stop(caller, ANA, times=2)
    follow(acme)
    row = TokenChain.objects.get()
    assert (row.end, len(row.entries)) == (End.EXHAUSTED, 5)
    follow(acme)
    assert TokenChain.objects.count() == 1


# -- the books --------------------------------------------------------------------------------------------------
def row(number: str) -> tuple[str, str, str, str]:
    return (number, "46356", "STOP", f"{timezone.now():%m/%d/%Y %H:%M:%S}")


def test_what_fell_into_the_queue_and_was_seen_by_us_is_explained(
    acme: Enterprise, caller: api_cast.MarketingCloud, broken: pytest.MonkeyPatch
) -> None:
    text_stop(caller, ANA, times=5)
    imported(acme, csv_of(row(ANA)), at=timezone.now())
    kept = reconcile.reconcile(acme, actor=OLGA)
    assert kept.unexplained_count == 0
    assert (kept.counts["messages"], kept.counts["seen"], kept.counts["in_extract"]) == (1, 1, 1)
    assert AuditEvent.objects.get(action=Action.QUEUE_RECONCILED).details["unexplained"] == 0


def test_without_the_log_the_same_message_would_be_a_gap(
    acme: Enterprise, caller: api_cast.MarketingCloud, broken: pytest.MonkeyPatch
) -> None:
    """The known-bad twin of the test above."""
    broken.setattr(reconcile, "follow", lambda enterprise: 0)
    text_stop(caller, ANA, times=5)
    imported(acme, csv_of(row(ANA)), at=timezone.now())
    assert reconcile.reconcile(acme, actor=OLGA).unexplained_count == 1


def test_a_message_that_never_reached_us_is_named_masked_until_somebody_explains_it(acme: Enterprise) -> None:
    imported(acme, csv_of(row(BEN)), at=timezone.now())
    [gap] = reconcile.reconcile(acme, actor=OLGA).unexplained
    assert (gap["why"], gap["masked"]) == ("gap", "4477•••••56")
    assert BEN not in str(QueueReconciliation.objects.get().unexplained)
    reconcile.explain("message", uuid.UUID(gap["id"]), reason="INC-4711: the proxy was down", actor=OLGA)
    kept = reconcile.reconcile(acme, actor=OLGA)
    assert (kept.unexplained_count, kept.counts["explained"]) == (0, 1)


def test_a_chain_without_a_token_waits_for_the_next_extract_and_is_missing_when_that_lacks_it(
    acme: Enterprise, caller: api_cast.MarketingCloud, broken: pytest.MonkeyPatch
) -> None:
    text_stop(caller, ANA, times=5)
    imported(acme, csv_of(), at=timezone.now())
    assert reconcile.reconcile(acme).counts["pending"] == 1
    with time_machine.travel(timezone.now() + HOURS):
        imported(acme, csv_of(), at=timezone.now())
        [missing] = reconcile.reconcile(acme).unexplained
    assert (missing["what"], missing["why"], missing["masked"]) == ("chain", "missing", "4477•••••23")


def test_what_was_refused_unread_at_that_time_explains_a_message(
    acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    text_stop(api_cast.a_caller(acme, name="Journeys", networks=["192.0.2.0/24"]), ANA)
    imported(acme, csv_of(row(ANA)), at=timezone.now())
    kept = reconcile.reconcile(acme, actor=OLGA)
    assert (kept.unexplained_count, kept.counts["refused_unread"]) == (0, 1)


def test_a_chain_of_long_ago_explains_no_new_message(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(acme, csv_of(row(ANA)), at=timezone.now())
    message = reconcile.QueueMessage.objects.get()
    days_ago = timezone.now() - datetime.timedelta(days=3)
    chain = TokenChain(value_digest=bytes(message.blind_index), first_at=days_ago, last_at=days_ago)
    assert not reconcile.is_match(message, chain)
    chain.last_at = timezone.now()
    assert reconcile.is_match(message, chain)


def test_tasks_work_every_enterprise(acme: Enterprise) -> None:
    imported(acme, csv_of(row(BEN)), at=timezone.now())
    an_enterprise("Quiet")
    following.follow_all()
    reconcile.reconcile_all()
    assert QueueReconciliation.objects.get().enterprise == acme


def test_one_enterprise_that_fails_is_logged_and_keeps_no_other_waiting(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    beta = an_enterprise("Beta")
    for one in (acme, beta):
        imported(one, csv_of(row(BEN)), at=timezone.now())
    real = reconcile.follow

    def failing(enterprise: Enterprise) -> int:
        if enterprise == acme:
            raise OverflowError(BEN)
        return real(enterprise)

    monkeypatch.setattr(reconcile, "follow", failing)
    with capture_logs() as logs:
        reconcile.reconcile_all()
    assert QueueReconciliation.objects.get().enterprise == beta
    [failed] = [line for line in logs if line["event"] == "queue.not-reconciled"]
    assert (failed["enterprise"], failed["code"]) == (str(acme.pk), "OverflowError")
    assert BEN not in str(logs)


def test_a_date_of_the_year_one_that_was_stored_before_is_reckoned_as_none(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
    with monkeypatch.context() as patch:
        patch.setattr(taking, "read_date", lambda *_, **__: received)
        imported(acme, csv_of(row(BEN)), at=timezone.now())
    assert reconcile.QueueMessage.objects.get().received_at == received
    assert reconcile.reconcile(acme).unexplained_count == 1


def test_a_chain_that_got_its_token_is_answered_whatever_its_tries() -> None:
    [chain] = group([a_try(0), a_try(5)], LADDER)
    answered: Chain = dataclasses.replace(chain, answered=True)
    assert answered.end(START) is End.ANSWERED
