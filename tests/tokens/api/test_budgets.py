"""Budgets count the uses of their period only, and old uses are forgotten."""

import datetime

import pytest
import time_machine
from django.utils import timezone

from audit.models import AuditEvent
from audit.vocabulary import Action
from tests.conftest import OwnDatabase
from tests.tokens.api.cast import MarketingCloud, want
from tests.tokens.cast import an_enterprise
from tokens.api import budgets
from tokens.models import BudgetUse, Enterprise


@pytest.fixture
def enterprise(own_database: OwnDatabase) -> Enterprise:
    """In a database where the owner may change what the app may not."""
    return an_enterprise()


def use(caller: MarketingCloud, amount: int, *, ago: datetime.timedelta) -> None:
    BudgetUse.objects.create(
        enterprise=caller.client.enterprise,
        client=caller.client,
        kind=BudgetUse.Kind.MINTED,
        amount=amount,
        at=timezone.now() - ago,
    )


def test_what_was_minted_yesterday_is_not_counted_today(caller: MarketingCloud) -> None:
    use(caller, 1_000_000, ago=datetime.timedelta(days=1))
    caller.get_token(want("new@mail.example"))
    assert not AuditEvent.objects.filter(action=Action.ALARM_MINT_BUDGET).exists()


def test_the_alarm_comes_again_after_an_hour(caller: MarketingCloud) -> None:
    use(caller, 1_000_000, ago=datetime.timedelta(0))
    alarms = AuditEvent.objects.filter(action=Action.ALARM_MINT_BUDGET)
    for number in range(2):
        caller.get_token(want(f"new-{number}@mail.example"))
    assert alarms.count() == 1
    with time_machine.travel(timezone.now() + datetime.timedelta(minutes=61)):
        caller.get_token(want("new-3@mail.example"))
    assert alarms.count() == 2


def test_old_uses_are_forgotten(caller: MarketingCloud) -> None:
    for days in (1, 3):
        use(caller, days, ago=datetime.timedelta(days=days))
    assert budgets.forget_old() == 1
    assert BudgetUse.objects.get().amount == 1
