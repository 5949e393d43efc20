"""Users of the portal: who there is, what they may do, and changing it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from portal import people, role_grants, set_up
from portal.desk.asking import perform
from portal.desk.set_up import address_of_link
from portal.desk.visit import Visit
from portal.models import Membership, User
from portal.roles import Permission, Role
from portal.set_up import SetUpError
from tokens.models import Enterprise

EVERYWHERE = "*"
NOT_YOURS = (
    "They hold roles in places where you may not change users, or none yet and somebody else made them, "
    "or it is you."
)


class NewUserForm(forms.ModelForm):  # type: ignore[type-arg]
    """Somebody who shall sign in."""

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name")
        labels = {"username": "User name"}
        help_texts = {"username": "What they type to sign in. It is fixed, and stands in the event trail."}


class GrantForm(forms.Form):
    """A role, and where."""

    role = forms.ChoiceField(choices=Role.choices)
    where = forms.ChoiceField(label="In")

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        managed = visit.grants.enterprises(Permission.MANAGE_USERS)
        places = [(str(one.pk), f"{one.name} (sandbox)" if one.sandbox else one.name) for one in managed]
        if visit.grants.may_everywhere(Permission.MANAGE_USERS):
            places.append((EVERYWHERE, "every enterprise, those to come included"))
        self.fields["where"].choices = places  # type: ignore[attr-defined]

    @property
    def enterprise(self) -> Enterprise | None:
        """The enterprise that was chosen, or None for every one."""
        where = self.cleaned_data["where"]
        return None if where == EVERYWHERE else Enterprise.objects.get(pk=where)


def users(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/users/"""
    context = {
        "title": "Users and roles",
        "users": _visible(visit).prefetch_related(_roles(visit)).order_by("username"),
        "may_manage": visit.may(Permission.MANAGE_USERS),
    }
    return render(request, "desk/users.html", context)


