"""Plain triggers of what the portal writes once, version 1. Migration 0007 installs them.

Beside pgtrigger's, which any session can tell to stand aside (`SET pgtrigger.ignore`): the app's role may write a
review and an opening, and neither of them twice.
"""

from typing import Final

INSTALL: Final = """
CREATE FUNCTION portal_break_glass_is_reviewed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.reviewed_at IS NOT NULL THEN
        RAISE EXCEPTION 'a reveal behind broken glass is reviewed once';
    END IF;
    NEW.reviewed_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION portal_grant_is_opened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.opened_at IS NOT NULL THEN
        RAISE EXCEPTION 'a grant to reveal is opened once';
    END IF;
    NEW.opened_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE TRIGGER is_reviewed BEFORE UPDATE ON portal_breakglass
    FOR EACH ROW EXECUTE FUNCTION portal_break_glass_is_reviewed();
CREATE TRIGGER is_opened BEFORE UPDATE ON portal_revealgrant
    FOR EACH ROW EXECUTE FUNCTION portal_grant_is_opened();
"""

REMOVE: Final = """
DROP TRIGGER is_opened ON portal_revealgrant;
DROP TRIGGER is_reviewed ON portal_breakglass;
DROP FUNCTION portal_grant_is_opened();
DROP FUNCTION portal_break_glass_is_reviewed();
"""
