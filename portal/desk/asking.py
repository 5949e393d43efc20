"""Acts that may take a second person: done at once, or asked for, and then with a reason (docs/approvals.md)."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from audit.approvals.errors import ApprovalError, ReasonMissing
from audit.approvals.requests import LONGEST_TEXT, Outcome
from tokens.bulk.errors import BulkError
from tokens.errors import VaultError


def perform(request: HttpRequest, act: Callable[[str], Outcome], *, said: str, back: str) -> HttpResponse:
    """Call `act` with the reason of the form. Where one is needed and missing, a page asks for it.

    `said` is shown on the page `back` when the act was done; otherwise the request's page follows.
    """
    try:
        outcome = act(request.POST.get("reason", "").strip())
    except ReasonMissing as missing:
        context = {
            "title": "Ask a second person",
            "plan": missing.plan,
            "back": back,
            "longest": LONGEST_TEXT,
            "error": str(missing) if "reason" in request.POST else "",
            "fields": [
                (name, value)
                for name, values in request.POST.lists()
                for value in values
                if name not in ("csrfmiddlewaretoken", "reason")
            ],
        }
        return render(request, "desk/ask.html", context)
    except (ApprovalError, BulkError, VaultError) as error:
        messages.error(request, str(error))
        return redirect(back)
    if outcome.waits_for is None:
        messages.success(request, said)
        return redirect(back)
    messages.success(request, "Asked. Nothing was done yet: it waits for approval by a second person.")
    return redirect("admin:approval", outcome.waits_for.pk)
