"""The rescue window, the books of the queue, and what they don't share."""

import uuid
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from audit.free_text import ClearValueInText
from portal.desk.no_token_queue import frame
from portal.desk.visit import Visit
from tokens.models import Enterprise, QueueExplanation, QueueMessage, QueueReconciliation, TokenChain
from tokens.no_token_queue import mending, reconcile
from tokens.no_token_queue.chains import Chain
from tokens.no_token_queue.errors import QueueError
from tokens.no_token_queue.following import ladder_of, open_chains

_SHOWN: Final = 100
WHY: Final = {
    "gap": "in an extract, and no call for this number is in our log: it never reached us, or the database was away",
    "missing": "no try is left, and no extract since then has it",
    "no_event": "called an opt-out, and no consent event stands behind it: raise an alarm",
}


def rescue(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/rescue/"""
    return render(request, "desk/rescue.html", {"title": "Rescue window", **_window(visit)})


def rescue_live(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/rescue/live/, the part of the page that asks for itself every few seconds"""
    return render(request, "desk/parts/rescue_live.html", _window(visit))


def _window(visit: Visit) -> dict[str, Any]:
    now = timezone.now()
    lines = [
        _line(enterprise, chain, now)
        for enterprise in visit.enterprises
        for chain in open_chains(enterprise)[:_SHOWN]
    ]
    longest = max((ladder_of(one).length for one in visit.enterprises), default=None)
    return {
        "lines": sorted(lines, key=lambda line: line["chain"].ends_at)[:_SHOWN],
        "unread": mending.refused_unread(visit.enterprise_ids, now - longest) if longest else [],
        # They belong to no enterprise, so only who sees all of them is told.
        "strangers": mending.of_strangers(now) if visit.everywhere else 0,
        "several": len(visit.enterprises) > 1,
        "now": now,
    }


def _line(enterprise: Enterprise, chain: Chain, now: Any) -> dict[str, Any]:
    wrong, mend = mending.what_to_mend(chain.last.reason)
    next_at = chain.next_at or chain.ends_at
    return {
        "enterprise": enterprise,
        "chain": chain,
        "made": len(chain.tries),
        "of": chain.ladder.tries,
        "next_in": max(0.0, (next_at - now).total_seconds()),
        "left": max(0.0, (chain.ends_at - now).total_seconds()),
        "wrong": wrong,
        "mend": mend,
    }


def books(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/no-token-queue/reconciliation/: what is predicted, what the last comparison found"""
    kept = [
        QueueReconciliation.objects.filter(enterprise=enterprise).order_by("-pk").first()
        for enterprise in visit.enterprises
    ]
    chains = TokenChain.objects.filter(
        enterprise__in=visit.enterprise_ids, end__in=[TokenChain.End.EXHAUSTED, TokenChain.End.SILENT]
    ).order_by("-last_at")[:_SHOWN]
    context = {
        "title": "Reconciliation",
        "tab": "books",
        "kept": [(one, [*_named(one)]) for one in kept if one is not None],
        "chains": [(chain, mending.what_to_mend(chain.reason)[0]) for chain in chains],
        **frame(visit),
    }
    return render(request, "desk/queue_books.html", context)


def _named(kept: QueueReconciliation) -> list[dict[str, Any]]:
    return [one | {"said": WHY.get(one["why"], one["why"])} for one in kept.unexplained]


def reconcile_now(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/no-token-queue/reconcile/"""
    unexplained = sum(
        reconcile.reconcile(enterprise, actor=visit.actor).unexplained_count
        for enterprise in visit.enterprises
    )
    if unexplained:
        messages.warning(request, f"{unexplained} unexplained: they are named below.")
    else:
        messages.success(request, "0 unexplained.")
    return redirect("admin:queue-books")


def explain(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/no-token-queue/explain/: `what`, `subject` and `reason`"""
    what, subject = _subject(request, visit)
    try:
        reconcile.explain(what, subject, reason=request.POST.get("reason", "")[:500], actor=visit.actor)
    except (QueueError, ClearValueInText) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Explained. Reconcile again, and it counts.")
    return redirect("admin:queue-books")


def _subject(request: HttpRequest, visit: Visit) -> tuple[str, uuid.UUID]:
    what = request.POST.get("what", "")
    models: dict[str, Any] = {
        QueueExplanation.What.MESSAGE: QueueMessage,
        QueueExplanation.What.CHAIN: TokenChain,
    }
    try:
        subject = uuid.UUID(request.POST.get("subject", ""))
    except ValueError:
        raise Http404 from None
    model = models.get(what)
    if model is None or not model.objects.filter(pk=subject, enterprise__in=visit.enterprise_ids).exists():
        raise Http404
    return what, subject
