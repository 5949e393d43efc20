"""Whether one person alone works here is declared by the first `migrate`, once and for all."""

from typing import Any

from audit.models import Installation
from portal.installation import declare_after_migrate
from tests.audit import approving
from tests.conftest import OwnDatabase


def test_the_first_migrate_declares_that_several_people_work_here(own_database: OwnDatabase) -> None:
    assert Installation.objects.get().single_operator is False


def test_a_setting_that_is_changed_later_changes_nothing(own_database: OwnDatabase, settings: Any) -> None:
    settings.SINGLE_OPERATOR = True
    declare_after_migrate(None, using="owner")
    assert Installation.objects.get().single_operator is False


def test_where_nothing_is_declared_yet_the_setting_counts(own_database: OwnDatabase, settings: Any) -> None:
    with approving.without_triggers("audit_installation") as cursor:
        cursor.execute("DELETE FROM audit_installation")
    settings.SINGLE_OPERATOR = True
    declare_after_migrate(None, using="default")
    assert not Installation.objects.exists(), "the owner declares, and nobody else"
    declare_after_migrate(None, using="owner")
    assert Installation.objects.get().single_operator is True
