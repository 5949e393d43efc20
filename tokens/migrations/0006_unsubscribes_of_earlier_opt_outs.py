"""Opens the unsubscribes of the opt-outs that were recorded before there were any."""

from django.db import migrations

from tokens.consent import clocks


def open_them(apps, schema_editor):
    events = apps.get_model("tokens", "ConsentEvent").objects.using(schema_editor.connection.alias)
    unsubscribes = apps.get_model("tokens", "Unsubscribe").objects.using(schema_editor.connection.alias)
    for event in events.filter(action="opt-out").select_related("enterprise").iterator(1000):
        due = clocks.due(event.law, event.occurred_at)
        blocked = event.scope == "enterprise" and event.enterprise.optout_blocks_resolve
        unsubscribes.create(
            event_id=event.pk,
            enterprise_id=event.enterprise_id,
            state="blocked" if blocked else "received",
            law=event.law,
            calendar=due.calendar,
            asked_at=event.occurred_at,
            target_at=due.target_at,
            due_at=due.at,
        )


class Migration(migrations.Migration):
    dependencies = [("tokens", "0005_unsubscribes")]

    operations = [migrations.RunPython(open_them, migrations.RunPython.noop, elidable=True)]
