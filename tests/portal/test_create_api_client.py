"""`manage.py create_api_client`: one object with the credentials, and errors that say what to give."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import AuditEvent
from portal.exit_codes import FIX_THE_DATA, USAGE
from tests.tokens.cast import an_enterprise
from tokens.clients import matching_secret
from tokens.models import ApiClient

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> str:
    out = StringIO()
    call_command("create_api_client", "--name", "MC", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def refused(*arguments: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        create(*arguments)
    assert not ApiClient.objects.exists()
    return caught.value


def test_it_prints_one_object_with_credentials_that_work() -> None:
    acme = an_enterprise(sandbox=True)
    printed: dict[str, Any] = json.loads(create("--auth", "oauth", "--scope", "tokens.get", "--json"))
    client = ApiClient.objects.get(client_id=printed["client_id"])
    assert (client.enterprise, client.name) == (acme, "MC")
    assert (printed["auth"], printed["scopes"]) == ("oauth", ["tokens.get"])
    live = client.secrets.values_list("id", "key_id", "digest")
    assert matching_secret(acme.pk, live, printed["client_secret"])


def test_scopes_are_all_and_networks_any_unless_they_are_named() -> None:
    an_enterprise(sandbox=True)
    printed = json.loads(create("--auth", "basic", "--json"))
    assert printed["scopes"] == ["tokens.get", "tokens.resolve"]
    assert not ApiClient.objects.get().networks.exists()


def test_networks_can_be_named() -> None:
    an_enterprise(sandbox=True)
    create("--auth", "basic", "--allow", "10.0.0.0/8", "--allow", "192.0.2.7")
    assert {rule.cidr for rule in ApiClient.objects.get().networks.all()} == {"10.0.0.0/8", "192.0.2.7/32"}


@pytest.mark.parametrize(
    "wide", [[], ["--allow", "0.0.0.0/0"], ["--allow", "0.0.0.0/1", "--allow", "128.0.0.0/1"]]
)
def test_a_client_of_a_live_enterprise_is_not_born_open_to_any_address(wide: list[str]) -> None:
    an_enterprise()
    error = refused("--auth", "basic", *wide)
    assert error.returncode == USAGE
    assert "give at least one" in str(error)
    create("--auth", "basic", "--allow", "192.0.2.0/24")


def test_a_client_of_a_live_enterprise_is_not_born_exempt_from_opt_outs() -> None:
    an_enterprise()
    error = refused("--auth", "basic", "--allow", "192.0.2.0/24", "--transactional")
    assert error.returncode == USAGE
    assert "takes the approval of a second person" in str(error)


def test_without_json_the_same_is_printed_for_people() -> None:
    an_enterprise(sandbox=True)
    text = create("--auth", "basic")
    assert ApiClient.objects.get().client_id in text
    assert "client_secret" in text


def test_the_event_names_who_typed_it() -> None:
    an_enterprise(sandbox=True)
    create("--auth", "basic")
    event = AuditEvent.objects.get(action="client.created")
    assert event.actor_id == "command-line"
    assert event.actor_name


def test_a_bad_network_is_a_usage_error_that_says_what_to_write() -> None:
    an_enterprise(sandbox=True)
    error = refused("--auth", "basic", "--allow", "10.0.0.1/8")
    assert error.returncode == USAGE
    assert "10.0.0.0/8" in str(error)


@pytest.mark.parametrize("wrong", [["--auth", "digest"], ["--auth", "basic", "--scope", "all"], []])
def test_what_cannot_be_given_is_refused(wrong: list[str]) -> None:
    an_enterprise(sandbox=True)
    refused(*wrong)


def test_among_several_enterprises_one_has_to_be_named() -> None:
    acme, other = an_enterprise(sandbox=True), an_enterprise("Other", sandbox=True)
    error = refused("--auth", "basic")
    assert error.returncode == USAGE
    assert acme.eid in str(error)
    assert "nobody" in str(refused("--auth", "basic", "--enterprise", "nobody"))
    create("--auth", "basic", "--enterprise", other.eid)
    assert ApiClient.objects.get().enterprise == other


def test_without_any_enterprise_the_data_has_to_be_mended_first() -> None:
    assert refused("--auth", "basic").returncode == FIX_THE_DATA
