"""A No Token Queue with something on each of its pages."""

from django.utils import timezone

from audit.trail import SYSTEM
from tests.tokens.api import cast as api_cast
from tests.tokens.no_token_queue import cast
from tokens.models import Enterprise, QueueBadLine, QueueMessage
from tokens.no_token_queue import deciding, extracts, recipes, reconcile


def queue_pages(acme: Enterprise, caller: api_cast.MarketingCloud) -> list[str]:
    """Addresses: messages of each kind, a line that can't be read, a gap, an open chain, a loaded extract."""
    now = timezone.now()
    caller.get_token(api_cast.want("12", kind="MobileNumber", privateCode="46356"))
    bad = ("hello", "46356", "STOP", "11/20/2024")
    today = (cast.CLO, "46356", "what is this?", f"{now:%m/%d/%Y %H:%M:%S}")
    cast.imported(acme, cast.csv_of(cast.STOP, cast.POLITE, cast.ORDER, bad, today), at=now)
    recipes.save(acme, "a recipe", cast.READING, actor=SYSTEM)
    loaded = extracts.load(acme, [cast.csv_of(cast.STOP)], name="q.csv", extracted_at=now, actor=SYSTEM)
    waiting = QueueMessage.objects.filter(intent=QueueMessage.Intent.LIKELY).latest("pk")
    deciding.not_an_opt_out(waiting.pk, reason="it thanks us", actor=SYSTEM)
    blocked = QueueMessage.objects.filter(state=QueueMessage.State.BLOCKED).latest("pk")
    reconcile.reconcile(acme)
    queue = "/admin/no-token-queue/"
    return [
        queue, f"{queue}?show=all", f"{queue}messages/{waiting.pk}/", f"{queue}messages/{waiting.pk}/reveal/text/",
        f"{queue}messages/{blocked.pk}/", f"{queue}lines/", f"{queue}lines/{QueueBadLine.objects.latest('pk').pk}/",
        f"{queue}extracts/", f"{queue}settings/{acme.pk}/", f"{queue}extracts/{loaded.pk}/columns/",
        f"{queue}reconciliation/", "/admin/rescue/",
    ]  # fmt: skip
