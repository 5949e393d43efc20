"""Pages of people: finding, erasing, packs, reveals and who saw whom."""

from typing import Final

from portal.desk import (
    erasures,
    ledger,
    no_token_queue,
    no_token_queue_lines,
    packs,
    people,
    reveal,
    reveal_several,
)
from portal.desk.page import ACT, FORM, Page
from portal.roles import Permission

PAGES: Final = (
    Page("people/", "people", Permission.SEARCH_PEOPLE, people.search_page, FORM),
    Page("people/<int:mapping_id>/", "person", Permission.VIEW_MAPPINGS, people.person),
    Page("people/<int:mapping_id>/pack/", "pack", Permission.ANSWER_ACCESS_REQUESTS, packs.pack_page, FORM),
    Page(
        "people/<int:mapping_id>/pack/<uuid:pack_id>/",
        "pack-take",
        Permission.ANSWER_ACCESS_REQUESTS,
        packs.take,
        ACT,
    ),
    Page("people/<int:mapping_id>/erase/", "erase", Permission.ERASE, erasures.ask, FORM),
    Page("people/<int:mapping_id>/renew/", "renew", Permission.ERASE, erasures.renew, FORM),
    Page("erasures/", "erasures", Permission.VIEW_ERASURES, erasures.erasures),
    Page("erasures/<uuid:erasure_id>/", "erasure", Permission.VIEW_ERASURES, erasures.erasure),
    Page("erasures/<uuid:erasure_id>/act/", "erasure-act", Permission.ERASE, erasures.act, ACT),
    Page(
        "erasures/<uuid:erasure_id>/receipt/",
        "erasure-receipt",
        Permission.VIEW_ERASURES,
        erasures.receipt_page,
    ),
    # Revealing asks for a second factor that was shown within minutes.
    Page(
        "people/<int:mapping_id>/reveal/",
        "reveal-value",
        Permission.REVEAL,
        reveal.value,
        FORM,
        fresh_factor=True,
    ),
    Page(
        "people/<int:mapping_id>/attributes/<uuid:set_id>/<int:position>/reveal/",
        "reveal-attribute",
        Permission.REVEAL,
        reveal.attribute,
        FORM,
        fresh_factor=True,
    ),
    Page(
        "log/<uuid:entry_id>/<str:side>/<int:number>/reveal/",
        "reveal-hole",
        Permission.REVEAL,
        reveal.hole,
        FORM,
        fresh_factor=True,
    ),
    Page(
        "log/<uuid:entry_id>/<str:side>/<int:number>/<int:position>/reveal/",
        "reveal-hole-attribute",
        Permission.REVEAL,
        reveal.attribute_of_hole,
        FORM,
        fresh_factor=True,
    ),
    Page("reveals/several/", "reveal-several", Permission.REVEAL, reveal_several.ask, FORM),
    Page(
        "reveals/several/<uuid:grant_id>/",
        "reveal-grant",
        Permission.REVEAL,
        reveal_several.grant,
        FORM,
        fresh_factor=True,
    ),
    Page("reveals/", "reveals", Permission.VIEW_REVEALS, ledger.ledger),
    Page("reveals/<uuid:event_id>/review/", "reveal-review", Permission.REVIEW_REVEALS, ledger.review, FORM),
    Page(
        "no-token-queue/messages/<uuid:message_id>/reveal/<str:part>/",
        "queue-reveal",
        Permission.REVEAL,
        no_token_queue.reveal_part,
        FORM,
        fresh_factor=True,
    ),
    Page(
        "no-token-queue/lines/<uuid:line_id>/reveal/",
        "queue-line-reveal",
        Permission.REVEAL,
        no_token_queue_lines.reveal_line,
        FORM,
        fresh_factor=True,
    ),
)
