import encrypted_model_fields.fields as stock
import pytest
from django.core import checks
from django.db import models
from django.test.utils import isolate_apps

from tokens import checks as vault_checks
from tokens.crypto import fields
from tokens.crypto.errors import NotSealed


def test_no_model_uses_the_stock_encrypted_field() -> None:
    assert [found for found in checks.run_checks() if found.id == "tokens.E002"] == []


@isolate_apps("tokens")
def test_a_model_that_does_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(models.Model):  # noqa: DJ008 - it is only looked at
        address = stock.EncryptedTextField()

        class Meta:
            app_label = "tokens"

    monkeypatch.setattr(vault_checks, "apps", Careless._meta.apps)
    [error] = vault_checks.no_stock_encrypted_field(None)
    assert error.id == "tokens.E002"
    assert "Careless.address" in error.msg
    assert "SealedTextField" in str(error.hint)


def test_the_stock_crypter_can_neither_seal_nor_open() -> None:
    for verb in (stock.encrypt_str, stock.decrypt_str):
        with pytest.raises(NotSealed):
            verb("text")
    assert fields.is_stock_encrypted_field(stock.EncryptedEmailField())
