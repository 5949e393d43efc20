"""Configuration of gunicorn: `gunicorn -c python:portal.web_server portal.wsgi`.

Names and meanings are gunicorn's. WEB_WORKERS and WEB_THREADS set the size; TLS_CERT and TLS_KEY make it speak TLS.
"""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("SERVES_WEB", "true")

from django.conf import settings

worker_class = "gthread"
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
backlog = 2048
# A request ends within Marketing Cloud's own limit of 60 s, or its worker is replaced.
timeout = 60
graceful_timeout = 20
keepalive = 75
loglevel = "warning"
# No access log: the payload log records each exchange, and paths are all that an access log would add.
accesslog = None
errorlog = "-"
# The heartbeat of workers belongs in memory: on a busy disk it stalls, and with it the worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes it safely
control_socket_disable = True
# gunicorn trusts peers on loopback with the scheme and with SCRIPT_NAME. Whom we trust is said by TRUSTED_PROXIES.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
certfile = settings.TLS_CERT or None
keyfile = settings.TLS_KEY or None


def ssl_context(_config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """TLS 1.2 and newer."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
