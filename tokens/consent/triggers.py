"""Triggers of consent, version 1. Migration 0009 installs them; changes need a version of their own.

Plain SQL, as those of approvals: a session can tell pgtrigger's to stand aside. They hold for the app's own role
that an opt-in lifts what a second person let it lift, and that Resolve blocks as long as an opt-out is in force.
"""

from typing import Final

INSTALL: Final = """
CREATE FUNCTION tokens_opt_in_is_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.source <> 'officer' THEN
        RAISE EXCEPTION 'an opt-in comes from officers, with the approval of a second person';
    END IF;
    IF NOT (SELECT sandbox FROM tokens_enterprise WHERE id = NEW.enterprise_id) AND NOT EXISTS (
        SELECT FROM audit_approvalrequest
        WHERE 'approval:' || id::text = NEW.source_id AND act = 'consent.lift' AND state = 'approved'
        AND enterprise_id = NEW.enterprise_id AND parameters->'lifts' = to_jsonb(NEW.lifts::text[])
        AND (parameters->>'consented_at')::timestamptz = NEW.occurred_at
    ) THEN
        RAISE EXCEPTION 'an opt-in lifts opt-outs with the request that a second person approved for it';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(NEW.lifts) AS lifted LEFT JOIN tokens_consentevent event ON event.id = lifted
        AND event.action = 'opt-out' AND event.enterprise_id = NEW.enterprise_id AND event.kind = NEW.kind
        AND event.occurred_at < NEW.occurred_at
        WHERE event.id IS NULL
    ) THEN
        RAISE EXCEPTION 'an opt-in lifts earlier opt-outs of its enterprise and channel, and nothing else';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION tokens_suppression_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM tokens_consentevent event
        WHERE event.blind_index = OLD.blind_index AND event.kind = OLD.kind
        AND event.enterprise_id = OLD.enterprise_id AND event.action = 'opt-out' AND event.scope = 'enterprise'
        AND NOT EXISTS (
            SELECT FROM tokens_consentevent renewed
            WHERE renewed.enterprise_id = OLD.enterprise_id AND renewed.kind = OLD.kind
            AND renewed.action = 'opt-in' AND renewed.lifts @> ARRAY[event.id]
        )
    ) THEN
        RAISE EXCEPTION 'what Resolve blocks stays as long as an opt-out is in force';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER opt_in_is_approved BEFORE INSERT ON tokens_consentevent
    FOR EACH ROW WHEN (NEW.action = 'opt-in') EXECUTE FUNCTION tokens_opt_in_is_approved();
CREATE TRIGGER stays_while_in_force BEFORE DELETE ON tokens_suppression
    FOR EACH ROW EXECUTE FUNCTION tokens_suppression_stays();
"""

REMOVE: Final = """
DROP TRIGGER stays_while_in_force ON tokens_suppression;
DROP TRIGGER opt_in_is_approved ON tokens_consentevent;
DROP FUNCTION tokens_suppression_stays();
DROP FUNCTION tokens_opt_in_is_approved();
"""
