"""django-allauth, told how people come into this portal: no sign-up, no mails, our own pages, our own limits."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.stages import AuthenticateStage
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from portal import second_factor
from portal.models import User


class CodeStage(AuthenticateStage):
    """Between password and session: whoever has a second factor shows it."""

    urlname = "admin:login-code"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        """(where to go, whether the sign-in goes on); allauth keeps it meanwhile."""
        user = self.login.user
        if isinstance(user, User) and second_factor.has_one(user):
            return HttpResponseRedirect(reverse(self.urlname)), True
        return None, True


class AccountAdapter(DefaultAccountAdapter):
    """What allauth asks of a project."""

    def get_login_stages(self) -> list[str]:
        """One step between the proof of who it is and the session."""
        return ["portal.accounts.CodeStage"]

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Users are made by `manage.py create_user` and the portal, never by strangers."""
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Our pages say what happened."""

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is mailed."""

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Back to the sign-in page, which says so."""
        messages.error(request, "This account is switched off. Ask an administrator of the portal.")
        return HttpResponseRedirect(reverse("admin:login"))
