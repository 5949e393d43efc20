from django.apps import AppConfig
from django.core import checks


class TokensConfig(AppConfig):
    """The vault: mappings, keyring, formats, the API, unsubscribes, bulk jobs."""

    name = "tokens"

    def ready(self) -> None:
        from audit.approvals import acts
        from tokens import exempt_clients, open_clients, residue
        from tokens.bulk import approval
        from tokens.checks import no_stock_encrypted_field
        from tokens.connections import approval as use_of_connections
        from tokens.consent import at_resolve, opt_ins, unsubscribes
        from tokens.dossier import held, packs
        from tokens.enterprises import is_sandbox
        from tokens.erasure import asking as erasures
        from tokens.erasure import renewal, word
        from tokens.exports import requests
        from tokens.file_transfer import approval as use_of_transfers

        acts.know_sandboxes_by(is_sandbox)
        open_clients.register()
        exempt_clients.register()
        residue.register()
        approval.register()
        use_of_connections.register()
        use_of_transfers.register()
        packs.register()
        requests.register()
        held.register()
        unsubscribes.register()
        opt_ins.register()
        at_resolve.register()
        erasures.register()
        word.register()
        renewal.register()
        checks.register(no_stock_encrypted_field, checks.Tags.models)
