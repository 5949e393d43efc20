"""`make shots`: three pages for docs/images; `make shots ARGS="--all FOLDER"`: every page, to look at.

At desk and phone, light and dark. Needs the system's Chromium.
"""

import os

import django


def main() -> None:
    """Settings first: what takes the pictures imports models."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    # The sync API of Playwright keeps an event loop in this thread, and Django would take it for an async view.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    django.setup()

    from tests.browser import gallery

    gallery.main()


if __name__ == "__main__":
    main()
