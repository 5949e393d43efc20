"""The sample data of `make run`: synthetic, complete, kept from start to start, and readable by its owner alone."""

import stat
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate

from audit.models import AuditEvent
from portal import access, sample_data
from portal.models import User
from portal.roles import PERMISSIONS, Permission, Role
from tokens.clients import matching_secret
from tokens.models import (
    ApiClient,
    BusinessUnit,
    Contact,
    ContactMapping,
    Enterprise,
    Mapping,
    Suppression,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _state_folder(tmp_path: Path, settings: Any) -> None:
    settings.STATE_DIR = tmp_path


def can_call(client_id: str, secret: str) -> bool:
    client = ApiClient.objects.get(client_id=client_id, switched_off_at=None)
    live = client.secrets.filter(retired_at=None).values_list("id", "key_id", "digest")
    return matching_secret(client.enterprise_id, live, secret) is not None


def can_sign_in(found: sample_data.SampleAccess) -> bool:
    people = {found.username: found.password} | found.passwords
    return all(authenticate(username=name, password=password) for name, password in people.items())


def test_there_is_a_sandbox_with_people_units_clients_and_somebody_for_each_role() -> None:
    found = sample_data.create()
    enterprise = Enterprise.objects.get()
    assert enterprise.sandbox
    assert BusinessUnit.objects.count() == 2
    assert Contact.objects.count() == sample_data.PEOPLE
    assert (
        Mapping.objects.count()
        == ContactMapping.objects.filter(is_primary=True).count()
        == 2 * sample_data.PEOPLE
    )
    assert Suppression.objects.count() == sample_data.OPTED_OUT
    assert can_sign_in(found)
    assert can_call(found.client_id, found.client_secret)
    assert can_call(found.oauth_client_id, found.oauth_client_secret)
    mapping = Mapping.objects.get(token=found.token)
    assert not Suppression.objects.filter(blind_index=mapping.blind_index_1).exists()


def test_the_admin_holds_every_role_and_is_no_superuser() -> None:
    found = sample_data.create()
    admin = User.objects.get(username=found.username)
    assert not admin.is_superuser
    assert all(access.may(admin, permission) for permission in Permission)
    assert not User.objects.filter(is_superuser=True).exists()


@pytest.mark.parametrize(("name", "role"), sample_data.USERNAMES.items())
def test_each_of_the_others_holds_one(name: str, role: Role) -> None:
    sample_data.create()
    user = User.objects.get(username=name)
    assert {permission for permission in Permission if access.may(user, permission)} == PERMISSIONS[role]


def test_everything_is_synthetic() -> None:
    sample_data.create()
    for mapping in Mapping.objects.filter(kind=1):
        assert mapping.value.open().rpartition(".")[2] in {"example", "net"}


def test_a_second_start_keeps_it_all_and_shows_the_same_sign_in(settings: Any) -> None:
    first = sample_data.create()
    events = AuditEvent.objects.count()
    assert sample_data.create() == first
    assert AuditEvent.objects.count() == events
    assert can_sign_in(first)


def test_the_credentials_are_for_the_owner_of_the_folder_alone(tmp_path: Path) -> None:
    found = sample_data.create()
    file = tmp_path / "sample-access.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert found.password in file.read_text()
    assert found.password not in repr(found)


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_without_the_file_new_credentials_take_the_place_of_the_old(tmp_path: Path, damage: str) -> None:
    first = sample_data.create()
    file = tmp_path / "sample-access.json"
    file.unlink() if damage == "gone" else file.write_text("{")
    second = sample_data.create()
    assert can_sign_in(second)
    assert not can_sign_in(first)
    assert can_call(second.client_id, second.client_secret)
    assert ApiClient.objects.get(client_id=first.client_id).switched_off_at is not None
    assert second.token == first.token
    assert sample_data.create() == second
