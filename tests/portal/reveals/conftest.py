"""Acme, Ana and the officer, as at the desk."""

from tests.portal.desk.conftest import _fresh_allowlist, aaron, acme, ana, caller, dario, ines, olivia, rival

__all__ = ["_fresh_allowlist", "aaron", "acme", "ana", "caller", "dario", "ines", "olivia", "rival"]
