"""Pages of opt-outs: unsubscribes, the No Token Queue, the rescue window."""

from typing import Final

from portal.desk import (
    clocks,
    no_token_queue,
    no_token_queue_lines,
    no_token_queue_new,
    no_token_queue_rescue,
    opt_out_files,
    sms_files,
    unsubscribe_event,
    unsubscribe_work,
    unsubscribes,
)
from portal.desk.page import ACT, FORM, Page
from portal.roles import Permission

PAGES: Final = (
    Page("unsubscribes/", "unsubscribes", Permission.VIEW_UNSUBSCRIBES, unsubscribes.unsubscribes),
    Page("unsubscribes/new/", "unsubscribe", Permission.UNSUBSCRIBE, unsubscribes.unsubscribe, FORM),
    Page("unsubscribes/files/", "opt-out-files", Permission.VIEW_UNSUBSCRIBES, opt_out_files.files_page),
    Page("unsubscribes/files/new/", "opt-out-file-new", Permission.UNSUBSCRIBE, opt_out_files.new, FORM),
    Page(
        "unsubscribes/files/<uuid:file_id>/",
        "opt-out-file",
        Permission.VIEW_UNSUBSCRIBES,
        opt_out_files.file_page,
    ),
    Page(
        "unsubscribes/files/<uuid:file_id>/columns/",
        "opt-out-columns",
        Permission.UNSUBSCRIBE,
        opt_out_files.columns_page,
        FORM,
    ),
    Page(
        "unsubscribes/files/<uuid:file_id>/progress/",
        "opt-out-progress",
        Permission.VIEW_UNSUBSCRIBES,
        opt_out_files.progress,
    ),
    Page(
        "unsubscribes/files/<uuid:file_id>/rejects/",
        "opt-out-rejects",
        Permission.VIEW_UNSUBSCRIBES,
        opt_out_files.rejects,
    ),
    Page(
        "unsubscribes/files/<uuid:file_id>/resume/",
        "opt-out-resume",
        Permission.UNSUBSCRIBE,
        opt_out_files.resume,
        ACT,
    ),
    Page("unsubscribes/sms/", "sms-files", Permission.VIEW_UNSUBSCRIBES, sms_files.files_page),
    Page("unsubscribes/sms/make/", "sms-file-make", Permission.UNSUBSCRIBE, sms_files.make, ACT),
    Page("unsubscribes/sms/<uuid:file_id>/", "sms-file-take", Permission.UNSUBSCRIBE, sms_files.take, ACT),
    Page("unsubscribes/open/", "unsubscribe-work", Permission.VIEW_UNSUBSCRIBES, unsubscribe_work.work),
    Page(
        "unsubscribes/open/act/",
        "unsubscribe-several",
        Permission.UNSUBSCRIBE,
        unsubscribe_work.act_on_several,
        ACT,
    ),
    Page("unsubscribes/terms/", "terms", Permission.VIEW_UNSUBSCRIBES, clocks.terms),
    Page("unsubscribes/terms/add/", "closing-day-add", Permission.UNSUBSCRIBE, clocks.add_closing_day, ACT),
    Page(
        "unsubscribes/terms/<int:day_id>/remove/",
        "closing-day-remove",
        Permission.UNSUBSCRIBE,
        clocks.remove_closing_day,
        ACT,
    ),
    Page(
        "unsubscribes/<uuid:event_id>/",
        "unsubscribe-event",
        Permission.VIEW_UNSUBSCRIBES,
        unsubscribe_event.event,
    ),
    Page(
        "unsubscribes/<uuid:event_id>/act/",
        "unsubscribe-act",
        Permission.UNSUBSCRIBE,
        unsubscribe_event.act,
        ACT,
    ),
    Page(
        "unsubscribes/<uuid:event_id>/lift/",
        "unsubscribe-lift",
        Permission.UNSUBSCRIBE,
        unsubscribe_event.lift,
        FORM,
    ),
    Page(
        "unsubscribes/<uuid:event_id>/receipt/",
        "unsubscribe-receipt",
        Permission.VIEW_UNSUBSCRIBES,
        unsubscribe_event.receipt,
    ),
    Page("no-token-queue/", "queue", Permission.VIEW_UNSUBSCRIBES, no_token_queue.queue),
    Page("no-token-queue/decide/", "queue-decide", Permission.UNSUBSCRIBE, no_token_queue.decide, ACT),
    Page(
        "no-token-queue/messages/<uuid:message_id>/",
        "queue-message",
        Permission.VIEW_UNSUBSCRIBES,
        no_token_queue.message,
    ),
    Page("no-token-queue/lines/", "queue-lines", Permission.VIEW_UNSUBSCRIBES, no_token_queue_lines.lines),
    Page(
        "no-token-queue/lines/<uuid:line_id>/",
        "queue-line",
        Permission.UNSUBSCRIBE,
        no_token_queue_lines.line,
        FORM,
    ),
    Page(
        "no-token-queue/extracts/",
        "queue-extracts",
        Permission.VIEW_UNSUBSCRIBES,
        no_token_queue_new.extracts_page,
    ),
    Page("no-token-queue/new/", "queue-new", Permission.UNSUBSCRIBE, no_token_queue_new.new, FORM),
    Page(
        "no-token-queue/extracts/<uuid:extract_id>/columns/",
        "queue-columns",
        Permission.UNSUBSCRIBE,
        no_token_queue_new.columns,
        FORM,
    ),
    Page(
        "no-token-queue/settings/<int:enterprise_id>/",
        "queue-settings",
        Permission.UNSUBSCRIBE,
        no_token_queue_new.settings_page,
        FORM,
    ),
    # Whoever mends the server looks here too.
    Page("rescue/", "rescue", Permission.VIEW_LOG, no_token_queue_rescue.rescue),
    Page("rescue/live/", "rescue-live", Permission.VIEW_LOG, no_token_queue_rescue.rescue_live),
    Page(
        "no-token-queue/reconciliation/",
        "queue-books",
        Permission.VIEW_UNSUBSCRIBES,
        no_token_queue_rescue.books,
    ),
    Page(
        "no-token-queue/reconcile/",
        "queue-reconcile",
        Permission.UNSUBSCRIBE,
        no_token_queue_rescue.reconcile_now,
        ACT,
    ),
    Page(
        "no-token-queue/explain/", "queue-explain", Permission.UNSUBSCRIBE, no_token_queue_rescue.explain, ACT
    ),
)
