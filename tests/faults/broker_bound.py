"""The portal, with a known-bad twin in it: a call that carries `X-Twin: broker` rings a doorbell before it is answered.

A WSGI application like portal.wsgi, served by the same web server.
"""

from collections.abc import Callable, Iterable
from typing import Any

from portal import wsgi
from portal.celery import app


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What a view that hands work to Celery before it answers does to Get Token."""
    if environ.get("HTTP_X_TWIN") == "broker":
        app.send_task("portal.tasks.nobody", retry=False)
    answer: Iterable[bytes] = wsgi.application(environ, start_response)
    return answer
