#!/usr/bin/env python
"""Entry point of every management command; `manage.py help` lists them."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from portal import embedded
    from portal.settings_errors import USAGE, refuse_unreachable_database

    try:
        embedded.hold_for_command(sys.argv)

        from django.core.management import execute_from_command_line

        with refuse_unreachable_database():
            execute_from_command_line(sys.argv)
    except embedded.EmbeddedError as error:
        print(f"token-portal: {error}", file=sys.stderr)
        sys.exit(USAGE)


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as missing:
        if missing.name != "django":
            raise
        print(
            "token-portal: Django is not here: run .venv/bin/python manage.py (after make install).",
            file=sys.stderr,
        )
        sys.exit(2)
