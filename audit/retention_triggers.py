"""The trigger of retention policies, version 1. Migration 0008 installs it; a change needs a version of its own.

Plain SQL, as those of approvals are: it must hold for the app's own role, whatever a session says to pgtrigger.
"""

from typing import Final

INSTALL: Final = """
CREATE FUNCTION audit_retention_is_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM audit_approvalrequest
        WHERE id = NEW.approval_id AND act = 'retention.change' AND state = 'approved'
        AND parameters = jsonb_build_object('kind', NEW.kind, 'months', NEW.months)
    ) THEN
        RAISE EXCEPTION 'a retention policy is changed by an approved request for exactly that';
    END IF;
    NEW.set_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE TRIGGER is_approved BEFORE INSERT ON audit_retentionpolicy
    FOR EACH ROW EXECUTE FUNCTION audit_retention_is_approved();
"""

REMOVE: Final = """
DROP TRIGGER is_approved ON audit_retentionpolicy;
DROP FUNCTION audit_retention_is_approved();
"""
