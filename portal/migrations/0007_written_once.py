from django.db import migrations

from portal.evidence_triggers import INSTALL, REMOVE


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0006_reveal_grants"),
    ]

    operations = [
        migrations.RunSQL(INSTALL, REMOVE),
    ]
