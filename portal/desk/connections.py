"""Connections to Marketing Cloud: the packages through which the portal calls it, their tests, putting them to use."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from portal.desk.asking import perform
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.connections import approval, callbacks, verbs, walk
from tokens.crypto.certificates import ends_at
from tokens.errors import BadConnection, NotUnique
from tokens.marketing_cloud import MarketingCloudError
from tokens.marketing_cloud.client import NEEDED_SCOPES
from tokens.marketing_cloud.tenant import subdomain_in
from tokens.models import BusinessUnit, Connection, CoreOrg, Enterprise
from tokens.models.connections import GrantKind

# Why each scope is needed, in the order in which the page shows them.
WHY: dict[str, str] = {
    "list_and_subscribers_read": "read back whether somebody is unsubscribed; poll a contact delete",
    "list_and_subscribers_write": "unsubscribe; delete contacts",
    "sms_read": "read back text-message subscriptions",
    "data_extensions_read": "read rows",
    "data_extensions_write": "write rows, clear columns",
}
_EVENTS_WHY = "hear of unsubscribes as they happen"


class ConnectionFacts(forms.Form):
    """What can be changed of a connection later."""

    name = forms.CharField(max_length=100, help_text="For people: which package this is.")
    subdomain = forms.CharField(
        label="Sub-domain",
        max_length=200,
        widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off", "placeholder": "mc…"}),
        help_text="The 28 characters that begin with mc; any base address of the package will do.",
    )
    grant_kind = forms.ChoiceField(
        label="The portal proves itself by",
        choices=GrantKind.choices,
        initial=GrantKind.CREDENTIALS,
        widget=forms.RadioSelect,
    )
    client_id = forms.CharField(
        label="Client id",
        max_length=255,
        widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off"}),
        help_text="Of the package's API integration.",
    )
    subject = forms.CharField(
        label="User of the assertion",
        max_length=255,
        required=False,
        help_text="Only for JWT bearer: the user whom the portal acts for.",
    )

    def clean_subdomain(self) -> str:
        """The sub-domain alone."""
        try:
            return subdomain_in(self.cleaned_data["subdomain"])
        except MarketingCloudError as error:
            raise forms.ValidationError(str(error)) from None


class SecretField(forms.CharField):
    """A client secret: never shown again, never kept by the browser."""

    widget = forms.PasswordInput({"autocomplete": "off", "spellcheck": "false"})


class NewConnectionForm(ConnectionFacts):
    """A connection to be made."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    business_unit = forms.ModelChoiceField(
        BusinessUnit.objects.none(),
        required=False,
        empty_label="every one without a connection of its own",
        label="For the business unit",
    )
    client_secret = SecretField(
        label="Client secret",
        max_length=verbs.LONGEST_SECRET,
        required=False,
        help_text="Not for JWT bearer, nor for a public app, which signs in without one.",
    )
    field_order = (
        "enterprise", "business_unit", "name", "subdomain", "grant_kind", "client_id", "client_secret", "subject",
    )  # fmt: skip

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["enterprise"].queryset = Enterprise.objects.filter(pk__in=visit.enterprise_ids)
        units = BusinessUnit.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise")
        fields["business_unit"].queryset = units.order_by("enterprise__name", "name")
        if len(visit.enterprises) == 1:
            fields["enterprise"].initial = visit.enterprises[0]
            fields["enterprise"].widget = forms.HiddenInput()


class SecretForm(forms.Form):
    """Another secret of the same package."""

    client_secret = SecretField(label="New client secret", max_length=verbs.LONGEST_SECRET)


