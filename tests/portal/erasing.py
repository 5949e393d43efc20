"""An erasure as pages show it: begun by two, waiting for people, with the parts of a receipt."""

import datetime

from django.utils import timezone

from audit.approvals import requests
from audit.trail import SYSTEM
from portal.roles import Role
from tests.portal.desk import asking as people
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tokens.enterprises import create_business_unit
from tokens.erasure import asking
from tokens.models import BusinessUnit, ContactDelete, Enterprise, Erasure, Mapping


def a_scene(enterprise: Enterprise, *, name: str = "second") -> Erasure:
    """Somebody whose contact is deleted in the account, and not yet in a unit; another's request waits."""
    if not BusinessUnit.objects.filter(enterprise=enterprise).exists():
        create_business_unit(enterprise, mid="2", name="Outlet", actor=SYSTEM)
    tokens = [api_cast.a_person(enterprise, f"{who}@mail.example", f"SUB-{who}") for who in ("dora", "emil")]
    dora, emil = (Mapping.objects.select_related("enterprise").get(token=token) for token in tokens)
    for mapping in (dora, emil):
        chosen = [link.contact_id for link in asking.holders(mapping)]
        asked = asking.ask(
            mapping, chosen, case="DSAR-2026-9", reason="In writing.", actor=people.AT_THE_KEYBOARD
        )
        if mapping is dora and asked.waits_for is not None:
            officer = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=enterprise, name=name)
            requests.approve(asked.waits_for.pk, actor=people.actor(officer))
    erasure = Erasure.objects.get(mapping=dora)
    first = erasure.deletes.order_by("pk")[0]
    ContactDelete.objects.filter(pk=first.pk).update(
        state="deleted", proof="read-back", deleted_at=timezone.now(), begun_at=timezone.now()
    )
    Erasure.objects.filter(pk=erasure.pk).update(
        trouble="NoConnection",
        next_try_at=timezone.now() + datetime.timedelta(days=1),
        left_to_customer=[["notes-2025", "Notes of the call centre"]],
        destroyed={"clear values": 1, "versions of attributes": 3, "exports in clear": 0},
        lives_until={"residue": "2026-12-23", "backups": "2026-12-27"},
    )
    return Erasure.objects.get(pk=erasure.pk)
