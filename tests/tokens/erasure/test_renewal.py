"""Consent given anew is one person's: nobody else comes back by it."""

import pytest
from django.utils import timezone

from audit.approvals import acts, requests
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tests.tokens.erasure.scene import a_person, begun
from tokens.erasure import destroying, renewal
from tokens.models import Contact, Erasure, Mapping

pytestmark = pytest.mark.django_db


def test_who_was_erased_again_later_stays_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts._outside, "may", lambda *_: True)
    acme = an_enterprise()
    a_person(acme, "home@mail.example", "SUB-ANA")
    home, ben = a_person(acme, "home@mail.example", "SUB-BEN"), a_person(acme, "ben@mail.example", "SUB-BEN")
    both = begun(home, state=Erasure.State.DELETED)
    destroying.destroy(both)
    Erasure.objects.filter(pk=both.pk).update(state="done", done_at=timezone.now())
    renewed(home)
    ana = a_person(acme, "ana@mail.example", "SUB-ANA")
    begun(ana)  # hers, under way
    renewed(ben)  # his, of the first erasure, which was hers too
    erased = Contact.objects.filter(enterprise=acme, erased_at__isnull=False)
    assert [one.subscriber_key for one in erased] == ["SUB-ANA"]


def renewed(mapping: Mapping) -> None:
    asked = renewal.ask(
        mapping, consented_at=timezone.now(), evidence="file DOI-7", reason="Anew.", actor=OLGA
    ).waits_for
    assert asked is not None
    assert requests.approve(asked.pk, actor=IVAN).state == "approved"
