from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    """The Django project: roles, sign-in, pages, onboarding commands."""

    name = "portal"

    def ready(self) -> None:
        # The Celery application becomes the current one, so that web and commands ring the right doorbell.
        from audit.approvals import acts
        from portal import access, celery, database_roles, installation, role_grants, sign_in  # noqa: F401
        from portal.checks import app_cannot_change_evidence

        post_migrate.connect(database_roles.grant_after_migrate, sender=self)
        post_migrate.connect(installation.declare_after_migrate, sender=self)
        acts.know_people_by(access.actor_may)
        role_grants.register()
        checks.register(app_cannot_change_evidence, checks.Tags.security, deploy=True)
        sign_in.connect()
