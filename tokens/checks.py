"""System checks of the vault, with stable codes. `manage.py check` runs them, and so does every start."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks

from tokens.crypto.fields import is_stock_encrypted_field


def no_stock_encrypted_field(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """tokens.E002: a model uses a field of django-encrypted-model-fields as it comes, which fails open."""
    return [
        checks.Error(
            f"{model._meta.label}.{field.name} is a stock encrypted field: it accepts planted and moved values,"
            " and its bulk_update destroys data.",
            hint="Use tokens.crypto.fields.SealedTextField.",
            obj=field,
            id="tokens.E002",
        )
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if is_stock_encrypted_field(field)
    ]