@sensitive_variables("code")
def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/users/new/; the answer to the POST is the only page that ever holds the link."""
    form = NewUserForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            with transaction.atomic():
                user = people.create_user(**form.cleaned_data, actor=visit.actor)
                code = set_up.make_link(user, actor=visit.actor)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _show_link(request, user, code)
    return render(request, "desk/user_new.html", {"title": "New user", "form": form})


@sensitive_variables("code")
def link(request: HttpRequest, visit: Visit, user_id: int) -> HttpResponse:
    """POST /admin/users/<id>/link/: another link for somebody who did not use theirs, which ends."""
    found = _user(visit, user_id)
    if not _may_switch(visit, found):
        messages.error(request, NOT_YOURS)
        return redirect("admin:user", found.pk)
    try:
        code = set_up.make_link(found, actor=visit.actor)
    except SetUpError as error:
        messages.error(request, str(error))
        return redirect("admin:user", found.pk)
    return _show_link(request, found, code)


@sensitive_variables("code")
def _show_link(request: HttpRequest, user: User, code: str) -> HttpResponse:
    context = {
        "title": "Hand this link over now",
        "person": user,
        "link": address_of_link(request, code),
        "hours": int(set_up.LIFE.total_seconds() // 3600),
    }
    return render(request, "desk/user_link.html", context)


def user(request: HttpRequest, visit: Visit, user_id: int) -> HttpResponse:
    """GET /admin/users/<id>/"""
    found = _user(visit, user_id)
    held = _seen_memberships(visit).filter(user=found)
    rows = [{"membership": one, "may_revoke": _manages(visit, one.enterprise_id)} for one in held]
    form = GrantForm(visit=visit) if visit.may(Permission.MANAGE_USERS) and found.is_active else None
    context = {
        "title": found.get_username(),
        "person": found,
        "rows": rows,
        "form": form,
        "may_switch": _may_switch(visit, found),
        "waits_for_set_up": set_up.is_waiting(found),
        "set_up": set_up.newest(found),
        "is_self": found.pk == visit.user.pk,
        "may_see_events": visit.may(Permission.VIEW_EVENTS),
    }
    return render(request, "desk/user.html", context)


def grant(request: HttpRequest, visit: Visit, user_id: int) -> HttpResponse:
    """POST /admin/users/<id>/grant/"""
    found, form = _user(visit, user_id), GrantForm(request.POST, visit=visit)
    if not form.is_valid():
        messages.error(request, "Choose a role, and an enterprise in which you may grant it.")
        return redirect("admin:user", found.pk)
    role = Role(form.cleaned_data["role"])
    return perform(
        request,
        lambda reason: role_grants.grant(
            found, role, enterprise=form.enterprise, reason=reason, actor=visit.actor
        ),
        said=f"{found.get_username()} is {role.label.lower()} now, and must sign in again.",
        back=reverse("admin:user", args=[found.pk]),
    )


def revoke(request: HttpRequest, visit: Visit, user_id: int, membership_id: int) -> HttpResponse:
    """POST /admin/users/<id>/roles/<id>/revoke/"""
    found = _user(visit, user_id)
    held = Membership.objects.select_related("enterprise").filter(user=found, pk=membership_id).first()
    if held is None or not _manages(visit, held.enterprise_id):
        raise Http404
    people.revoke(found, Role(held.role), enterprise=held.enterprise, actor=visit.actor)
    messages.success(request, f"{found.get_username()} is no longer {held.get_role_display().lower()} there.")
    return redirect("admin:user", found.pk)


def switch_off(request: HttpRequest, visit: Visit, user_id: int) -> HttpResponse:
    """POST /admin/users/<id>/off/"""
    return _switch(request, visit, user_id, people.switch_off, "is switched off and signed out.")


def switch_on(request: HttpRequest, visit: Visit, user_id: int) -> HttpResponse:
    """POST /admin/users/<id>/on/"""
    return _switch(request, visit, user_id, people.switch_on, "may sign in again, with the roles of before.")


def _switch(
    request: HttpRequest, visit: Visit, user_id: int, act: Callable[..., None], said: str
) -> HttpResponse:
    found = _user(visit, user_id)
    if not _may_switch(visit, found):
        messages.error(request, NOT_YOURS)
    else:
        act(found, actor=visit.actor)
        messages.success(request, f"{found.get_username()} {said}")
    return redirect("admin:user", found.pk)


def _visible(visit: Visit) -> "QuerySet[User]":
    """Who holds a role where the person may see users, and who holds none yet; everybody, to who may everywhere."""
    if visit.grants.may_everywhere(Permission.VIEW_USERS):
        return User.objects.all()
    seen = visit.grants.enterprises(Permission.VIEW_USERS).values("pk")
    return User.objects.filter(Q(memberships__enterprise__in=seen) | Q(memberships=None)).distinct()


def _seen_memberships(visit: Visit) -> "QuerySet[Membership]":
    """Roles in the enterprises in which the person may see users, and those in every enterprise."""
    seen = visit.grants.enterprises(Permission.VIEW_USERS).values("pk")
    held = Membership.objects.filter(Q(enterprise__in=seen) | Q(enterprise=None))
    return held.select_related("enterprise").order_by("enterprise__name", "role")


def _roles(visit: Visit) -> "Prefetch[str, QuerySet[Membership], str]":
    return Prefetch("memberships", _seen_memberships(visit), to_attr="seen_roles")


def _user(visit: Visit, user_id: int) -> User:
    found = _visible(visit).filter(pk=user_id).first()
    if found is None:
        raise Http404
    return found


def _manages(visit: Visit, enterprise_id: int | None) -> bool:
    if enterprise_id is None:
        return visit.grants.may_everywhere(Permission.MANAGE_USERS)
    return visit.grants.may_in(Permission.MANAGE_USERS, enterprise_id)


def _may_switch(visit: Visit, found: User) -> bool:
    """Switching a user off ends all their roles, so it takes the right in all the places of these.

    Who holds no role belongs to nobody's place: to who made them, and to who may change users everywhere.
    """
    if found.pk == visit.user.pk or not visit.may(Permission.MANAGE_USERS):
        return False
    places = list(found.memberships.values_list("enterprise_id", flat=True))
    if places:
        return all(_manages(visit, place) for place in places)
    return _manages(visit, None) or found.set_up_links.filter(made_by_id=visit.actor.id).exists()
