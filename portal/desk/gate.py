"""What stands before every page: the second factor of who needs or has one, and a fresh one for some pages."""

from typing import Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from portal import second_factor
from portal.access import Grants
from portal.models import User
from portal.second_factor import sealing
from tokens.crypto.errors import CryptoError

# A form that waits until its sender has shown the second factor: {"path": …, "post": …}. It was looked at by nobody
# yet, so there may be in it what the page would refuse to take: it is sealed.
SUSPENDED: Final = "suspended_form"


def second_factor_first(request: HttpRequest, user: User, held: Grants) -> HttpResponse | None:
    """Where a session must go that has shown no second factor, though its person has or needs one."""
    if second_factor.is_passed(request):
        return None
    if second_factor.has_one(user):  # added since, in another session
        return lead_to(request, "admin:factor-confirm")
    return lead_to(request, "admin:factor-app") if second_factor.is_required(held) else None


def fresh_factor_first(request: HttpRequest) -> HttpResponse | None:
    """Where to show the second factor again, and from there back; a form that was sent is kept meanwhile, sealed."""
    if second_factor.is_fresh(request):
        return None
    if request.method == "POST":
        sent = request.POST.copy()
        sent.pop("csrfmiddlewaretoken", None)
        assert isinstance(request.user, User)
        post = sealing.seal(sent.urlencode(), user_id=request.user.pk, use=SUSPENDED)
        request.session[SUSPENDED] = {"path": request.get_full_path(), "post": post}
    return lead_to(request, "admin:factor-confirm", back=request.get_full_path())


def lead_to(request: HttpRequest, name: str, *, back: str = "") -> HttpResponse:
    """A redirect to a page that knows the way back; a fragment of a page sends the whole page there."""
    if not back:
        back = request.get_full_path() if request.method in ("GET", "HEAD") else reverse("admin:index")
    address = f"{reverse(name)}?{urlencode({'next': back}, safe='/')}"
    if "HX-Request" in request.headers:
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def way_back(request: HttpRequest) -> str:
    """The address to go on to: of this portal, or the start page."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if allowed else reverse("admin:index")


def go_on(request: HttpRequest) -> HttpResponseBase:
    """Back to where the person came from, with the form that waited."""
    address, waiting = way_back(request), request.session.pop(SUSPENDED, None)
    if not waiting or waiting["path"] != address:
        return HttpResponseRedirect(address)
    try:
        assert isinstance(request.user, User)
        post = sealing.unseal(waiting["post"], user_id=request.user.pk, use=SUSPENDED)
    except CryptoError:
        return HttpResponseRedirect(address)
    path = address.partition("?")[0]
    request.resolver_match = match = resolve(path)
    request.path = request.path_info = path
    request.POST = QueryDict(post)
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    return response
