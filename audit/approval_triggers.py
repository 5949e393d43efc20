"""Triggers of the approval tables, version 1. Migration 0002 installs them; changes need a version of their own.

They are plain SQL, not pgtrigger's: those stand aside in a session that says so (`SET pgtrigger.ignore`), and what
is fixed here must be fixed for the app's own role too.
"""

from typing import Final

INSTALL: Final = """
CREATE FUNCTION audit_approval_is_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.single_operator := COALESCE((SELECT single_operator FROM audit_installation), false);
    NEW.requested_at := clock_timestamp();
    NEW.decidable_from := NEW.requested_at
        + CASE WHEN NEW.single_operator THEN interval '24 hours' ELSE interval '0' END;
    NEW.expires_at := NEW.decidable_from + interval '4 hours';
    IF NEW.state <> 'pending' OR NEW.decided_at IS NOT NULL THEN
        RAISE EXCEPTION 'an approval request begins as pending';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION audit_approval_is_closed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    written CONSTANT text[] := ARRAY['state', 'decided_by_id', 'decided_by_name', 'decided_by_delay', 'decided_at',
                                     'comment', 'failure'];
BEGIN
    IF to_jsonb(NEW) - written IS DISTINCT FROM to_jsonb(OLD) - written THEN
        RAISE EXCEPTION 'what an approval request asks, and who asks, can not be changed';
    END IF;
    IF OLD.state <> 'pending' THEN
        RAISE EXCEPTION 'an approval request is closed once: this one is %', OLD.state;
    END IF;
    NEW.decided_at := clock_timestamp();
    IF NEW.state = 'expired' AND NEW.decided_at < OLD.expires_at THEN
        RAISE EXCEPTION 'an approval request has not expired before its time';
    END IF;
    IF NEW.state <> 'expired' AND NEW.decided_at >= OLD.expires_at THEN
        RAISE EXCEPTION 'an approval request can not be decided after it expired';
    END IF;
    IF NEW.state IN ('approved', 'failed') AND NEW.decided_at < OLD.decidable_from THEN
        RAISE EXCEPTION 'an approval request can not be approved before its delay has passed';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION audit_approval_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'append-only: % keeps its rows as they are', TG_TABLE_NAME;
END $$;

CREATE TRIGGER is_asked BEFORE INSERT ON audit_approvalrequest
    FOR EACH ROW EXECUTE FUNCTION audit_approval_is_asked();
CREATE TRIGGER is_closed BEFORE UPDATE ON audit_approvalrequest
    FOR EACH ROW EXECUTE FUNCTION audit_approval_is_closed();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON audit_approvalrequest
    FOR EACH STATEMENT EXECUTE FUNCTION audit_approval_stays();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_installation
    FOR EACH STATEMENT EXECUTE FUNCTION audit_approval_stays();
"""

REMOVE: Final = """
DROP TRIGGER stays ON audit_installation;
DROP TRIGGER stays ON audit_approvalrequest;
DROP TRIGGER is_closed ON audit_approvalrequest;
DROP TRIGGER is_asked ON audit_approvalrequest;
DROP FUNCTION audit_approval_stays();
DROP FUNCTION audit_approval_is_closed();
DROP FUNCTION audit_approval_is_asked();
"""
