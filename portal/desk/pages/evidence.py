"""Pages of evidence: start, search, log, trail, exports, holds, retention."""

from typing import Final

from portal.desk import (
    events,
    exports,
    holds,
    log,
    log_entry,
    people,
    retention,
    start,
)
from portal.desk.page import ACT, FORM, Page
from portal.roles import Permission

PAGES: Final = (
    Page("", "index", Permission.VIEW_DASHBOARD, start.start),
    # The search box of every page. Who may not search for people finds request ids.
    Page("search/", "search", Permission.VIEW_LOG, people.search_everything, ACT),
    Page("log/", "log", Permission.VIEW_LOG, log.entries),
    Page("log/<uuid:entry_id>/", "log-entry", Permission.VIEW_LOG, log_entry.entry),
    Page("events/", "events", Permission.VIEW_EVENTS, events.events),
    Page("exports/", "exports", Permission.VIEW_EXPORTS, exports.exports_page),
    Page("exports/new/", "export-new", Permission.MAKE_EXPORTS, exports.new, FORM),
    Page("exports/<uuid:export_id>/", "export-take", Permission.MAKE_EXPORTS, exports.take, ACT),
    Page("holds/", "holds", Permission.VIEW_HOLDS, holds.holds_page),
    Page("holds/new/", "hold-new", Permission.PLACE_HOLDS, holds.new, FORM),
    Page("holds/<uuid:hold_id>/release/", "hold-release", Permission.PLACE_HOLDS, holds.release, FORM),
    Page("retention/", "retention", Permission.VIEW_RETENTION, retention.retention),
    Page("retention/policy/", "retention-policy", Permission.CHANGE_RETENTION, retention.change_policy, ACT),
    Page(
        "retention/residue/", "retention-residue", Permission.CHANGE_RETENTION, retention.change_residue, ACT
    ),
    Page("retention/drop/", "retention-drop", Permission.CHANGE_RETENTION, retention.drop, ACT),
)
