"""The second step of signing in: a code or a passkey, after the password was right."""

from typing import Any

from allauth.account.internal.decorators import login_stage_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from portal import second_factor
from portal.accounts import CodeStage
from portal.actors import actor_of
from portal.desk.factor_forms import ShownFactor, passkey_request
from portal.models import User


@require_http_methods(["GET", "HEAD", "POST"])
@login_stage_required(stage=CodeStage.key, redirect_urlname="admin:login")
def code(request: HttpRequest) -> HttpResponseBase:
    """GET and POST /admin/login/code/; whoever has not just given a right password is sent to do so."""
    stage: Any = vars(request)["_login_stage"]
    user = stage.login.user
    assert isinstance(user, User)
    form = ShownFactor(request.POST or None)
    if request.method == "POST" and form.check(user, actor=actor_of(request, user), purpose="sign-in"):
        assert form.factor is not None
        second_factor.note_passed(request, form.factor)
        response: HttpResponse = stage.exit()
        return response
    context = {"form": form, "user_name": user.get_username(), **passkey_request(user)}
    return render(request, "desk/sign_in_code.html", context)
