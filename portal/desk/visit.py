"""A visit: who looks at a page, and the enterprises that the page may show them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from django.db.models import Model, QuerySet

from audit.trail import Actor
from portal.access import Grants
from portal.desk.inbox import count_to_decide
from portal.models import User
from portal.roles import Permission
from tokens.models import Enterprise

EvidenceT = TypeVar("EvidenceT", bound=Model)


@dataclass(frozen=True)
class Visit:
    """Given to every page: what it shows is filtered by the enterprises in which its permission is held."""

    user: User
    actor: Actor
    grants: Grants
    permission: Permission

    @cached_property
    def enterprises(self) -> list[Enterprise]:
        """The enterprises in which the person holds the page's permission."""
        return list(self.grants.enterprises(self.permission))

    @cached_property
    def to_decide(self) -> int:
        """How many requests for approval wait for this person."""
        return count_to_decide(self.grants, self.actor)

    @property
    def enterprise_ids(self) -> list[int]:
        """Their ids, in the same order."""
        return [enterprise.pk for enterprise in self.enterprises]

    @property
    def everywhere(self) -> bool:
        """Whether the person holds it in every enterprise, and so sees what belongs to none."""
        return self.grants.may_everywhere(self.permission)

    def evidence(self, rows: "QuerySet[EvidenceT]") -> "QuerySet[EvidenceT]":
        """`rows` of the log or the trail that the person may see."""
        return rows if self.everywhere else rows.filter(enterprise_id__in=self.enterprise_ids)

    def may(self, permission: Permission, enterprise_id: int | None = None) -> bool:
        """Whether the person holds another permission, anywhere or in one enterprise: what a page offers."""
        if enterprise_id is None:
            return self.grants.may(permission)
        return self.grants.may_in(permission, enterprise_id)

    def asking(self, permission: Permission) -> "Visit":
        """The same person on a page that asks another permission."""
        return replace(self, permission=permission)
