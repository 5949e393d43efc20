"""Trigger of the erasure ledger, version 1. Migration 0015 installs it; changes need a version of their own.

Every consent event asks to be copied, in its own transaction and without a statement of the app's: none can be
forgotten, and recording a set of opt-outs costs one more statement, inside the database.
"""

from typing import Final

INSTALL: Final = """
CREATE FUNCTION tokens_consent_goes_to_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tokens_ledgerline (kind, subject) SELECT action, id FROM recorded;
    RETURN NULL;
END $$;

CREATE TRIGGER goes_to_ledger AFTER INSERT ON tokens_consentevent
    REFERENCING NEW TABLE AS recorded FOR EACH STATEMENT EXECUTE FUNCTION tokens_consent_goes_to_ledger();
"""

REMOVE: Final = """
DROP TRIGGER goes_to_ledger ON tokens_consentevent;
DROP FUNCTION tokens_consent_goes_to_ledger();
"""

# What was there before the ledger was.
BACKLOG: Final = """
INSERT INTO tokens_ledgerline (kind, subject) SELECT action, id FROM tokens_consentevent ORDER BY id
"""
