"""Every page of the portal: its route, the permission that it asks for, the methods that it answers."""

from typing import Final

from portal.desk import (
    approvals,
    bulk,
    bulk_new,
    clients,
    enterprises,
    events,
    log,
    log_entry,
    packs,
    people,
    start,
    unsubscribes,
    users,
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
    Page("unsubscribes/", "unsubscribes", Permission.VIEW_UNSUBSCRIBES, unsubscribes.unsubscribes),
    Page("unsubscribes/new/", "unsubscribe", Permission.UNSUBSCRIBE, unsubscribes.unsubscribe, FORM),
    Page(
        "unsubscribes/<uuid:event_id>/", "unsubscribe-event", Permission.VIEW_UNSUBSCRIBES, unsubscribes.event
    ),
    Page("bulk/", "bulk", Permission.VIEW_BULK, bulk.bulk_jobs),
    Page("bulk/new/", "bulk-new", Permission.RUN_BULK, bulk_new.new, FORM),
    Page("bulk/<uuid:job_id>/", "bulk-job", Permission.VIEW_BULK, bulk.job),
    Page("bulk/<uuid:job_id>/columns/", "bulk-columns", Permission.RUN_BULK, bulk_new.columns, FORM),
    Page("bulk/<uuid:job_id>/progress/", "bulk-progress", Permission.VIEW_BULK, bulk.job_progress),
    Page("bulk/<uuid:job_id>/rejects/", "bulk-rejects", Permission.VIEW_BULK, bulk.rejects),
    Page("bulk/<uuid:job_id>/start/", "bulk-start", Permission.RUN_BULK, bulk.start, ACT),
    Page("bulk/<uuid:job_id>/pause/", "bulk-pause", Permission.RUN_BULK, bulk.pause, ACT),
    Page("bulk/<uuid:job_id>/resume/", "bulk-resume", Permission.RUN_BULK, bulk.resume, ACT),
    Page("bulk/<uuid:job_id>/cancel/", "bulk-cancel", Permission.RUN_BULK, bulk.cancel, ACT),
    Page("bulk/<uuid:job_id>/output/", "bulk-output", Permission.RUN_BULK, bulk.take_output, ACT),
    Page("bulk/<uuid:job_id>/reconcile/", "bulk-reconcile", Permission.RUN_BULK, bulk.reconcile, ACT),
    Page("clients/", "clients", Permission.VIEW_CLIENTS, clients.clients),
    Page("clients/new/", "client-new", Permission.MANAGE_CLIENTS, clients.new, FORM),
    Page("clients/<str:client_id>/", "client", Permission.VIEW_CLIENTS, clients.client),
    Page("clients/<str:client_id>/change/", "client-change", Permission.MANAGE_CLIENTS, clients.change, FORM),
    Page(
        "clients/<str:client_id>/secrets/",
        "client-secret",
        Permission.MANAGE_CLIENTS,
        clients.add_secret,
        ACT,
    ),
    Page(
        "clients/<str:client_id>/secrets/<int:secret_id>/retire/",
        "client-secret-retire",
        Permission.MANAGE_CLIENTS,
        clients.retire_secret,
        ACT,
    ),
    Page(
        "clients/<str:client_id>/networks/", "client-network", Permission.MANAGE_CLIENTS, clients.allow, ACT
    ),
    Page(
        "clients/<str:client_id>/networks/<int:network_id>/remove/",
        "client-network-remove",
        Permission.MANAGE_CLIENTS,
        clients.disallow,
        ACT,
    ),
    Page("clients/<str:client_id>/off/", "client-off", Permission.MANAGE_CLIENTS, clients.switch_off, ACT),
    Page("clients/<str:client_id>/on/", "client-on", Permission.MANAGE_CLIENTS, clients.switch_on, ACT),
    Page("enterprises/", "enterprises", Permission.VIEW_ENTERPRISES, enterprises.enterprises),
    Page("enterprises/new/", "enterprise-new", Permission.MANAGE_ENTERPRISES, enterprises.new, FORM),
    Page(
        "enterprises/<int:enterprise_id>/", "enterprise", Permission.VIEW_ENTERPRISES, enterprises.enterprise
    ),
    Page(
        "enterprises/<int:enterprise_id>/change/",
        "enterprise-change",
        Permission.MANAGE_ENTERPRISES,
        enterprises.change,
        FORM,
    ),
    Page(
        "enterprises/<int:enterprise_id>/units/new/",
        "unit-new",
        Permission.MANAGE_ENTERPRISES,
        enterprises.new_unit,
        FORM,
    ),
    Page(
        "enterprises/<int:enterprise_id>/units/<int:unit_id>/",
        "unit-change",
        Permission.MANAGE_ENTERPRISES,
        enterprises.change_unit,
        FORM,
    ),
    Page("approvals/", "approvals", Permission.VIEW_APPROVALS, approvals.approvals),
    Page("approvals/<uuid:approval_id>/", "approval", Permission.VIEW_APPROVALS, approvals.approval),
    Page(
        "approvals/<uuid:approval_id>/decide/",
        "approval-decide",
        Permission.DECIDE_APPROVALS,
        approvals.decide,
        ACT,
    ),
    Page(
        "approvals/<uuid:approval_id>/withdraw/",
        "approval-withdraw",
        Permission.VIEW_APPROVALS,
        approvals.withdraw,
        ACT,
    ),
    Page("users/", "users", Permission.VIEW_USERS, users.users),
    Page("users/new/", "user-new", Permission.MANAGE_USERS, users.new, FORM),
    Page("users/<int:user_id>/", "user", Permission.VIEW_USERS, users.user),
    Page("users/<int:user_id>/grant/", "user-grant", Permission.MANAGE_USERS, users.grant, ACT),
    Page(
        "users/<int:user_id>/roles/<int:membership_id>/revoke/",
        "user-revoke",
        Permission.MANAGE_USERS,
        users.revoke,
        ACT,
    ),
    Page("users/<int:user_id>/off/", "user-off", Permission.MANAGE_USERS, users.switch_off, ACT),
    Page("users/<int:user_id>/on/", "user-on", Permission.MANAGE_USERS, users.switch_on, ACT),
)
