"""Counting attempts before they are made, in the cache that all web processes share.

What is counted first can't be overtaken: of guesses that arrive together no more than the limit are looked at.
"""

from contextlib import suppress

from django.core.cache import cache
from django.utils.crypto import salted_hmac


def take(what: str, *, limit: int, seconds: int) -> bool:
    """Count an attempt at `what`, then say whether it may be made: at most `limit` in `seconds`.

    `what` is kept as a digest, since a mistyped password may be part of it. Raises RedisError while the cache is away.
    """
    key = _key(what)
    cache.add(key, 0, seconds)
    try:
        count = cache.incr(key)
    except ValueError:  # it ran out in between
        return cache.add(key, 1, seconds)
    if count == 1:
        cache.touch(key, seconds)  # should it have run out inside the increment, it would stay for ever
    return bool(count <= limit)


def give_back(what: str) -> None:
    """The attempt was none: whoever made it was right."""
    with suppress(ValueError):
        cache.decr(_key(what))


def forget(what: str) -> None:
    """Whoever is right may start again from nothing."""
    cache.delete(_key(what))


def _key(what: str) -> str:
    return f"attempts:{salted_hmac('attempts', what).hexdigest()}"
