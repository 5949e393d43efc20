"""An SFTP server is entered, tested step by step, put to use by two; its secrets are sealed and never said."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from audit.approvals import requests
from audit.approvals.errors import CannotBeDone
from audit.models import ApprovalRequest, AuditEvent
from portal.roles import Role
from tests.portal.desk import asking, cast
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tests.tokens.file_transfer.server import KEYS, PASSWORD, SftpServer, host_key
from tokens.crypto import ssh_keys
from tokens.errors import BadTransfer, NotUnique, TransferChanged
from tokens.file_transfer import approval, verbs
from tokens.file_transfer.walk import Step
from tokens.models import Enterprise, ExtractRecipe, FileTransfer
from tokens.no_token_queue import recipes


def failed_step(transfer: FileTransfer) -> Step | None:
    transfer.refresh_from_db()
    failed = verbs.test_transfer(transfer, actor=IVAN).failed
    transfer.refresh_from_db()
    return failed.step if failed else None


def facts(transfer: FileTransfer, **changes: Any) -> dict[str, Any]:
    named = ("host", "port", "username", "extracts_folder", "recipe")
    return {name: getattr(transfer, name) for name in named} | {"actor": IVAN} | changes


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (lambda transfer, server: None, None),
        (lambda transfer, server: {"host": "files..example"}, Step.DNS),
        (lambda transfer, server: {"port": 1}, Step.TCP),
        (lambda transfer, server: setattr(server, "key", KEYS[1]), Step.HOST_KEY),
        (lambda transfer, server: {"host_key": ""}, Step.HOST_KEY),
        (lambda transfer, server: {"password": None}, Step.SIGN_IN),
        (lambda transfer, server: {"username": "somebody"}, Step.SIGN_IN),
        (lambda transfer, server: {"extracts_folder": "/Exports"}, Step.FOLDER),
    ],
)
def test_the_test_names_the_failing_step(
    transfer: FileTransfer,
    server: SftpServer,
    change: Callable[[FileTransfer, SftpServer], Any],
    step: Step | None,
) -> None:
    FileTransfer.objects.update(**(change(transfer, server) or {"trouble": ""}))
    assert failed_step(transfer) == step
    assert approval.has_passed(transfer) == (step is None)
    states = [one["state"] for one in transfer.test]
    assert states == sorted(states, key=["passed", "failed", "not reached"].index)


def test_use_takes_two_people_and_a_test_that_passed(transfer: FileTransfer) -> None:
    ines = asking.actor(cast.somebody(Role.INTEGRATION_ADMIN))
    with pytest.raises(BadTransfer, match="test it first"):
        approval.use(transfer, reason="go-live", actor=ines)
    assert failed_step(transfer) is None
    approval.use(transfer, reason="go-live", actor=ines)
    transfer.refresh_from_db()
    assert transfer.in_use_since is None
    request = ApprovalRequest.objects.get()
    assert host_key().fingerprint in json.dumps(request.difference)
    requests.approve(request.pk, actor=asking.actor(cast.somebody(Role.COMPLIANCE_OFFICER)), comment="")
    transfer.refresh_from_db()
    assert transfer.in_use_since


def test_what_was_asked_for_is_void_once_it_leads_elsewhere(
    transfer: FileTransfer, server: SftpServer
) -> None:
    failed_step(transfer)
    ines = asking.actor(cast.somebody(Role.INTEGRATION_ADMIN))
    approval.use(transfer, reason="go-live", actor=ines)
    verbs.pin(transfer, line=host_key(KEYS[1]).line, actor=IVAN)
    server.key = KEYS[1]
    assert failed_step(transfer) is None
    with pytest.raises(CannotBeDone, match="another key"):
        approval._plan(ApprovalRequest.objects.get().parameters)


def test_another_account_takes_it_out_of_use_and_is_not_given_the_password(in_use: FileTransfer) -> None:
    changed = verbs.change_transfer(in_use, **facts(in_use, extracts_folder="/Other"))
    assert (changed.in_use_since, changed.host_key, bool(changed.password)) == (None, in_use.host_key, True)
    FileTransfer.objects.update(in_use_since=in_use.in_use_since)
    changed = verbs.change_transfer(in_use, **facts(in_use, host="evil.example"))
    assert (changed.in_use_since, changed.host_key, changed.password) == (None, "", None)
    FileTransfer.objects.update(in_use_since=in_use.in_use_since)
    assert verbs.pin(in_use, line=host_key(KEYS[1]).line, actor=IVAN).in_use_since is None


def test_a_recipe_of_its_own_is_chosen_and_nobody_elses(in_use: FileTransfer, acme: Enterprise) -> None:
    reading = recipes.Reading(columns={"number": "n", "id": "i"})
    own, foreign = (recipes.save(one, "r", reading, actor=IVAN) for one in (acme, an_enterprise("Rival")))
    changed = verbs.change_transfer(in_use, **facts(in_use, recipe=own))
    assert (changed.recipe, changed.in_use_since) == (own, in_use.in_use_since)
    ExtractRecipe.objects.create(enterprise=acme, what="file", name="x", reading={}, saved_by_name="x")
    for recipe in (foreign, ExtractRecipe.objects.get(name="x")):
        with pytest.raises(BadTransfer, match="another enterprise, or of other files"):
            verbs.change_transfer(in_use, **facts(in_use, recipe=recipe))


def test_a_test_that_was_overtaken_by_a_change_says_nothing(
    transfer: FileTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = verbs.walk

    def meanwhile(tested: FileTransfer) -> Any:
        verbs.change_password(tested, password="another", actor=OLGA)
        return walk(transfer)

    monkeypatch.setattr(verbs, "walk", meanwhile)
    transfer.refresh_from_db()
    with pytest.raises(TransferChanged):
        verbs.test_transfer(transfer, actor=IVAN)
    transfer.refresh_from_db()
    assert transfer.test == []


def test_secrets_are_sealed_and_in_no_event(
    transfer: FileTransfer, server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_keys, "BITS", 2048)
    verbs.change_key(transfer, actor=IVAN)
    failed_step(transfer)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(t::text, '') FROM tokens_filetransfer t")
        [kept] = cursor.fetchone()
    said = json.dumps(list(AuditEvent.objects.values_list("details", flat=True)), default=str)
    pem = transfer.private_key.open()
    for secret in (PASSWORD, pem.splitlines()[1]):
        for form in (secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode()):
            assert form not in kept + said
    assert transfer.public_key.startswith("ssh-rsa ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""}, {"host": "sftp://files.example"}, {"host": "files.example/x"}, {"port": 0}, {"port": 65_536},
        {"username": ""}, {"username": "a\nb"}, {"extracts_folder": "/a/../b"}, {"extracts_folder": "/a\nb"},
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_changes_nothing(transfer: FileTransfer, wrong: dict[str, Any]) -> None:
    kept = FileTransfer.objects.values(*verbs.IDENTITY, "host_key", "in_use_since", "recipe")
    before = kept.get()
    with pytest.raises(BadTransfer):
        verbs.change_transfer(transfer, **facts(transfer, **wrong))
    assert kept.get() == before


def test_an_enterprise_has_one_server(transfer: FileTransfer, acme: Enterprise, folder: Path) -> None:
    with pytest.raises(NotUnique):
        verbs.create_transfer(acme, host="files.example", port=22, username="u", actor=IVAN)
