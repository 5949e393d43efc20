"""`manage.py opt_outs`: `manage.py unsubscribes` by another name."""

from portal.management.commands import unsubscribes


class Command(unsubscribes.Command):
    name = "opt_outs"
