"""The frame around every page: navigation by role, the environment's name, the search box."""

from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from audit.seals import status
from portal.access import Grants, grants
from portal.desk.pages import PAGES
from portal.desk.visit import Visit
from portal.models import User
from portal.roles import Permission


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation: shown to who holds its permission."""

    section: str
    title: str
    icon: str
    permission: Permission
    url_name: str


NAVIGATION: Final[tuple[tuple[str, tuple[Entry, ...]], ...]] = (
    ("", (Entry("start", "Start", "monitoring", Permission.VIEW_DASHBOARD, "index"),)),
    (
        "Evidence",
        (
            Entry("log", "Payload log", "receipt_long", Permission.VIEW_LOG, "log"),
            Entry("rescue", "Rescue window", "emergency", Permission.VIEW_LOG, "rescue"),
            Entry("exports", "Exports", "download", Permission.VIEW_EXPORTS, "exports"),
            Entry("events", "Event trail", "history", Permission.VIEW_EVENTS, "events"),
        ),
    ),
    (
        "People",
        (
            Entry("people", "Find a person", "person_search", Permission.SEARCH_PEOPLE, "people"),
            Entry("reveals", "Who saw whom", "visibility", Permission.VIEW_REVEALS, "reveals"),
            Entry("erasures", "Erasures", "person_remove", Permission.VIEW_ERASURES, "erasures"),
            Entry("holds", "Legal holds", "gavel", Permission.VIEW_HOLDS, "holds"),
            Entry("no-token-queue", "No Token Queue", "sms_failed", Permission.VIEW_UNSUBSCRIBES, "queue"),
            Entry("unsubscribes", "Unsubscribes", "block", Permission.VIEW_UNSUBSCRIBES, "unsubscribes"),
        ),
    ),
    ("Migration", (Entry("bulk", "Bulk jobs", "move_down", Permission.VIEW_BULK, "bulk"),)),
    (
        "Control",
        (
            Entry("approvals", "Approvals", "approval_delegation", Permission.VIEW_APPROVALS, "approvals"),
            Entry("retention", "Retention", "auto_delete", Permission.VIEW_RETENTION, "retention"),
            Entry("users", "Users and roles", "manage_accounts", Permission.VIEW_USERS, "users"),
        ),
    ),
    (
        "Connections",
        (
            Entry("clients", "API clients", "key", Permission.VIEW_CLIENTS, "clients"),
            Entry("connections", "Marketing Cloud", "cloud", Permission.VIEW_CONNECTIONS, "connections"),
            Entry("sftp", "SFTP", "folder_shared", Permission.VIEW_CONNECTIONS, "sftp-servers"),
            Entry("enterprises", "Enterprises", "domain", Permission.VIEW_ENTERPRISES, "enterprises"),
        ),
    ),
)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Template context of the frame; empty-handed for callers who aren't signed in."""
    user, visit = getattr(request, "user", None), getattr(request, "visit", None)
    held = _grants(user, visit)
    return {
        "shell": {
            "environment": settings.ENVIRONMENT,
            "is_production": settings.PRODUCTION,
            "signed_in": isinstance(user, User),
            # Every page: who works here should not learn later that what they did was not sealed.
            "seals_late_since": status.late_since() if isinstance(user, User) else None,
            "roles": ", ".join(sorted(str(role.label) for role in held.roles())),
            "groups": _groups(held, _section(request), _counts(visit)),
            # The box finds people by value or token, and log entries by request id.
            "finds_entries": held.may(Permission.VIEW_LOG),
            "finds_people": held.may(Permission.SEARCH_PEOPLE),
        }
    }


def _grants(user: object, visit: object) -> Grants:
    if isinstance(visit, Visit):
        return visit.grants
    return grants(user) if isinstance(user, User) else Grants()


def _section(request: HttpRequest) -> str:
    """The section of the page that answers, so that the navigation marks it."""
    match = request.resolver_match
    name = match.url_name if match else None
    return next((page.section for page in PAGES if page.name == name), "")


def _counts(visit: object) -> dict[str, int]:
    """What waits for the person, by entry of the navigation."""
    return {"approvals": visit.to_decide} if isinstance(visit, Visit) else {}


def _groups(held: Grants, section: str, counts: dict[str, int]) -> list[dict[str, Any]]:
    groups = []
    for title, entries in NAVIGATION:
        lines = [
            {
                "entry": entry,
                "url": reverse(f"admin:{entry.url_name}"),
                "current": entry.section == section,
                "count": counts.get(entry.section, 0),
            }
            for entry in entries
            if held.may(entry.permission)
        ]
        if lines:
            groups.append({"title": title, "lines": lines})
    return groups
