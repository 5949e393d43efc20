from django.db import migrations

import tokens.crypto.fields

# What was worked before is emptied too; the payload log has it.
EMPTY = "UPDATE tokens_cloudevent SET event = NULL WHERE worked_at IS NOT NULL"


class Migration(migrations.Migration):
    dependencies = [("tokens", "0020_core_orgs")]

    operations = [
        migrations.AlterField(
            model_name="cloudevent",
            name="event",
            field=tokens.crypto.fields.SealedTextField(bind=("id",), null=True, purpose="consent"),
        ),
        migrations.RunSQL(EMPTY, migrations.RunSQL.noop),
    ]
