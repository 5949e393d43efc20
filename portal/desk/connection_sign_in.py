"""A user of Marketing Cloud signs in for a connection: off to Marketing Cloud, and back with a code, once.

State and verifier wait in the session of who began, for ten minutes; whoever comes back without them is refused.
"""

import time
import uuid
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.connections import user_sign_in
from tokens.crypto.errors import CryptoError
from tokens.errors import BadConnection
from tokens.log.recording import NotRecorded
from tokens.marketing_cloud import MarketingCloudError
from tokens.models import Connection

BEGUN: Final = "marketing-cloud-sign-in"
WAITS_SECONDS: Final = 600


@sensitive_variables()
def begin(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/<id>/sign-in/: a page that leads to Marketing Cloud"""
    found = _connection(visit, connection_id)
    address = redirect_uri(request)
    try:
        begun = user_sign_in.begin(found, address)
    except BadConnection as error:
        messages.error(request, str(error))
        return redirect("admin:connection", found.pk)
    request.session[BEGUN] = {
        "connection": str(found.pk),
        "state": begun.state,
        "verifier": begun.code_verifier,
        "at": time.time(),
    }
    context = {
        "title": "Sign in to Marketing Cloud",
        "connection": found,
        "url": begun.url,
        "redirect_uri": address,
    }
    return render(request, "desk/connection_sign_in.html", context)


@sensitive_variables()
def come_back(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/connections/signed-in/ (`code`, `state`, `tssd`, or `error`): where Marketing Cloud sends them back"""
    if request.method == "HEAD":
        return HttpResponse()
    begun: dict[str, Any] = request.session.pop(BEGUN, {})  # good once, whatever comes of it
    is_ours = constant_time_compare(begun.get("state", ""), request.GET.get("state", ""))
    if not begun or not is_ours or time.time() - begun["at"] > WAITS_SECONDS:
        messages.error(request, "This sign-in was not begun here, or too long ago: begin it again.")
        return redirect("admin:connections")
    found = _connection(visit, uuid.UUID(begun["connection"]))
    if not request.GET.get("code"):
        messages.error(
            request, "Marketing Cloud let nobody in: its user declined, or the package forbids it."
        )
        return redirect("admin:connection", found.pk)
    _finish(request, visit, found, begun["verifier"])
    return redirect("admin:connection", found.pk)


@sensitive_variables()
def _finish(request: HttpRequest, visit: Visit, connection: Connection, verifier: str) -> None:
    try:
        user_sign_in.finish(
            connection,
            code=request.GET["code"],
            code_verifier=verifier,
            tssd=request.GET.get("tssd", ""),
            redirect_uri=redirect_uri(request),
            actor=visit.actor,
        )
    except (BadConnection, MarketingCloudError, CryptoError) as error:
        messages.error(request, str(error))
    except NotRecorded:
        messages.error(request, "The payload log can't be written, and without it nothing is exchanged.")
    else:
        messages.success(request, "Signed in; the refresh token is sealed. Test the connection now.")


def redirect_uri(request: HttpRequest) -> str:
    """The address that the package must name."""
    return request.build_absolute_uri(reverse("admin:connection-signed-in"))


def _connection(visit: Visit, connection_id: uuid.UUID) -> Connection:
    rows = Connection.objects.select_related("enterprise", "business_unit")
    found = rows.filter(enterprise__in=visit.enterprise_ids, pk=connection_id).first()
    if found is None or not visit.may(Permission.MANAGE_CONNECTIONS, found.enterprise_id):
        raise Http404
    return found
