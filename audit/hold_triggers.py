"""Triggers of legal holds, version 1. Migration 0007 installs them; changes need a version of their own.

Plain SQL, as those of approvals: a session can tell pgtrigger's to stand aside, and the app's role may write a release.
A hold of a sandbox is released without a second person, so `sandbox` is fixed when the hold is placed.
"""

from typing import Final

INSTALL: Final = """
CREATE FUNCTION audit_hold_is_placed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.placed_at := clock_timestamp();
    IF NEW.released_at IS NOT NULL OR NEW.released_by_id <> '' OR NEW.released_with IS NOT NULL THEN
        RAISE EXCEPTION 'a legal hold begins in force';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION audit_hold_is_released() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    written CONSTANT text[] := ARRAY['released_at', 'released_by_id', 'released_by_name', 'released_with'];
BEGIN
    IF to_jsonb(NEW) - written IS DISTINCT FROM to_jsonb(OLD) - written THEN
        RAISE EXCEPTION 'what a legal hold holds, and who placed it, can not be changed';
    END IF;
    IF OLD.released_at IS NOT NULL THEN
        RAISE EXCEPTION 'a legal hold is released once';
    END IF;
    IF NEW.released_at IS NULL THEN
        RAISE EXCEPTION 'a legal hold changes by its release only';
    END IF;
    IF NOT OLD.sandbox AND NOT EXISTS (
        SELECT FROM audit_approvalrequest WHERE id = NEW.released_with AND state = 'approved'
        AND act = 'hold.release' AND parameters->>'hold' = OLD.id::text AND requester_id = NEW.released_by_id
    ) THEN
        RAISE EXCEPTION 'a legal hold is released with the request that a second person approved for it';
    END IF;
    NEW.released_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE TRIGGER is_placed BEFORE INSERT ON audit_legalhold
    FOR EACH ROW EXECUTE FUNCTION audit_hold_is_placed();
CREATE TRIGGER is_released BEFORE UPDATE ON audit_legalhold
    FOR EACH ROW EXECUTE FUNCTION audit_hold_is_released();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON audit_legalhold
    FOR EACH STATEMENT EXECUTE FUNCTION audit_approval_stays();
"""

REMOVE: Final = """
DROP TRIGGER stays ON audit_legalhold;
DROP TRIGGER is_released ON audit_legalhold;
DROP TRIGGER is_placed ON audit_legalhold;
DROP FUNCTION audit_hold_is_released();
DROP FUNCTION audit_hold_is_placed();
"""
