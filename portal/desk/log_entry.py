"""One exchange: what happened, the facts, both bodies with clear values masked, and what was odd."""

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from audit import holds, trail
from audit.models import PayloadEntry, RecordKind, SealQueueEntry
from audit.retention import gaps
from audit.seals.status import seals_of
from audit.trail import Target
from audit.vocabulary import Action
from portal.desk.log_bodies import as_curl, body_views, legend, oddities
from portal.desk.verdicts import verdict
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.models import Enterprise


def entry(request: HttpRequest, visit: Visit, entry_id: uuid.UUID) -> HttpResponse:
    """GET /admin/log/<id>/; that somebody looked is recorded first."""
    found = visit.evidence(PayloadEntry.objects.filter(pk=entry_id)).first()
    if found is None:
        return _dropped(request, visit, entry_id)
    target = Target("entry", str(found.pk), f"{found.get_api_display()} {found.status}")
    trail.record(Action.ENTRY_VIEWED, actor=visit.actor, enterprise_id=found.enterprise_id, target=target)
    views = body_views(found)
    context = {
        "title": f"{found.get_api_display()} exchange",
        "entry": found,
        "seal": seals_of(SealQueueEntry.Kind.PAYLOAD, [found.pk]).get(found.pk),
        "copy": (copy := gaps.copy_of(found.pk)),
        "act": gaps.act_of(RecordKind.PAYLOAD, found.pk) if copy else None,
        "may_see_retention": visit.may(Permission.VIEW_RETENTION),
        "verdict": verdict(found),
        "bodies": views,
        "legend": legend(views),
        "oddities": oddities(found),
        "curl": as_curl(found, views, f"{request.scheme}://{request.get_host()}"),
        "permalink": request.build_absolute_uri(request.path),
        "may_reveal": visit.may(Permission.REVEAL, found.enterprise_id) if found.enterprise_id else False,
        "holds": holds.on_entry(found) if visit.may(Permission.VIEW_HOLDS, found.enterprise_id) else [],
        "may_hold": found.enterprise_id is not None
        and visit.may(Permission.PLACE_HOLDS, found.enterprise_id),
        "may_see_client": bool(found.client_id) and visit.may(Permission.VIEW_CLIENTS, found.enterprise_id),
        "enterprise": Enterprise.objects.filter(pk=found.enterprise_id or 0).first(),
    }
    return render(request, "desk/log_entry.html", context)


def _dropped(request: HttpRequest, visit: Visit, entry_id: uuid.UUID) -> HttpResponse:
    """410 with the act, for an entry that retention dropped. Raises Http404 for any other id."""
    dropped = gaps.drop_of(entry_id)
    if dropped is None:
        raise Http404
    act, leaf = dropped
    context = {
        "title": "Dropped by retention",
        "entry_id": entry_id,
        "act": act,
        "leaf": leaf,
        "may_see_retention": visit.may(Permission.VIEW_RETENTION),
    }
    return render(request, "desk/log_entry_dropped.html", context, status=410)
