"""API clients: their secrets, networks and switch (decision 11)."""

from typing import Any

import pytest
from django.conf import global_settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from oauth2_provider.oauth2_validators import OAuth2Validator

from audit.models import AuditEvent
from tests.conftest import OwnDatabase
from tests.tokens.cast import IVAN, an_enterprise
from tests.tokens.racing import race
from tokens import clients
from tokens.crypto import key_making, keyring
from tokens.crypto.keyset import DataKey, Purpose
from tokens.errors import BadClient, BadNetwork, LastSecret, SecretRetired, TwoSecretsLive
from tokens.models import AllowedNetwork, ApiClient, ClientSecret, Enterprise

database = pytest.mark.django_db


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


@pytest.fixture
def made(acme: Enterprise) -> tuple[ApiClient, str]:
    return clients.create_client(acme, name="Marketing Cloud", auth="basic", actor=IVAN)


def matching(client: ApiClient, offered: str) -> int | None:
    live = client.secrets.filter(retired_at=None).values_list("id", "key_id", "digest")
    return clients.matching_secret(client.enterprise_id, live, offered)


def acts(client: ApiClient) -> list[str]:
    return list(
        AuditEvent.objects.filter(target_id=client.client_id).order_by("id").values_list("action", flat=True)
    )


# -- making -----------------------------------------------------------------------------------------------------
@database
def test_a_secret_has_256_bits_and_is_shown_once(acme: Enterprise) -> None:
    client, secret = clients.create_client(
        acme, name=" MC ", auth="oauth", scopes=["tokens.get"], networks=["10.0.0.0/8"], actor=IVAN
    )
    assert len(secret) == 43
    assert (client.name, client.auth, client.scopes) == ("MC", "oauth", ["tokens.get"])
    assert [rule.cidr for rule in client.networks.all()] == ["10.0.0.0/8"]
    with connection.cursor() as cursor:
        for table in ("tokens_apiclient", "tokens_clientsecret", "audit_auditevent"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t")
            stored = cursor.fetchone()[0]
            assert secret not in stored
            assert secret.encode().hex() not in stored


@database
def test_making_a_client_is_recorded_with_its_rights(made: tuple[ApiClient, str]) -> None:
    client, _ = made
    event = AuditEvent.objects.get(action="client.created")
    assert (event.actor_id, event.enterprise_id, event.target_id) == (
        IVAN.id,
        client.enterprise_id,
        client.client_id,
    )
    assert event.details["scopes"] == ["tokens.get", "tokens.resolve"]


@database
@pytest.mark.parametrize(
    "wrong",
    [{"name": " "}, {"name": "x" * 256}, {"auth": "digest"}, {"scopes": []}, {"scopes": ["tokens.delete"]}],
)
def test_what_no_client_can_be_is_refused(acme: Enterprise, wrong: dict[str, Any]) -> None:
    said: dict[str, Any] = {"name": "MC", "auth": "basic", "actor": IVAN} | wrong
    with pytest.raises(BadClient):
        clients.create_client(acme, **said)
    assert not ApiClient.objects.exists()


@database
def test_nothing_opens_the_column_that_the_toolkit_would_ask(
    made: tuple[ApiClient, str], settings: Any
) -> None:
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS
    client, secret = made
    column = ApiClient.objects.get(pk=client.pk).client_secret
    for offered in ("", secret, column, "!", "none"):
        assert not OAuth2Validator()._check_secret(offered, column)


@database
def test_making_a_client_hashes_no_password(acme: Enterprise, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_slow(*args: object, **kwargs: object) -> str:
        raise AssertionError("Django's password hasher was asked")

    monkeypatch.setattr("oauth2_provider.models.make_password", too_slow)
    client, _ = clients.create_client(acme, name="MC", auth="basic", actor=IVAN)
    clients.change_client(client, name="Other", actor=IVAN)


# -- secrets ----------------------------------------------------------------------------------------------------
@database
def test_a_secret_is_known_by_its_digest_alone(made: tuple[ApiClient, str]) -> None:
    client, secret = made
    assert matching(client, secret) == client.secrets.get().pk
    for wrong in ("", secret[:-1], secret + "x", secret.lower(), "\ud800", "ä"):
        assert matching(client, wrong) is None


@database
def test_two_secrets_live_side_by_side_and_a_third_is_refused(made: tuple[ApiClient, str]) -> None:
    client, first = made
    second = clients.add_secret(client, actor=IVAN)
    one, two = client.secrets.order_by("slot")
    assert (matching(client, first), matching(client, second)) == (one.pk, two.pk)
    with pytest.raises(TwoSecretsLive, match="retire"):
        clients.add_secret(client, actor=IVAN)


@database
def test_a_retired_secret_ends_at_once_and_makes_room(made: tuple[ApiClient, str]) -> None:
    client, first = made
    second = clients.add_secret(client, actor=IVAN)
    clients.retire_secret(client.secrets.get(slot=1), actor=IVAN)
    assert matching(client, first) is None
    assert matching(client, second) is not None
    third = clients.add_secret(client, actor=IVAN)
    assert client.secrets.filter(retired_at=None).count() == 2
    assert matching(client, third) is not None
    assert acts(client) == [
        "client.created",
        "client.secret-added",
        "client.secret-retired",
        "client.secret-added",
    ]


@database
def test_the_last_secret_cannot_be_retired_nor_one_twice(made: tuple[ApiClient, str]) -> None:
    client, _ = made
    only = client.secrets.get()
    with pytest.raises(LastSecret, match="switch the client off"):
        clients.retire_secret(only, actor=IVAN)
    clients.add_secret(client, actor=IVAN)
    clients.retire_secret(only, actor=IVAN)
    with pytest.raises(SecretRetired):
        clients.retire_secret(only, actor=IVAN)


@database
def test_secrets_survive_a_rotation_of_the_credential_key(made: tuple[ApiClient, str]) -> None:
    client, first = made
    DataKey.objects.filter(enterprise=client.enterprise, purpose=Purpose.CREDENTIAL).update(is_primary=False)
    key_making.make_key(client.enterprise_id, Purpose.CREDENTIAL)
    keyring.forget_all()
    second = clients.add_secret(client, actor=IVAN)
    assert matching(client, first) != matching(client, second)
    assert None not in (matching(client, first), matching(client, second))


@database
def test_the_database_holds_the_limit_of_two(made: tuple[ApiClient, str]) -> None:
    client, _ = made
    secret = client.secrets.get()
    for slot in (1, 3):
        with pytest.raises(IntegrityError), transaction.atomic():
            ClientSecret.objects.create(client=client, slot=slot, key=secret.key, digest=b"x" * 32)


def test_two_admins_who_add_a_secret_at_once_get_one_in(own_database: OwnDatabase) -> None:
    client, _ = clients.create_client(an_enterprise(), name="MC", auth="basic", actor=IVAN)
    added, errors = race(8, lambda dice: clients.add_secret(client, actor=IVAN))
    assert len(added) == 1
    assert {type(error) for error in errors} == {TwoSecretsLive}


# -- the switch ---------------------------------------------------------------------------------------------------
@database
def test_a_client_is_switched_off_and_on_with_its_secrets(made: tuple[ApiClient, str]) -> None:
    client, secret = made
    assert clients.switch_off(client, actor=IVAN).switched_off_at is not None
    assert not ApiClient.objects.get(pk=client.pk).is_usable(None)
    clients.switch_off(client, actor=IVAN)
    assert clients.switch_on(client, actor=IVAN).switched_off_at is None
    clients.switch_on(client, actor=IVAN)
    assert matching(client, secret) is not None
    assert acts(client) == ["client.created", "client.switched-off", "client.switched-on"]


# -- changes ------------------------------------------------------------------------------------------------------
@database
def test_a_change_is_recorded_with_before_and_after_and_no_change_is_not(made: tuple[ApiClient, str]) -> None:
    client, _ = made
    changed = clients.change_client(
        client, name="MC 2", scopes=["tokens.resolve"], transactional=True, mint_budget_per_day=5, actor=IVAN
    )
    assert (changed.name, changed.scopes, changed.transactional) == ("MC 2", ["tokens.resolve"], True)
    event = AuditEvent.objects.get(action="client.changed")
    assert event.details["name"] == ["Marketing Cloud", "MC 2"]
    clients.change_client(changed, name="MC 2", actor=IVAN)
    assert AuditEvent.objects.filter(action="client.changed").count() == 1


@database
def test_networks_come_and_go_and_each_is_recorded_once(made: tuple[ApiClient, str]) -> None:
    client, _ = made
    rule = clients.allow_network(client, cidr="203.0.113.0/24", label="stack 1", actor=IVAN)
    assert clients.allow_network(client, cidr=" 203.0.113.0/24 ", actor=IVAN) == rule
    clients.disallow_network(rule, actor=IVAN)
    clients.disallow_network(rule, actor=IVAN)
    assert not AllowedNetwork.objects.exists()
    last = AuditEvent.objects.order_by("id").last()
    assert last is not None
    assert last.details == {"network_removed": "203.0.113.0/24", "networks_left": 0}
    assert acts(client).count("client.changed") == 2


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        (" ::1 ", "::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks_are_kept_in_one_form(text: str, canonical: str) -> None:
    assert clients.network(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "anywhere", "203.0.113.0/33", "203.0.113", "203.0.113.0/24/8", "fe80::1%eth0/64"]
)
def test_what_is_no_network_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadNetwork, match=r"203\.0\.113\.0/24"):
        clients.network(text)


def test_bits_beyond_the_length_are_refused_with_what_was_meant() -> None:
    with pytest.raises(BadNetwork, match=r"did you mean 203\.0\.113\.0/24"):
        clients.network("203.0.113.9/24")


@database
def test_a_secret_is_checked_without_a_statement(
    made: tuple[ApiClient, str], django_assert_num_queries: Any
) -> None:
    client, secret = made
    live = list(client.secrets.values_list("id", "key_id", "digest"))
    with CaptureQueriesContext(connection) as queries:
        assert clients.matching_secret(client.enterprise_id, live, secret) is not None
    assert len(queries) == 0
