"""API clients: who may call the token server, from where, with which secret."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from portal.desk.asking import perform
from portal.desk.last_calls import LOOK_BACK, last_calls
from portal.desk.quick_start import quick_starts
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens import clients as verbs
from tokens import exempt_clients, open_clients
from tokens.errors import BadClient
from tokens.models import AllowedNetwork, ApiClient, ClientSecret, Enterprise
from tokens.models.clients import FOR_MARKETING_CLOUD, AuthMethod, Scope


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]


class NetworksField(forms.CharField):
    """Networks, one a line, checked by the domain's own rule."""

    widget = forms.Textarea({"rows": 3, "placeholder": "203.0.113.0/24", "spellcheck": "false"})

    def clean(self, value: Any) -> list[str]:
        """The networks in canonical form."""
        try:
            return [verbs.network(line) for line in _lines(super().clean(value))]
        except BadClient as error:
            raise forms.ValidationError(str(error)) from None


class ClientFacts(forms.Form):
    """What can be changed of a client later."""

    name = forms.CharField(max_length=255, help_text="For people: which part of Marketing Cloud this is.")
    scopes = forms.MultipleChoiceField(
        label="May call",
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=list(FOR_MARKETING_CLOUD),
    )


class ChangeClientForm(ClientFacts):
    """What can be changed of a client that is there."""

    mint_budget_per_day = forms.IntegerField(
        label="Alarm above so many new tokens a day",
        min_value=0,
        max_value=2_000_000_000,
        help_text="Get Token goes on answering; the alarm says that somebody sends a list that was not migrated.",
    )
    field_order = ("name", "scopes", "mint_budget_per_day")


class NewClientForm(ClientFacts):
    """A client to be made."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    auth = forms.ChoiceField(
        label="Proves itself by",
        choices=AuthMethod.choices,
        initial=AuthMethod.BASIC,
        widget=forms.RadioSelect,
    )
    networks = NetworksField(
        label="May call from",
        required=False,
        help_text="Networks or single addresses, one a line. In a sandbox it may be empty: then from anywhere.",
    )
    field_order = ("enterprise", "name", "auth", "scopes", "networks")

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        enterprises = Enterprise.objects.filter(pk__in=visit.enterprise_ids)
        self.fields["enterprise"].queryset = enterprises  # type: ignore[attr-defined]
        if len(visit.enterprises) == 1:
            self.fields["enterprise"].initial = visit.enterprises[0]
            self.fields["enterprise"].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        """A name is used once in an enterprise: also what a form that is sent twice runs into."""
        given = super().clean() or {}
        taken = ApiClient.objects.filter(enterprise=given.get("enterprise"), name=given.get("name", ""))
        if taken.exists():
            self.add_error("name", "A client of this name is there already: its secret can't be shown again.")
        if "networks" in given and given.get("enterprise"):
            try:
                open_clients.check_new_client(given["enterprise"], given["networks"])
            except BadClient as error:
                self.add_error("networks", str(error))
        return given


class NetworkForm(forms.Form):
    """A network to be allowed."""

    cidr = forms.CharField(
        label="Network", max_length=60, widget=forms.TextInput({"placeholder": "203.0.113.0/24"})
    )
    label = forms.CharField(label="What it is", max_length=200, required=False)


def clients(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/clients/"""
    rows = ApiClient.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise")
    context = {
        "title": "API clients",
        "clients": rows.prefetch_related("networks", "secrets").order_by("enterprise__name", "name"),
        "calls": last_calls(visit.enterprise_ids),
        "look_back": LOOK_BACK,
        "may_manage": visit.may(Permission.MANAGE_CLIENTS),
    }
    return render(request, "desk/clients.html", context)


