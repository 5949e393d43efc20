"""Django's migrate, run as the owner of the tables unless told otherwise (decision 8)."""

from typing import Any

from django.core.management.commands.migrate import Command as Migrate


class Command(Migrate):
    help = Migrate.help

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")
