"""SFTP servers that extracts are fetched from: entering, pinning the host key, testing, putting to use."""

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from portal.desk.asking import perform
from portal.desk.connections import SecretField
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.errors import BadTransfer, NotUnique
from tokens.file_transfer import approval, verbs
from tokens.file_transfer.errors import TransferError
from tokens.file_transfer.host_keys import HostKey
from tokens.models import Enterprise, ExtractRecipe, FileTransfer, RemoteFile

_FILES_SHOWN: Final = 50
_PLAIN: Final = {"spellcheck": "false", "autocomplete": "off"}
# How the state of a file looks.
TONES: Final = {
    RemoteFile.State.SEEN: ("", "hourglass_empty"),
    RemoteFile.State.COLUMNS: ("warn", "view_column"),
    RemoteFile.State.TAKEN: ("good", "check_circle"),
    RemoteFile.State.REFUSED: ("bad", "error"),
}


class TransferFacts(forms.Form):
    """What can be changed of a server later."""

    host = forms.CharField(
        max_length=255,
        widget=forms.TextInput(_PLAIN | {"placeholder": "mc….ftp.marketingcloudops.com"}),
        help_text="The name alone, without sftp://.",
    )
    port = forms.IntegerField(min_value=1, max_value=65_535, initial=22)
    username = forms.CharField(label="User", max_length=100, widget=forms.TextInput(_PLAIN))
    extracts_folder = forms.CharField(
        label="Folder of the extracts",
        max_length=500,
        required=False,
        widget=forms.TextInput(_PLAIN | {"placeholder": "/Export"}),
        help_text="As the server names it. Empty: where the user is after signing in.",
    )
    recipe = forms.ModelChoiceField(
        ExtractRecipe.objects.none(),
        required=False,
        empty_label="the saved one whose columns fit",
        label="Recipe to read them with",
    )

    def __init__(self, *args: Any, enterprises: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        recipes = ExtractRecipe.objects.filter(enterprise__in=enterprises, what=ExtractRecipe.What.QUEUE)
        fields["recipe"].queryset = recipes.select_related("enterprise").order_by("enterprise__name", "name")
        fields["recipe"].label_from_instance = lambda recipe: f"{recipe.name} ({recipe.enterprise.name})"


class NewTransferForm(TransferFacts):
    """A server to be entered."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    field_order = ("enterprise", "host", "port", "username", "extracts_folder", "recipe")

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, enterprises=visit.enterprise_ids, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["enterprise"].queryset = Enterprise.objects.filter(pk__in=visit.enterprise_ids)
        if len(visit.enterprises) == 1:
            fields["enterprise"].initial = visit.enterprises[0]
            fields["enterprise"].widget = forms.HiddenInput()


class HostKeyForm(forms.Form):
    """The key that the server must prove to have."""

    line = forms.CharField(
        label="Host key",
        max_length=5_000,
        widget=forms.Textarea(_PLAIN | {"rows": 4, "placeholder": "ssh-ed25519 AAAA…"}),
        help_text="The line of known_hosts or of the .pub file.",
    )


class PasswordForm(forms.Form):
    """The password of the user."""

    password = SecretField(label="New password", max_length=verbs.LONGEST_SECRET, strip=False)


def servers(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/sftp/"""
    rows = FileTransfer.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise")
    context = {
        "title": "SFTP",
        "rows": [(one, _state(one)) for one in rows.order_by("enterprise__name")],
        "may_manage": visit.may(Permission.MANAGE_CONNECTIONS),
    }
    return render(request, "desk/sftp_servers.html", context)


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/sftp/new/"""
    form = NewTransferForm(request.POST or None, visit=visit)
    if form.is_bound and form.is_valid():
        try:
            made = verbs.create_transfer(**form.cleaned_data, actor=visit.actor)
        except (BadTransfer, NotUnique) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Entered. Next: compare its host key and pin it.")
            return redirect("admin:sftp-host-key", made.pk)
    context = {"title": "New SFTP server", "form": form, "back": reverse("admin:sftp-servers")}
    return render(request, "desk/sftp_form.html", context)


def server(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """GET /admin/sftp/<id>/: facts, the last look, the last test, the files"""
    found = _transfer(visit, transfer_id)
    may_manage = visit.may(Permission.MANAGE_CONNECTIONS, found.enterprise_id)
    context = {
        "title": str(found),
        "server": found,
        "state": _state(found),
        "has_passed": approval.has_passed(found),
        "fingerprint": HostKey.parse(found.host_key).fingerprint if found.host_key else "",
        "files": [(one, *TONES[RemoteFile.State(one.state)]) for one in _newest_files(found)],
        "may_manage": may_manage,
        "password_form": PasswordForm() if may_manage else None,
    }
    return render(request, "desk/sftp.html", context)


def change(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/sftp/<id>/change/"""
    found = _transfer(visit, transfer_id)
    initial = {field: getattr(found, field) for field in TransferFacts.base_fields}
    form = TransferFacts(request.POST or None, initial=initial, enterprises=[found.enterprise_id])
    back = reverse("admin:sftp", args=[found.pk])
    if form.is_bound and form.is_valid():
        try:
            changed = verbs.change_transfer(found, **form.cleaned_data, actor=visit.actor)
        except BadTransfer as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved.")
            if found.in_use_since and not changed.in_use_since:
                messages.warning(
                    request, "It leads elsewhere now, so it is out of use: test it, and put it to use again."
                )
            return redirect(back)
    context = {"title": f"Change {found.host}", "form": form, "back": back, "server": found}
    return render(request, "desk/sftp_form.html", context)


def host_key(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/sftp/<id>/host-key/: `ask` shows what the server offers, otherwise `line` is pinned"""
    found = _transfer(visit, transfer_id)
    offered, form = None, HostKeyForm(request.POST or None)
    back = reverse("admin:sftp", args=[found.pk])
    if "ask" in request.POST:
        form = HostKeyForm()
        try:
            offered = verbs.offered_key(found)
        except TransferError as error:
            messages.error(request, str(error))
        else:
            form = HostKeyForm(initial={"line": offered.line})
    elif form.is_bound and form.is_valid():
        try:
            verbs.pin(found, line=form.cleaned_data["line"], actor=visit.actor)
        except TransferError as error:
            form.add_error("line", str(error))
        else:
            messages.success(request, "The host key is pinned. Test the server now.")
            return redirect(back)
    context = {"title": "Host key", "form": form, "back": back, "server": found, "offered": offered}
    return render(request, "desk/sftp_host_key.html", context)


@sensitive_variables()
@sensitive_post_parameters("password")
def password(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """POST /admin/sftp/<id>/password/"""
    found, form = _transfer(visit, transfer_id), PasswordForm(request.POST)
    try:
        if not form.is_valid():
            raise BadTransfer("paste the password of the user")
        verbs.change_password(found, password=form.cleaned_data["password"], actor=visit.actor)
    except BadTransfer as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The password is sealed. Test the server now.")
    return redirect("admin:sftp", found.pk)


def key(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """POST /admin/sftp/<id>/key/"""
    found = _transfer(visit, transfer_id)
    verbs.change_key(found, actor=visit.actor)
    messages.success(request, "A key pair was made. Add its public key to the server, then test.")
    return redirect("admin:sftp", found.pk)


def test(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """POST /admin/sftp/<id>/test/"""
    found = _transfer(visit, transfer_id)
    try:
        failed = verbs.test_transfer(found, actor=visit.actor).failed
    except BadTransfer as error:
        messages.error(request, str(error))
    else:
        if failed is None:
            messages.success(request, "The test passed, from DNS to the folder.")
        else:
            messages.error(request, f"The test failed at {failed.step}.")
    return redirect("admin:sftp", found.pk)


def use(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """POST /admin/sftp/<id>/use/: takes a second person, except in a sandbox"""
    found = _transfer(visit, transfer_id)
    return perform(
        request,
        lambda reason: approval.use(found, reason=reason, actor=visit.actor),
        said=f"{found.host} is in use: its folder is looked at every minute.",
        back=reverse("admin:sftp", args=[found.pk]),
    )


def stop(request: HttpRequest, visit: Visit, transfer_id: uuid.UUID) -> HttpResponse:
    """POST /admin/sftp/<id>/stop/"""
    found = _transfer(visit, transfer_id)
    verbs.stop_using(found, actor=visit.actor)
    messages.success(request, f"{found.host} is out of use: nothing is fetched.")
    return redirect("admin:sftp", found.pk)


def _state(transfer: FileTransfer) -> tuple[str, str, str]:
    """Text, tone and icon of a badge."""
    if transfer.in_use_since and transfer.trouble:
        return "fails", "bad", "error"
    if transfer.test and not approval.has_passed(transfer):
        return "test failed", "bad", "error"
    if transfer.in_use_since:
        return "in use", "good", "check_circle"
    return ("not in use", "", "toggle_off") if transfer.test else ("not tested", "warn", "hourglass_empty")


def _newest_files(transfer: FileTransfer) -> list[RemoteFile]:
    return list(transfer.files.order_by("-mtime", "-pk")[:_FILES_SHOWN])


def _transfer(visit: Visit, transfer_id: uuid.UUID) -> FileTransfer:
    rows = FileTransfer.objects.select_related("enterprise", "recipe")
    found = rows.filter(enterprise__in=visit.enterprise_ids, pk=transfer_id).first()
    if found is None:
        raise Http404
    return found
