"""The same STOP after a lift: where no date tells it from a repetition a person decides, and it is not lost."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.approvals import acts, requests
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tests.tokens.no_token_queue.cast import ANA, BEN, YESTERDAY, csv_of, imported, xlsx_of
from tokens.consent import opt_ins
from tokens.crypto.keyring import keyring
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, QueueMessage, Suppression
from tokens.no_token_queue import deciding, erasing, taking

pytestmark = pytest.mark.django_db
HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR
UNDATED = (ANA, "46356", "STOP", "")
OF_A_DAY = (ANA, "46356", "STOP", "11/20/2024")
TIMED = (ANA, "46356", "STOP", "11/20/2024 1:05:00 PM")


@pytest.fixture(autouse=True)
def _everybody_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may ask and decide is the portal's matter."""
    monkeypatch.setattr(acts._outside, "may", lambda *_: True)


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


def lift(*, at: datetime.datetime) -> None:
    """The person of the only opt-out in force consents anew."""
    opt_out = ConsentEvent.objects.filter(action="opt-out").latest("id")
    waits = opt_ins.ask(
        opt_out, consented_at=at, evidence="file DOI-2024-7", reason="She signed up again.", actor=OLGA
    ).waits_for
    assert waits is not None
    requests.approve(waits.pk, actor=IVAN)
    assert not Suppression.objects.exists()


def waiting() -> list[QueueMessage]:
    return list(QueueMessage.objects.filter(state="waiting").order_by("pk"))


@pytest.mark.parametrize("row", [UNDATED, (*UNDATED[:3], "soon"), OF_A_DAY])
def test_a_stop_that_was_lifted_and_comes_again_waits_for_a_person_who_can_block(
    acme: Enterprise, row: tuple[str, ...]
) -> None:
    imported(acme, csv_of(row), at=YESTERDAY - DAY)
    lift(at=YESTERDAY - 2 * HOUR)
    again = imported(acme, csv_of(row))
    assert (again.new, again.known, again.blocked) == (1, 0, 0)
    [message] = waiting()
    assert (message.intent, message.reasons[0]) == ("likely", taking.LIFTED)
    assert not Suppression.objects.exists()
    deciding.opt_out(message.pk, actor=OLGA)
    assert Suppression.objects.filter(blind_index=bytes(message.blind_index), kind=Kind.MOBILE).exists()


def test_a_workbooks_day_without_a_time_is_a_day(acme: Enterprise) -> None:
    row = (ANA, "46356", "STOP", datetime.date(2024, 11, 20))
    imported(acme, xlsx_of(row), at=YESTERDAY - DAY)
    lift(at=YESTERDAY - 2 * HOUR)
    imported(acme, xlsx_of(row))
    assert len(waiting()) == 1


def test_it_waits_once_for_each_extract_also_when_that_says_it_twice(acme: Enterprise) -> None:
    imported(acme, csv_of(UNDATED), at=YESTERDAY - 5 * DAY)
    lift(at=YESTERDAY - 3 * DAY)
    for number in (2, 1):
        for _ in range(2):
            imported(acme, csv_of(UNDATED, UNDATED), at=YESTERDAY - number * DAY)
    assert len(waiting()) == 2


@pytest.mark.parametrize(
    ("row", "lifted_at", "why"),
    [
        (TIMED, YESTERDAY + DAY, "its time tells that it is the same"),
        (OF_A_DAY, YESTERDAY + 2 * DAY, "its day was over when the person consented"),
        (UNDATED, YESTERDAY + 9 * DAY, "the extract was written before the person consented"),
    ],
)
def test_what_can_only_be_the_lifted_one_is_known(
    acme: Enterprise, row: tuple[str, ...], lifted_at: datetime.datetime, why: str
) -> None:
    imported(acme, csv_of(row), at=YESTERDAY - 4 * HOUR)
    lift(at=lifted_at)
    assert imported(acme, csv_of(row), at=YESTERDAY + 5 * DAY).known == 1, why
    assert not waiting()


def test_what_was_not_lifted_is_known_without_a_question(acme: Enterprise) -> None:
    imported(acme, csv_of(UNDATED), at=YESTERDAY - HOUR)
    assert imported(acme, csv_of(UNDATED)).known == 1
    assert QueueMessage.objects.count() == 1


def test_an_erased_person_is_not_brought_back_by_it(acme: Enterprise) -> None:
    imported(acme, csv_of(UNDATED), at=YESTERDAY - DAY)
    lift(at=YESTERDAY - 2 * HOUR)
    erasing.forget(acme, [keyring(acme.pk).blind_index(Kind.MOBILE, ANA)])
    assert imported(acme, csv_of(UNDATED)).known == 1
    assert not waiting()


def test_the_question_costs_one_statement_for_all_rows_of_a_batch(acme: Enterprise) -> None:
    def statements(*rows: tuple[str, ...], at: datetime.datetime) -> int:
        with CaptureQueriesContext(connection) as queries:
            imported(acme, csv_of(*rows), at=at)
        return len(queries)

    several = [(f"4477009001{number:02}", "46356", "STOP", "") for number in range(10)]
    imported(acme, csv_of(UNDATED, (BEN, "46356", "STOP", ""), *several), at=YESTERDAY - 2 * DAY)
    one = statements(UNDATED, at=YESTERDAY - DAY)
    assert statements(UNDATED, *several, at=YESTERDAY) == one
