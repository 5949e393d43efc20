"""The closed vocabulary of events. A new act needs a line here, so that nobody invents a name at the call site."""

from django.db import models


class Action(models.TextChoices):
    """What happened: `<thing>.<verb>`."""

    SIGNED_IN = "person.signed-in", "signed in"
    SIGN_IN_FAILED = "person.sign-in-failed", "sign-in failed"
    SIGNED_OUT = "person.signed-out", "signed out"
    PASSWORD_CHANGED = "person.password-changed", "changed their password"
    USER_CREATED = "person.created", "made a user of the portal"
    SET_UP_LINK_MADE = "person.set-up-link-made", "made a link to set up a sign-in"
    SET_UP = "person.set-up", "set up their sign-in"
    SET_UP_REFUSED = "person.set-up-refused", "was refused to set up somebody else's sign-in"
    USER_SWITCHED_OFF = "person.switched-off", "switched a user off"
    USER_SWITCHED_ON = "person.switched-on", "switched a user on"
    ROLE_GRANTED = "role.granted", "granted a role"
    ROLE_REVOKED = "role.revoked", "revoked a role"
    FACTOR_ADDED = "factor.added", "added a second factor"
    FACTOR_REMOVED = "factor.removed", "removed a second factor"
    FACTOR_RESET = "factor.reset", "reset somebody's second factor"
    FACTOR_CONFIRMED = "factor.confirmed", "confirmed with their second factor"
    FACTOR_FAILED = "factor.failed", "second factor failed"
    RECOVERY_CODES_MADE = "factor.codes-made", "made recovery codes"
    RECOVERY_CODE_USED = "factor.code-used", "used a recovery code"
    PERSON_SEARCHED = "person.searched", "searched for a person"
    PERSON_VIEWED = "person.viewed", "viewed a person's exchanges"
    REVEALED = "person.revealed", "revealed a clear value"
    REVEAL_REFUSED = "person.reveal-refused", "was refused a reveal: beyond the cap"
    REVEAL_NUDGED = "person.reveal-nudged", "was asked whether they look at themselves"
    REVEAL_REVIEWED = "reveal.reviewed", "reviewed a break-glass reveal"
    LEDGER_VIEWED = "reveal.ledger-viewed", "looked at who saw whom"
    ENTRY_VIEWED = "entry.viewed", "viewed a log entry"

    PACK_MADE = "pack.made", "made an access pack"
    PACK_TAKEN = "pack.taken", "took an access pack"

    EXPORT_REQUESTED = "export.requested", "asked for an export"
    EXPORT_FINISHED = "export.finished", "an export was made"
    EXPORT_FAILED = "export.failed", "an export failed"
    EXPORT_TAKEN = "export.taken", "took an export"
    EXPORT_EXPIRED = "export.expired", "an export expired"

    HOLD_PLACED = "hold.placed", "placed a legal hold"
    HOLD_RELEASED = "hold.released", "released a legal hold"

    APPROVAL_REQUESTED = "approval.requested", "asked for approval"
    APPROVAL_APPROVED = "approval.approved", "approved a request"
    APPROVAL_REJECTED = "approval.rejected", "rejected a request"
    APPROVAL_WITHDRAWN = "approval.withdrawn", "withdrew a request"
    APPROVAL_EXPIRED = "approval.expired", "a request for approval expired"
    APPROVAL_FAILED = "approval.failed", "approved a request that could not be done"

    ENTERPRISE_CREATED = "enterprise.created", "created an enterprise"
    ENTERPRISE_CHANGED = "enterprise.changed", "changed an enterprise"
    BUSINESS_UNIT_CREATED = "business-unit.created", "created a business unit"
    BUSINESS_UNIT_CHANGED = "business-unit.changed", "changed a business unit"

    CLIENT_CREATED = "client.created", "created an API client"
    CLIENT_CHANGED = "client.changed", "changed an API client"
    CLIENT_SECRET_ADDED = "client.secret-added", "added a client secret"
    CLIENT_SECRET_RETIRED = "client.secret-retired", "retired a client secret"
    CLIENT_SWITCHED_OFF = "client.switched-off", "switched an API client off"
    CLIENT_SWITCHED_ON = "client.switched-on", "switched an API client on"

    CONNECTION_CREATED = "connection.created", "created a connection to Marketing Cloud"
    CONNECTION_CHANGED = "connection.changed", "changed a connection to Marketing Cloud"
    CONNECTION_SECRET_CHANGED = "connection.secret-changed", "changed the secret of a connection"
    CONNECTION_TESTED = "connection.tested", "tested a connection to Marketing Cloud"
    CONNECTION_USED = "connection.used", "put a connection to Marketing Cloud to use"
    CONNECTION_STOPPED = "connection.stopped", "took a connection to Marketing Cloud out of use"
    CALLBACK_MADE = "callback.made", "asked Marketing Cloud for event notifications"
    CALLBACK_VERIFIED = "callback.verified", "answered the handshake of event notifications"

    OPTED_OUT = "consent.opted-out", "recorded an opt-out"
    OPTED_IN = "consent.opted-in", "recorded an opt-in"

    UNSUBSCRIBE_TAKEN = "unsubscribe.taken", "took on an unsubscribe"
    UNSUBSCRIBE_WRITTEN = "unsubscribe.written", "unsubscribed them in Marketing Cloud"
    UNSUBSCRIBE_VERIFIED = "unsubscribe.verified", "verified an unsubscribe in Marketing Cloud"
    UNSUBSCRIBE_CLOSED = "unsubscribe.closed", "closed an unsubscribe"
    UNSUBSCRIBE_PAUSED = "unsubscribe.paused", "paused the clock of an unsubscribe"
    UNSUBSCRIBE_RESUMED = "unsubscribe.resumed", "let the clock of an unsubscribe run on"
    UNSUBSCRIBE_EXTENDED = "unsubscribe.extended", "extended the time of an unsubscribe"

    EXTRACT_IMPORTED = "queue.extract-imported", "imported an extract of the No Token Queue"
    QUEUE_DECIDED = "queue.decided", "decided what a message of the No Token Queue means"
    QUEUE_LINE_SETTLED = "queue.line-settled", "settled a line of the No Token Queue that could not be read"
    QUEUE_RECONCILED = "queue.reconciled", "reconciled the No Token Queue"
    QUEUE_CHANGED = "queue.changed", "changed how the No Token Queue is read"

    BULK_LOADED = "bulk.loaded", "brought in the file of a bulk job"
    BULK_PLANNED = "bulk.planned", "planned a bulk job"
    BULK_STARTED = "bulk.started", "started a bulk job"
    BULK_PAUSED = "bulk.paused", "paused a bulk job"
    BULK_RESUMED = "bulk.resumed", "resumed a bulk job"
    BULK_FINISHED = "bulk.finished", "a bulk job finished"
    BULK_FAILED = "bulk.failed", "a bulk job failed"
    BULK_CANCELLED = "bulk.cancelled", "cancelled a bulk job"
    BULK_OUTPUT_TAKEN = "bulk.output-taken", "took the output of a bulk job"
    BULK_RECONCILED = "bulk.reconciled", "reconciled a bulk job"

    KEY_CREATED = "key.created", "created a data key"
    KEY_DESTROYED = "key.destroyed", "destroyed a data key"

    RESTORE_DECLARED = "seals.restore-declared", "declared that an older database was restored"
    RETENTION_CHANGED = "retention.changed", "changed how long evidence is kept"
    DROP_REFUSED = "retention.drop-refused", "could not drop a month of evidence"
    PARTITION_DROPPED = "retention.partition-dropped", "dropped a month of evidence, by policy"

    ALARM_TAMPERING = "alarm.tampering", "an entry is not what was written"
    ALARM_SEALS_STOPPED = "alarm.seals-stopped", "sealing stopped"
    ALARM_CANNOT_OPEN = "alarm.cannot-open", "a sealed value did not open"
    ALARM_MINT_BUDGET = "alarm.mint-budget", "a client minted more than its budget"
    ALARM_BREAK_GLASS = "alarm.break-glass", "somebody broke the glass to reveal a value"
    ALARM_REVEAL_CAP = "alarm.reveal-cap", "somebody reveals more than the daily cap"
    ALARM_OWN_RECORD = "alarm.own-record", "somebody revealed what is kept of themselves"
    ALARM_UNUSUAL_REVEALS = "alarm.unusual-reveals", "somebody reveals more than is usual for them"
    ALARM_OVERDUE = "alarm.overdue", "an unsubscribe passed its due instant"
    ALARM_UNKNOWN_TOKENS = "alarm.unknown-tokens", "a client asks for many unknown tokens"