def connections(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/connections/"""
    rows = Connection.objects.filter(enterprise__in=visit.enterprise_ids)
    context = {
        "title": "Marketing Cloud",
        "rows": [
            (one, _state(one)) for one in rows.select_related("enterprise", "business_unit").order_by("name")
        ],
        "core_orgs": CoreOrg.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise"),
        "may_manage": visit.may(Permission.MANAGE_CONNECTIONS),
    }
    return render(request, "desk/connections.html", context)


@sensitive_variables()
@sensitive_post_parameters("client_secret")
def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/connections/new/"""
    form = NewConnectionForm(request.POST or None, visit=visit)
    if form.is_bound and form.is_valid():
        try:
            made = verbs.create_connection(**form.cleaned_data, actor=visit.actor)
        except (BadConnection, NotUnique) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The connection was made. Test it, then put it to use.")
            return redirect("admin:connection", made.pk)
    context = {"title": "New connection", "form": form, "back": reverse("admin:connections")}
    return render(request, "desk/connection_form.html", context)


def connection(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """GET /admin/connections/<id>/: facts, the last test, granted against needed scopes"""
    found = _connection(visit, connection_id)
    may_manage = visit.may(Permission.MANAGE_CONNECTIONS, found.enterprise_id)
    context = {
        "title": found.name,
        "connection": found,
        "state": _state(found),
        "has_passed": approval.has_passed(found),
        "scopes": _scopes(found),
        "surplus": sorted(set(found.granted) - set(NEEDED_SCOPES)),
        "callbacks": found.callbacks.exclude(callback_id="").order_by("-made_at"),
        "may_ask": may_manage and callbacks.may_ask(found),
        "certificate_ends": ends_at(found.certificate) if found.certificate else None,
        "may_manage": may_manage,
        "secret_form": SecretForm() if may_manage else None,
        "may_see_log": visit.may(Permission.VIEW_LOG, found.enterprise_id),
    }
    return render(request, "desk/connection.html", context)


def change(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/connections/<id>/change/"""
    found = _connection(visit, connection_id)
    initial = {field: getattr(found, field) for field in ConnectionFacts.base_fields}
    form = ConnectionFacts(request.POST or None, initial=initial)
    back = reverse("admin:connection", args=[found.pk])
    if form.is_bound and form.is_valid():
        try:
            changed = verbs.change_connection(found, **form.cleaned_data, actor=visit.actor)
        except BadConnection as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved.")
            if found.in_use_since and not changed.in_use_since:
                messages.warning(
                    request, "It leads elsewhere now, so it is out of use: test it, and put it to use again."
                )
            return redirect(back)
    context = {"title": f"Change {found.name}", "form": form, "back": back, "connection": found}
    return render(request, "desk/connection_form.html", context)


@sensitive_variables()
@sensitive_post_parameters("client_secret")
def secret(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/<id>/secret/"""
    found, form = _connection(visit, connection_id), SecretForm(request.POST)
    try:
        if not form.is_valid():
            raise BadConnection("paste the client secret of the package")
        verbs.change_secret(found, client_secret=form.cleaned_data["client_secret"], actor=visit.actor)
    except BadConnection as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The new secret is sealed. Test the connection now.")
    return redirect("admin:connection", found.pk)


def key(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/<id>/key/"""
    found = _connection(visit, connection_id)
    if found.grant_kind != GrantKind.JWT:
        raise Http404
    verbs.change_key(found, actor=visit.actor)
    messages.success(request, "A new key was made. Upload its certificate: the one before is no longer used.")
    return redirect("admin:connection", found.pk)


def test(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/<id>/test/"""
    found = _connection(visit, connection_id)
    try:
        result = verbs.test_connection(found, actor=visit.actor)
    except BadConnection as error:
        messages.error(request, str(error))
        return redirect("admin:connection", found.pk)
    failed = next((one for one in result.steps if one.state is walk.State.FAILED), None)
    if failed is None:
        messages.success(request, "The test passed, from DNS to a read.")
    else:
        messages.error(request, f"The test failed at {failed.step}.")
    return redirect("admin:connection", found.pk)


def use(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/<id>/use/: takes a second person, except in a sandbox"""
    found = _connection(visit, connection_id)
    return perform(
        request,
        lambda reason: approval.use(found, reason=reason, actor=visit.actor),
        said=f"{found.name} is in use.",
        back=reverse("admin:connection", args=[found.pk]),
    )


def events(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/<id>/events/: ask Marketing Cloud for its events"""
    found = _connection(visit, connection_id)
    address = request.build_absolute_uri(reverse("marketing-cloud-events"))
    try:
        callbacks.ask_for_events(found, address, actor=visit.actor)
    except (BadConnection, MarketingCloudError) as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, "Asked. Marketing Cloud proves the address with a handshake within a minute."
        )
    return redirect("admin:connection", found.pk)


def stop(request: HttpRequest, visit: Visit, connection_id: uuid.UUID) -> HttpResponse:
    """POST /admin/connections/<id>/stop/"""
    found = _connection(visit, connection_id)
    verbs.stop_using(found, actor=visit.actor)
    messages.success(request, f"{found.name} is out of use: nothing goes through it.")
    return redirect("admin:connection", found.pk)


def _state(connection: Connection) -> tuple[str, str, str]:
    """Text, tone and icon of a badge."""
    if connection.test and not approval.has_passed(connection):
        return "test failed", "bad", "error"
    if connection.in_use_since:
        return "in use", "good", "check_circle"
    return ("not in use", "", "toggle_off") if connection.test else ("not tested", "warn", "hourglass_empty")


def _scopes(connection: Connection) -> list[tuple[str, str, bool | None]]:
    """Each needed scope, what for, and whether it is granted (None: not known yet)."""
    known = bool(connection.granted)
    granted = set(connection.granted)
    return [
        (scope, WHY.get(scope, _EVENTS_WHY), scope in granted if known else None) for scope in NEEDED_SCOPES
    ]


def _connection(visit: Visit, connection_id: uuid.UUID) -> Connection:
    rows = Connection.objects.select_related("enterprise", "business_unit")
    found = rows.filter(enterprise__in=visit.enterprise_ids, pk=connection_id).first()
    if found is None:
        raise Http404
    return found
