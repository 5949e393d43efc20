"""Pages for what goes wrong before a page is reached."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid token: signed out or in since, or sent from elsewhere."""
    return render(request, "403_csrf.html", status=403)
