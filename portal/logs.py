"""Structured logs: one JSON object a line, without local variables and foreign texts of errors.

A traceback names types and places. What an error of another package says may quote a row or a parameter ("Key
(subscriber_key)=(…) already exists"), so only the texts of our own errors are printed: those never hold a value.
"""

import logging.config
from collections.abc import Iterator, Mapping
from typing import Any, Final

import structlog
from structlog.typing import ExcInfo

OUR_PACKAGES: Final = ("audit", "tokens", "portal")


class TracebackWithoutValues(structlog.tracebacks.ExceptionDictTransformer):
    """A traceback as a dictionary, from which everything that may quote a value is left out."""

    def __init__(self) -> None:
        super().__init__(show_locals=False)

    def __call__(self, exc_info: ExcInfo) -> list[dict[str, Any]]:
        stacks = super().__call__(exc_info)
        for stack, error in zip(stacks, _chain(exc_info[1]), strict=False):
            if type(error).__module__.partition(".")[0] not in OUR_PACKAGES:
                stack["exc_value"] = ""
            stack |= {"exc_notes": [], "syntax_error": None, "exceptions": []}
        return stacks


class TasksWithoutTexts(logging.Filter):
    """Celery writes the text of a failed task's error into its message: leave the type, drop the text."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, Mapping) and "exc" in record.args:
            error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "an error"
            record.args = {**record.args, "exc": error, "traceback": "", "args": "", "kwargs": ""}
            record.__dict__.pop("data", None)
        return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, in the order in which a traceback shows them."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.ExceptionRenderer(TracebackWithoutValues()),
]


def logging_config(*, level: str) -> None:
    """Route the standard library's loggers and structlog's to one JSON stream on stderr."""
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _SHARED,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": formatter},
            "filters": {"tasks": {"()": TasksWithoutTexts}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["tasks"]}
            },
            "root": {"handlers": ["stderr"], "level": level},
            # Django's request logger prints paths of 4xx answers; ours records them in the payload log.
            "loggers": {
                # What we send is in the payload log; an address can hold a key.
                "httpx2": {"level": "WARNING"},
                "httpcore2": {"level": "WARNING"},
                "django.request": {"level": "ERROR"},
                "django.server": {"level": "WARNING"},
                # At DEBUG these print parameters of statements, and bearer tokens.
                "django.db.backends": {"level": "INFO"},
                "oauthlib": {"level": "INFO"},
                "oauth2_provider": {"level": "INFO"},
                # Says six times an hour that it deleted nothing.
                "oauth2_provider.models": {"level": "WARNING"},
            },
        }
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
