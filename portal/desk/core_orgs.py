"""Salesforce core orgs that the portal signs in to by assertion: made, their certificate shown, tested."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.connections import core_orgs
from tokens.crypto.certificates import ends_at
from tokens.errors import BadConnection
from tokens.models import CoreOrg, Enterprise


class CoreOrgForm(forms.Form):
    """A core org to be made."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    name = forms.CharField(max_length=100, help_text="For people: which org this is.")
    login_url = forms.CharField(
        label="Sign-in address",
        max_length=200,
        initial="https://login.salesforce.com",
        help_text="Of the org: login.salesforce.com, test.salesforce.com for a sandbox, or its My Domain.",
        widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off"}),
    )
    client_id = forms.CharField(
        label="Consumer key",
        max_length=255,
        help_text="Of the connected app, which uses digital signatures.",
        widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off"}),
    )
    subject = forms.CharField(
        label="User", max_length=255, help_text="The user name in the org whom the portal acts for."
    )

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["enterprise"]
        field.queryset = Enterprise.objects.filter(pk__in=visit.enterprise_ids)
        if len(visit.enterprises) == 1:
            field.initial = visit.enterprises[0]
            field.widget = forms.HiddenInput()


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/connections/core/new/"""
    form = CoreOrgForm(request.POST or None, visit=visit)
    if form.is_bound and form.is_valid():
        try:
            made = core_orgs.create(**form.cleaned_data, actor=visit.actor)
        except BadConnection as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Made. Upload its certificate to the connected app, then test.")
            return redirect("admin:core-org", made.pk)
    context = {"title": "New Salesforce core org", "form": form, "back": reverse("admin:connections")}
    return render(request, "desk/core_org_form.html", context)


def core_org(request: HttpRequest, visit: Visit, org_id: uuid.UUID) -> HttpResponse:
    """GET /admin/connections/core/<id>/"""
    found = _org(visit, org_id)
    context = {
        "title": found.name,
        "org": found,
        "certificate_ends": ends_at(found.certificate),
        "may_manage": visit.may(Permission.MANAGE_CONNECTIONS, found.enterprise_id),
    }
    return render(request, "desk/core_org.html", context)


def key(request: HttpRequest, visit: Visit, org_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/core/<id>/key/"""
    found = _org(visit, org_id)
    core_orgs.change_key(found, actor=visit.actor)
    messages.success(request, "A new key was made. Upload its certificate: the one before is no longer used.")
    return redirect("admin:core-org", found.pk)


def test(request: HttpRequest, visit: Visit, org_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/core/<id>/test/"""
    found = _org(visit, org_id)
    try:
        tested = core_orgs.test(found, actor=visit.actor)
    except BadConnection as error:
        messages.error(request, str(error))
    else:
        say = messages.success if tested.has_passed else messages.error
        say(request, tested.said)
    return redirect("admin:core-org", found.pk)


def _org(visit: Visit, org_id: uuid.UUID) -> CoreOrg:
    rows = CoreOrg.objects.select_related("enterprise")
    found = rows.filter(enterprise__in=visit.enterprise_ids, pk=org_id).first()
    if found is None:
        raise Http404
    return found
