"""Who acts, as the event trail names them: the person, and the address that they act from."""

from django.conf import settings
from django.http import HttpRequest

from audit.trail import Actor
from portal.models import User
from tokens.api.caller import caller_address, trusted_proxies


def address_of(request: HttpRequest) -> str | None:
    """The address of the browser, behind the proxies that are trusted; None when it can't be known."""
    address = caller_address(request.META, trusted_proxies(tuple(settings.TRUSTED_PROXIES)))
    return str(address) if address else None


def actor_of(request: HttpRequest, user: User) -> Actor:
    """`user` as the trail names them."""
    return Actor(f"user:{user.pk}", user.get_username(), address_of(request))
