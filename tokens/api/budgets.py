"""What a client mints, and how many unknown tokens it asks for. Above a budget nothing is refused: an alarm is raised.

Uses are rows that are only inserted. One counter for each client would serialise its fifty connections.
"""

import datetime
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.utils import timezone

from audit.vocabulary import Action
from tokens.api import alarms
from tokens.api.call import Call
from tokens.models import BudgetUse

KEPT_FOR: Final = datetime.timedelta(days=2)

# Notes a use, and tells what was used in the period without it.
NOTE: Final = """
WITH noted AS (
    INSERT INTO tokens_budgetuse (enterprise_id, client_id, kind, amount)
    VALUES (%(enterprise)s, %(client)s, %(kind)s, %(amount)s)
)
SELECT coalesce(sum(amount), 0) FROM tokens_budgetuse
WHERE client_id = %(client)s AND kind = %(kind)s AND at >= date_trunc(%(period)s, now(), 'UTC')
"""


def note_minted(call: Call, amount: int) -> None:
    """`amount` tokens were minted for this call."""
    budget = call.proven.mint_budget_per_day
    minted = _note(call, BudgetUse.Kind.MINTED, amount, "day")
    if minted > budget:
        alarms.once_an_hour(call, Action.ALARM_MINT_BUDGET, {"minted_today": minted, "budget": budget})


def note_unknown_tokens(call: Call, amount: int) -> None:
    """This call asked for `amount` tokens that do not exist: a list that was not migrated, or somebody guesses."""
    asked = _note(call, BudgetUse.Kind.UNKNOWN_TOKENS, amount, "hour")
    if asked > settings.API_UNKNOWN_TOKENS_PER_HOUR:
        alarms.once_an_hour(call, Action.ALARM_UNKNOWN_TOKENS, {"unknown_this_hour": asked})


def forget_old(*, using: str = "owner") -> int:
    """Delete uses that no budget counts any more; how many is returned."""
    return BudgetUse.objects.using(using).filter(at__lt=timezone.now() - KEPT_FOR).delete()[0]


def _note(call: Call, kind: BudgetUse.Kind, amount: int, period: str) -> int:
    parameters: dict[str, Any] = {
        "enterprise": call.proven.enterprise_id,
        "client": call.proven.pk,
        "kind": kind.value,
        "amount": amount,
        "period": period,
    }
    with connection.cursor() as cursor:
        cursor.execute(NOTE, parameters)
        before: int = cursor.fetchone()[0]
    return before + amount
