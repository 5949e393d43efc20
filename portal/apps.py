from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    """The Django project: roles, sign-in, pages, onboarding commands."""

    name = "portal"

    def ready(self) -> None:
        # The Celery application becomes the current one, so that web and commands ring the right doorbell.
        from audit.approvals import acts
        from portal import (  # noqa: F401
            access,
            celery,
            database_roles,
            installation,
            provider_settings,
            restore_declarations,
            role_grants,
            roles,
            sign_in,
        )
        from portal.checks import app_cannot_change_evidence
        from portal.reveals import several

        post_migrate.connect(database_roles.grant_after_migrate, sender=self)
        post_migrate.connect(installation.declare_after_migrate, sender=self)
        acts.know_people_by(access.actor_may)
        role_grants.register()
        restore_declarations.register()
        several.register()
        checks.register(app_cannot_change_evidence, checks.Tags.security, deploy=True)
        sign_in.connect()
        provider_settings.check_roles(settings.PROVIDERS.values(), roles.Role.values)
