"""The Celery application. It carries ids and wakes workers; PostgreSQL is the queue of record (decision 10)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
        "portal",
        "tokens.bulk",
        "tokens.connections",
        "tokens.consent",
        "tokens.erasure",
        "tokens.exports",
        "tokens.file_transfer",
        "tokens.no_token_queue",
        "tokens.opt_out_files",
        "tokens.write_back",
    ]
)
