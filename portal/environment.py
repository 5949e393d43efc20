"""Reads settings from the environment, and refuses nonsense where django-environ would guess or show a traceback."""

import ipaddress
from typing import Any, Final, NoReturn

import environ

from portal.settings_errors import refuse

TRUE: Final = frozenset({"true", "on", "yes", "y", "1"})
FALSE: Final = frozenset({"false", "off", "no", "n", "0", ""})


class Environment(environ.FileAwareEnv):
    """`NAME_FILE` may give the path of a file that holds the value of NAME."""

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, **options: Any) -> Any:
        """As django-environ, but a malformed value ends the start; the line never holds the value."""
        try:
            raw = self.ENVIRON.get(var)
            if cast is bool and raw is not None and raw.strip().lower() not in TRUE | FALSE:
                refuse(f"{var} is neither true nor false", f"set {var}=true or {var}=false")
            return super().get_value(var, cast=cast, default=default, **options)
        except OSError as error:
            refuse(
                f"the file of {var}_FILE cannot be read ({error.strerror})", "correct its path or its mode"
            )
        except ValueError:
            kind = getattr(cast, "__name__", "value")
            refuse(f"{var} is malformed", f"give it as {kind}")

    def postgres(self, variable: str, url: str) -> dict[str, Any]:
        """Django's settings of a database from the URL that `variable` gave."""
        # Checked here first: of a URL that it does not know, django-environ prints a warning with all its parts.
        if not url.startswith(("postgresql://", "postgres://")):
            self._refuse_database(variable)
        try:
            config: dict[str, Any] = self.db_url_config(url)
        except ValueError:
            self._refuse_database(variable)
        return config

    def mail_server(self, variable: str) -> dict[str, Any]:
        """Django's settings of the mail server that a URL names; none without it."""
        url = self.str(variable, default="")
        if not url:
            return {}
        # Checked here first: django-environ would show the URL, password and all, in a traceback.
        if not url.startswith(("smtp://", "smtp+tls://", "smtp+ssl://")):
            self._refuse_mail(variable)
        try:
            return dict(self.email_url_config(url))
        except (ValueError, KeyError):
            self._refuse_mail(variable)

    def _refuse_mail(self, variable: str) -> NoReturn:
        refuse(
            f"{variable} names no mail server",
            "give smtp+tls://user:password@host:587, smtp+ssl:// or smtp://",
        )

    def networks(self, variable: str, *, words: frozenset[str]) -> list[str]:
        """CIDRs, or one of a few words, separated by commas."""
        entries: list[str] = [entry.strip() for entry in self.list(variable, default=[])]
        for entry in entries:
            try:
                _ = entry in words or ipaddress.ip_network(entry)
            except ValueError:
                refuse(
                    f"{variable} holds what is no network",
                    "give CIDRs such as 10.0.0.0/8, separated by commas",
                )
        return entries

    def _refuse_database(self, variable: str) -> NoReturn:
        refuse(
            f"{variable} is not a postgresql:// URL",
            "give postgresql://role:password@host/database; PostgreSQL 15 or newer is the one engine",
        )
