from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Evidence: knows nothing of tokens and holds no key to clear data."""

    name = "audit"

    def ready(self) -> None:
        from audit import holds
        from audit.retention import orders, policies

        holds.register()
        policies.register()
        orders.register()
