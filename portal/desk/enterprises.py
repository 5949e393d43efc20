"""Enterprises (Marketing Cloud accounts) and their business units."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from portal.desk.asking import perform
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens import enterprises as verbs
from tokens.consent import at_resolve
from tokens.errors import BadEnterprise, NotUnique
from tokens.models import BusinessUnit, Enterprise


class ChangeEnterpriseForm(forms.ModelForm):  # type: ignore[type-arg]
    """What can be changed later."""

    class Meta:
        model = Enterprise
        fields = ("name", "default_region", "identifier_keys_allowed", "mobile_token_digits")
        labels = {
            "identifier_keys_allowed": "Accept subscriber keys that are an address or a number",
            "mobile_token_digits": "Length of mobile tokens by country code",
        }
        widgets = {"mobile_token_digits": forms.Textarea({"rows": 2, "spellcheck": "false"})}


class NewEnterpriseForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is fixed when an enterprise is made, and a name."""

    class Meta:
        model = Enterprise
        fields = ("name", "eid", "token_domain", "sandbox", "default_region")
        labels = {"sandbox": "This is a sandbox"}


class NewUnitForm(forms.ModelForm):  # type: ignore[type-arg]
    """A business unit of one enterprise."""

    class Meta:
        model = BusinessUnit
        fields = ("name", "mid", "parent")

    def __init__(self, *args: Any, enterprise: Enterprise, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        parents = enterprise.business_units.exclude(pk=self.instance.pk)
        self.fields["parent"].queryset = parents  # type: ignore[attr-defined]


class ChangeUnitForm(NewUnitForm):
    """Its MID is fixed."""

    class Meta(NewUnitForm.Meta):
        fields = ("name", "parent")  # type: ignore[assignment]


def enterprises(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/enterprises/"""
    context = {
        "title": "Enterprises",
        "enterprises": visit.grants.enterprises(visit.permission).prefetch_related("business_units"),
        "may_create": visit.grants.may_everywhere(Permission.MANAGE_ENTERPRISES),
    }
    return render(request, "desk/enterprises.html", context)


def enterprise(request: HttpRequest, visit: Visit, enterprise_id: int) -> HttpResponse:
    """GET /admin/enterprises/<id>/"""
    found = _enterprise(visit, enterprise_id)
    context = {
        "title": found.name,
        "enterprise": found,
        "units": found.business_units.select_related("parent").order_by("name"),
        "may_manage": visit.may(Permission.MANAGE_ENTERPRISES, found.pk),
    }
    return render(request, "desk/enterprise.html", context)


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/enterprises/new/: for who manages every enterprise, and so this one too"""
    if not visit.everywhere:
        raise PermissionDenied
    form = NewEnterpriseForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            made = verbs.create_enterprise(**form.cleaned_data, actor=visit.actor)
        except (BadEnterprise, NotUnique) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{made.name} was made, with keys of its own.")
            return redirect("admin:enterprise", made.pk)
    context = {"title": "New enterprise", "form": form, "back": "admin:enterprises"}
    return render(request, "desk/enterprise_form.html", context)


def change(request: HttpRequest, visit: Visit, enterprise_id: int) -> HttpResponse:
    """GET and POST /admin/enterprises/<id>/change/"""
    found = _enterprise(visit, enterprise_id)
    form = ChangeEnterpriseForm(request.POST or None, instance=Enterprise.objects.get(pk=found.pk))
    if form.is_bound and form.is_valid():
        try:
            verbs.change_enterprise(found, **form.cleaned_data, actor=visit.actor)
        except BadEnterprise as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved.")
            return redirect("admin:enterprise", found.pk)
    context = {"title": f"Change {found.name}", "enterprise": found, "form": form}
    return render(request, "desk/enterprise_form.html", context)


def opt_outs(request: HttpRequest, visit: Visit, enterprise_id: int) -> HttpResponse:
    """POST /admin/enterprises/<id>/opt-outs/ (`block` or `let-through`)"""
    found = _enterprise(visit, enterprise_id)
    back = reverse("admin:enterprise", args=[found.pk])
    if "block" in request.POST:
        at_resolve.block(found, actor=visit.actor)
        messages.success(
            request, "Opt-outs of the whole enterprise block at Resolve again, from the next request on."
        )
        return redirect(back)
    return perform(
        request,
        lambda reason: at_resolve.ask_to_let_through(found, reason=reason, actor=visit.actor),
        said="Changed: this enterprise is a sandbox.",
        back=back,
    )


def new_unit(request: HttpRequest, visit: Visit, enterprise_id: int) -> HttpResponse:
    """GET and POST /admin/enterprises/<id>/units/new/"""
    found = _enterprise(visit, enterprise_id)
    form = NewUnitForm(request.POST or None, enterprise=found)
    if form.is_bound and form.is_valid():
        try:
            unit = verbs.create_business_unit(found, **form.cleaned_data, actor=visit.actor)
        except (BadEnterprise, NotUnique) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{unit} was added.")
            return redirect("admin:enterprise", found.pk)
    context = {"title": "New business unit", "enterprise": found, "form": form}
    return render(request, "desk/enterprise_form.html", context)


def change_unit(request: HttpRequest, visit: Visit, enterprise_id: int, unit_id: int) -> HttpResponse:
    """GET and POST /admin/enterprises/<id>/units/<id>/"""
    found = _enterprise(visit, enterprise_id)
    unit = BusinessUnit.objects.filter(enterprise=found, pk=unit_id).first()
    if unit is None:
        raise Http404
    form = ChangeUnitForm(request.POST or None, instance=unit, enterprise=found)
    if form.is_bound and form.is_valid():
        try:
            verbs.change_business_unit(
                BusinessUnit.objects.get(pk=unit.pk), **form.cleaned_data, actor=visit.actor
            )
        except BadEnterprise as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved.")
            return redirect("admin:enterprise", found.pk)
    context = {"title": f"Change {unit.name}", "enterprise": found, "unit": unit, "form": form}
    return render(request, "desk/enterprise_form.html", context)


def _enterprise(visit: Visit, enterprise_id: int) -> Enterprise:
    found = visit.grants.enterprises(visit.permission).filter(pk=enterprise_id).first()
    if found is None:
        raise Http404
    return found