@sensitive_variables("secret")
def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/clients/new/; the answer to the POST is the only page that ever holds the secret."""
    form = NewClientForm(request.POST or None, visit=visit)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            client, secret = verbs.create_client(
                given["enterprise"],
                name=given["name"],
                auth=given["auth"],
                scopes=given["scopes"],
                networks=given["networks"],
                actor=visit.actor,
            )
        except BadClient as error:
            form.add_error(None, str(error))
        else:
            return _show_secret(request, client, secret, "made")
    return render(request, "desk/client_new.html", {"title": "New API client", "form": form})


@sensitive_variables("secret")
def _show_secret(request: HttpRequest, client: ApiClient, secret: str, what: str) -> HttpResponse:
    context = {"title": "Store this secret now", "client": client, "secret": secret, "what": what}
    return render(request, "desk/client_secret.html", context)


def client(request: HttpRequest, visit: Visit, client_id: str) -> HttpResponse:
    """GET /admin/clients/<client id>/: facts, secrets, networks, quick start"""
    found = _client(visit, client_id)
    may_manage = visit.may(Permission.MANAGE_CLIENTS, found.enterprise_id)
    base = f"{request.scheme}://{request.get_host()}"
    secrets = list(found.secrets.order_by("-created_at"))
    context = {
        "title": found.name,
        "client": found,
        "scopes": [Scope(scope).label for scope in found.scopes],
        "live": [secret for secret in secrets if secret.retired_at is None],
        "retired": [secret for secret in secrets if secret.retired_at is not None],
        "networks": found.networks.order_by("cidr"),
        "call": last_calls([found.enterprise_id], found.client_id).get(found.client_id),
        "look_back": LOOK_BACK,
        "may_manage": may_manage,
        "network_form": NetworkForm() if may_manage else None,
        "quick_starts": quick_starts(found, base),
        "may_see_log": visit.may(Permission.VIEW_LOG, found.enterprise_id),
    }
    return render(request, "desk/client.html", context)


def change(request: HttpRequest, visit: Visit, client_id: str) -> HttpResponse:
    """GET and POST /admin/clients/<client id>/change/"""
    found = _client(visit, client_id)
    initial = {field: getattr(found, field) for field in ChangeClientForm.base_fields}
    form = ChangeClientForm(request.POST or None, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            verbs.change_client(found, **form.cleaned_data, actor=visit.actor)
        except BadClient as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved.")
            return redirect("admin:client", found.client_id)
    return render(
        request, "desk/client_change.html", {"title": f"Change {found.name}", "client": found, "form": form}
    )


@sensitive_variables("secret")
def add_secret(request: HttpRequest, visit: Visit, client_id: str) -> HttpResponse:
    """POST /admin/clients/<client id>/secrets/: a second secret beside the first"""
    found = _client(visit, client_id)
    try:
        secret = verbs.add_secret(found, actor=visit.actor)
    except BadClient as error:
        messages.error(request, str(error))
        return redirect("admin:client", found.client_id)
    return _show_secret(request, found, secret, "given a second secret")


def retire_secret(request: HttpRequest, visit: Visit, client_id: str, secret_id: int) -> HttpResponse:
    """POST /admin/clients/<client id>/secrets/<id>/retire/"""
    found = _client(visit, client_id)
    secret = ClientSecret.objects.select_related("client").filter(client=found, pk=secret_id).first()
    if secret is None:
        raise Http404
    return _act(
        request,
        found,
        lambda: verbs.retire_secret(secret, actor=visit.actor),
        "The secret was retired: it opens nothing.",
    )


def switch_off(request: HttpRequest, visit: Visit, client_id: str) -> HttpResponse:
    """POST /admin/clients/<client id>/off/"""
    found = _client(visit, client_id)
    said = f"{found.name} is switched off: each call is refused from now on."
    return _act(request, found, lambda: verbs.switch_off(found, actor=visit.actor), said)


def switch_on(request: HttpRequest, visit: Visit, client_id: str) -> HttpResponse:
    """POST /admin/clients/<client id>/on/"""
    found = _client(visit, client_id)
    said = f"{found.name} is switched on again."
    return _act(request, found, lambda: verbs.switch_on(found, actor=visit.actor), said)


def allow(request: HttpRequest, visit: Visit, client_id: str) -> HttpResponse:
    """POST /admin/clients/<client id>/networks/"""
    found, form = _client(visit, client_id), NetworkForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Write a network such as 203.0.113.0/24, or one address.")
        return redirect("admin:client", found.client_id)
    given = form.cleaned_data
    return perform(
        request,
        lambda reason: open_clients.add_network(
            found, cidr=given["cidr"], label=given["label"], reason=reason, actor=visit.actor
        ),
        said=f"{found.name} may call from {given['cidr']}.",
        back=reverse("admin:client", args=[found.client_id]),
    )


def disallow(request: HttpRequest, visit: Visit, client_id: str, network_id: int) -> HttpResponse:
    """POST /admin/clients/<client id>/networks/<id>/remove/"""
    found = _client(visit, client_id)
    rule = AllowedNetwork.objects.select_related("client").filter(client=found, pk=network_id).first()
    if rule is None:
        raise Http404
    response = perform(
        request,
        lambda reason: open_clients.remove_network(rule, reason=reason, actor=visit.actor),
        said=f"{rule.cidr} was taken off the list.",
        back=reverse("admin:client", args=[found.client_id]),
    )
    if not found.networks.exists():
        messages.warning(request, f"The list is empty now: {found.name} may call from anywhere.")
    return response


def exempt(request: HttpRequest, visit: Visit, client_id: str) -> HttpResponse:
    """POST /admin/clients/<client id>/opt-outs/ (`block` or `exempt`)"""
    found = _client(visit, client_id)
    if "block" in request.POST:
        end = partial(exempt_clients.end_exemption, found, actor=visit.actor)
        return _act(request, found, end, "Opt-outs block it at Resolve again, from the next request on.")
    return perform(
        request,
        lambda reason: exempt_clients.ask_to_exempt(found, reason=reason, actor=visit.actor),
        said="Changed: this enterprise is a sandbox.",
        back=reverse("admin:client", args=[found.client_id]),
    )


def _act(request: HttpRequest, client: ApiClient, act: Callable[[], object], said: str) -> HttpResponse:
    """One verb of the domain, told in a message; back to the client's page."""
    try:
        act()
    except BadClient as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect("admin:client", client.client_id)


def _client(visit: Visit, client_id: str) -> ApiClient:
    if "\x00" in client_id:  # PostgreSQL has no text with NUL
        raise Http404
    rows = ApiClient.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    found: ApiClient | None = rows.filter(client_id=client_id).first()
    if found is None:
        raise Http404
    return found
