"""Roles are permission sets in code, granted by `portal.Membership` (decision 13)."""

from enum import StrEnum
from typing import Final

from django.db import models


class Permission(StrEnum):
    """Everything a page may ask for. A page names one of these, never a role."""

    VIEW_DASHBOARD = "dashboard.view"
    VIEW_LOG = "log.view"
    SEARCH_PEOPLE = "people.search"
    VIEW_MAPPINGS = "mappings.view"
    ANSWER_ACCESS_REQUESTS = "people.pack"
    VIEW_ERASURES = "erasures.view"
    ERASE = "people.erase"
    VIEW_EXPORTS = "exports.view"
    MAKE_EXPORTS = "exports.make"
    VIEW_HOLDS = "holds.view"
    PLACE_HOLDS = "holds.place"
    VIEW_RETENTION = "retention.view"
    CHANGE_RETENTION = "retention.change"
    VIEW_UNSUBSCRIBES = "unsubscribes.view"
    UNSUBSCRIBE = "unsubscribes.create"
    VIEW_EVENTS = "events.view"
    VIEW_CLIENTS = "clients.view"
    MANAGE_CLIENTS = "clients.manage"
    VIEW_CONNECTIONS = "connections.view"
    MANAGE_CONNECTIONS = "connections.manage"
    VIEW_ENTERPRISES = "enterprises.view"
    MANAGE_ENTERPRISES = "enterprises.manage"
    VIEW_BULK = "bulk.view"
    RUN_BULK = "bulk.run"
    VIEW_APPROVALS = "approvals.view"
    DECIDE_APPROVALS = "approvals.decide"
    VIEW_USERS = "users.view"
    MANAGE_USERS = "users.manage"
    # Clear values: needs a second factor, see portal.second_factor.
    REVEAL = "people.reveal"
    VIEW_REVEALS = "reveals.view"
    REVIEW_REVEALS = "reveals.review"


class Role(models.TextChoices):
    """What a person is in an enterprise."""

    COMPLIANCE_OFFICER = "compliance-officer", "Compliance officer"
    AUDITOR = "auditor", "Auditor"
    INTEGRATION_ADMIN = "integration-admin", "Integration admin"
    DATA_ENGINEER = "data-engineer", "Data engineer"
    ADMINISTRATOR = "administrator", "Administrator of users"


_P = Permission
PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.COMPLIANCE_OFFICER: frozenset(
        {
            _P.VIEW_DASHBOARD,
            _P.VIEW_LOG,
            _P.SEARCH_PEOPLE,
            _P.VIEW_MAPPINGS,
            _P.ANSWER_ACCESS_REQUESTS,
            _P.VIEW_ERASURES,
            _P.ERASE,
            _P.VIEW_HOLDS,
            _P.PLACE_HOLDS,
            _P.VIEW_RETENTION,
            _P.CHANGE_RETENTION,
            _P.VIEW_EXPORTS,
            _P.MAKE_EXPORTS,
            _P.VIEW_UNSUBSCRIBES,
            _P.UNSUBSCRIBE,
            _P.VIEW_EVENTS,
            _P.VIEW_CLIENTS,
            _P.VIEW_CONNECTIONS,
            _P.VIEW_ENTERPRISES,
            _P.VIEW_BULK,
            _P.VIEW_APPROVALS,
            _P.DECIDE_APPROVALS,
            _P.VIEW_USERS,
            _P.REVEAL,
            _P.VIEW_REVEALS,
            _P.REVIEW_REVEALS,
        }
    ),
    # Reads everything that is masked, changes nothing.
    Role.AUDITOR: frozenset(
        {
            _P.VIEW_DASHBOARD,
            _P.VIEW_LOG,
            _P.SEARCH_PEOPLE,
            _P.VIEW_MAPPINGS,
            _P.VIEW_ERASURES,
            _P.VIEW_HOLDS,
            _P.VIEW_RETENTION,
            _P.VIEW_EXPORTS,
            _P.VIEW_UNSUBSCRIBES,
            _P.VIEW_EVENTS,
            _P.VIEW_CLIENTS,
            _P.VIEW_CONNECTIONS,
            _P.VIEW_ENTERPRISES,
            _P.VIEW_BULK,
            _P.VIEW_APPROVALS,
            _P.VIEW_USERS,
            _P.VIEW_REVEALS,
        }
    ),
    Role.INTEGRATION_ADMIN: frozenset(
        {
            _P.VIEW_DASHBOARD,
            _P.VIEW_LOG,
            _P.VIEW_CLIENTS,
            _P.MANAGE_CLIENTS,
            _P.VIEW_CONNECTIONS,
            _P.MANAGE_CONNECTIONS,
            _P.VIEW_ENTERPRISES,
            _P.MANAGE_ENTERPRISES,
            _P.VIEW_EVENTS,
            _P.VIEW_APPROVALS,
            _P.DECIDE_APPROVALS,
        }
    ),
    Role.DATA_ENGINEER: frozenset(
        {
            _P.VIEW_DASHBOARD,
            _P.VIEW_MAPPINGS,
            _P.VIEW_ENTERPRISES,
            _P.VIEW_BULK,
            _P.RUN_BULK,
            _P.VIEW_APPROVALS,
            _P.DECIDE_APPROVALS,
        }
    ),
    # Says who else may do what, and may do none of it: granting takes a second person, who may be an officer.
    Role.ADMINISTRATOR: frozenset(
        {
            _P.VIEW_DASHBOARD,
            _P.VIEW_EVENTS,
            _P.VIEW_ENTERPRISES,
            # May be the second person; sees months and figures, and nothing of what is in them.
            _P.VIEW_RETENTION,
            _P.VIEW_APPROVALS,
            _P.DECIDE_APPROVALS,
            _P.VIEW_USERS,
            _P.MANAGE_USERS,
        }
    ),
}
