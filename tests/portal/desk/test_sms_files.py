"""The desk hands text-message opt-outs over as a file; making and taking it are on record."""

import pytest
from django.test import Client
from django.utils import timezone

from audit.trail import SYSTEM
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.cast import ANAS_PHONE, BORIS_PHONE, an_enterprise, hold, mapping_of, mobile
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.models import Enterprise, SmsFile
from tokens.vault import contacts

pytestmark = pytest.mark.django_db
SMS = "/admin/unsubscribes/sms/"


@pytest.fixture
def acme() -> Enterprise:
    """Ana, who has a token and a key, and Boris, who has neither, want no more texts."""
    acme = an_enterprise()
    contacts.with_primary(acme, hold(acme, mobile(ANAS_PHONE)))
    for number in (ANAS_PHONE, BORIS_PHONE):
        record_opt_out(
            acme, kind=Kind.MOBILE, raw_value=number, source="officer", source_id=number,
            occurred_at=timezone.now(), actor=SYSTEM,
        )  # fmt: skip
    return acme


def browser(enterprise: Enterprise, name: str = "olivia") -> Client:
    return cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=enterprise, name=name))


def test_an_officer_makes_and_downloads_the_file(acme: Enterprise) -> None:
    officer = browser(acme)
    page = officer.post(f"{SMS}make/", {"enterprise": acme.pk}, follow=True).content.decode()
    assert "has 1 rows" in page
    assert "1 opt-outs are of people without a token" in page
    answer = officer.post(f"{SMS}{SmsFile.objects.get().pk}/")
    assert mapping_of(acme, ANAS_PHONE).token in answer.content.decode()
    assert ANAS_PHONE not in answer.content.decode()
    assert "1×, last by" in officer.get(SMS).content.decode()


def test_an_expired_file_says_so(acme: Enterprise) -> None:
    officer = browser(acme)
    officer.post(f"{SMS}make/", {"enterprise": acme.pk})
    SmsFile.objects.update(content=None)
    assert "has expired" in officer.post(f"{SMS}{SmsFile.objects.get().pk}/", follow=True).content.decode()


def test_the_files_of_another_enterprise_are_not_there(acme: Enterprise) -> None:
    browser(acme).post(f"{SMS}make/", {"enterprise": acme.pk})
    stranger = browser(an_enterprise("Other"), name="other")
    assert stranger.post(f"{SMS}make/", {"enterprise": acme.pk}).status_code == 404
    assert stranger.post(f"{SMS}{SmsFile.objects.get().pk}/").status_code == 404
    assert "Download" not in stranger.get(SMS).content.decode()