class ApprovedAct(models.TextChoices):
    """What nobody does alone (docs/approvals.md): each has one executor, registered by the app that owns it."""

    OPEN_CLIENT = "client.open", "let an API client call from any address"
    USE_CONNECTION = "connection.use", "let the portal call a Marketing Cloud account"
    GRANT_ROLE = "role.grant", "grant a role"
    START_BULK = "bulk.start", "run a bulk job"
    DECLARE_RESTORE = "log.declare-restore", "declare that an older database was restored"
    CLEAR_EXPORT = "export.clear", "export in clear"
    LIFT_OPT_OUT = "consent.lift", "lift an opt-out by later consent"
    CONFIRM_UNSUBSCRIBE = (
        "unsubscribe.confirm",
        "confirm an unsubscribe that has no proof from Marketing Cloud",
    )
    RELEASE_HOLD = "hold.release", "release a legal hold"
    CHANGE_RETENTION = "retention.change", "change how long evidence is kept"
    CHANGE_RESIDUE = "retention.residue", "change how long sealed remainders of bodies live"
    DROP_MONTHS = "retention.drop", "drop months of evidence that are past their policy"
    REVEAL_SEVERAL = "person.reveal-several", "reveal several clear values"
    CLEAR_PACK = "person.access-pack", "take an access pack in clear"
