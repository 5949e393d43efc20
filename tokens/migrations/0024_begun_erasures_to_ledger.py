from django.db import migrations

# Erasures that were approved before the ledger learned of them at once.
BEGUN = """
INSERT INTO tokens_ledgerline (kind, subject) SELECT 'erasure', id FROM tokens_erasure WHERE state = 'blocked'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tokens", "0023_erasure_moments"),
    ]

    operations = [
        migrations.RunSQL(BEGUN, migrations.RunSQL.noop, elidable=True),
    ]
