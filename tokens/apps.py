from django.apps import AppConfig
from django.core import checks


class TokensConfig(AppConfig):
    """The vault: mappings, keyring, formats, the API, unsubscribes, bulk jobs."""

    name = "tokens"

    def ready(self) -> None:
        from tokens.checks import no_stock_encrypted_field

        checks.register(no_stock_encrypted_field, checks.Tags.models)
