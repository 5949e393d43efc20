"""The No Token Queue at the desk: an extract comes in, what is unclear is decided by people, nothing clear is shown."""

import datetime
import html
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import OLGA
from tests.tokens.no_token_queue.cast import ANA, BEN, CLO, ORDER, POLITE, READING, STOP, csv_of, imported
from tokens.models import ConsentEvent, Enterprise, ExtractRecipe, QueueBadLine, QueueExtract, QueueMessage
from tokens.no_token_queue import recipes

QUEUE = "/admin/no-token-queue/"
STATED = {"extracted_at": "2024-11-20T18:00", "encoding": "", "delimiter": ""}
MAPPED = {
    "holds-0": "number", "holds-1": "code", "holds-2": "text", "holds-3": "received", "order": "mdy", "zone": "UTC",
    "region": "", "name": "daily",
}  # fmt: skip
LINE = ("hello", "46356", "STOP", "11/20/2024")


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def send(browser: Client, acme: Enterprise, content: bytes, **stated: str) -> Any:
    file = SimpleUploadedFile("queue.csv", content, content_type="text/csv")
    return browser.post(f"{QUEUE}new/?enterprise={acme.pk}", {"file": file} | STATED | stated, follow=True)


def message(number: str = BEN) -> QueueMessage:
    return next(one for one in QueueMessage.objects.all() if one.number and one.number.open() == number)


def decide(browser: Client, *chosen: QueueMessage, said: str, reason: str = "") -> str:
    given = {"message": [one.pk for one in chosen], "said": said, "reason": reason}
    return text(browser.post(f"{QUEUE}decide/", given, follow=True))


# -- importing --------------------------------------------------------------------------------------------------
def test_an_extract_is_mapped_once_and_the_next_one_needs_no_question(
    olivia: Client, acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    asked = send(olivia, acme, csv_of(STOP, POLITE))
    page = text(asked)
    assert "What the columns hold" in page
    assert "[assumed]" in page
    assert "4477•••••23" in page
    assert not [clear for clear in (ANA, "Jane", "jane") if clear in page]
    done = text(olivia.post(asked.redirect_chain[-1][0], MAPPED, follow=True))
    assert "2 lines: 2 new, 0 known, 1 blocked by a keyword." in done
    token = caller.get_token(api_cast.want(ANA)).json()["tokens"][0]["token"]
    assert caller.resolve(api_cast.ask(token)).json()["resolvedTokens"] == []
    again = text(send(olivia, acme, csv_of(POLITE, STOP), extracted_at="2024-11-20T19:00"))
    assert "2 lines: 0 new, 2 known, 0 blocked" in again
    assert ExtractRecipe.objects.get().name == "daily"


@pytest.mark.parametrize(
    ("content", "stated", "said"),
    [
        (b"", {}, "empty"),
        (b"\x1f\x8bpacked", {}, "neither text nor an XLSX workbook"),
        (csv_of(STOP), {"extracted_at": "2099-01-01T00:00"}, "in the future"),
        (csv_of(STOP), {"extracted_at": ""}, "This field is required"),
    ],
)
def test_a_file_that_is_no_extract_is_told_at_its_field(
    olivia: Client, acme: Enterprise, content: bytes, stated: dict[str, str], said: str
) -> None:
    assert said in text(send(olivia, acme, content, **stated))
    assert not QueueExtract.objects.exists()


def test_columns_that_cannot_be_are_told_and_the_file_waits(olivia: Client, acme: Enterprise) -> None:
    asked = send(olivia, acme, csv_of(STOP))
    address = asked.redirect_chain[-1][0]
    assert "one column" not in text(asked)
    assert "say which column holds the number" in text(olivia.post(address, MAPPED | {"holds-0": ""}))
    assert "columns unknown" in text(olivia.get(f"{QUEUE}extracts/"))


def test_the_upload_is_taken_from_officers_of_that_enterprise_only(
    acme: Enterprise, rival: Enterprise, dario: Client
) -> None:
    stranger = cast.at_desk(Role.COMPLIANCE_OFFICER, rival)
    for browser in (dario, stranger):
        send(browser, acme, csv_of(STOP))
    assert not QueueExtract.objects.exists()


# -- the picture ------------------------------------------------------------------------------------------------
def test_without_an_extract_and_with_a_stale_one_nothing_says_that_the_queue_is_clear(
    olivia: Client, acme: Enterprise
) -> None:
    assert "No extract was ever imported" in text(olivia.get(QUEUE))
    imported(acme, csv_of(), at=timezone.now() - datetime.timedelta(hours=27))
    page = text(olivia.get(QUEUE))
    assert 'role="alert"' in page
    assert "Nothing here means that it is clear" in page
    imported(acme, csv_of(), at=timezone.now())
    assert "Nothing here means that it is clear" not in text(olivia.get(QUEUE))


def test_the_list_shows_masks_scores_and_no_clear_value(olivia: Client, acme: Enterprise) -> None:
    imported(acme, csv_of(STOP, POLITE, ORDER))
    page = text(olivia.get(f"{QUEUE}?show=all"))
    assert "“no more” wants no more of it" in page
    assert "please no more of this •••" in page
    assert not [clear for clear in (ANA, BEN, CLO, "jane", "Jane", "4711") if clear in page]
    assert page.count("Choose the message") == 0
    assert text(olivia.get(QUEUE)).count("Choose the message") == 2


def test_another_enterprise_sees_none_of_it(acme: Enterprise, rival: Enterprise) -> None:
    imported(acme, csv_of(STOP, POLITE, LINE))
    stranger = cast.at_desk(Role.COMPLIANCE_OFFICER, rival)
    for part in ("", "?show=all", "lines/", "extracts/"):
        assert "queue.csv" not in text(stranger.get(QUEUE + part))
    assert stranger.get(f"{QUEUE}messages/{message().pk}/").status_code == 404
    decide(stranger, message(), said="opt-out")
    assert message().state == "waiting"


# -- deciding ---------------------------------------------------------------------------------------------------
def test_what_is_said_to_be_an_opt_out_blocks_with_the_messages_own_time(
    olivia: Client, acme: Enterprise
) -> None:
    imported(acme, csv_of(POLITE, ORDER))
    assert "Recorded for 1 message" in decide(olivia, message(), said="opt-out")
    event = ConsentEvent.objects.get()
    assert event.occurred_at == datetime.datetime(2024, 11, 20, 14, 6, tzinfo=datetime.UTC)
    assert (message().state, message().consent_event) == ("opt-out", event.pk)
    assert message(CLO).state == "waiting"
    assert AuditEvent.objects.get(action=Action.QUEUE_DECIDED).details["said"] == "opt-out"
    assert "The opt-out" in text(olivia.get(f"{QUEUE}messages/{message().pk}/"))


def test_no_opt_out_needs_a_reason_and_an_unclear_message_one_person(
    olivia: Client, acme: Enterprise
) -> None:
    imported(acme, csv_of(ORDER))
    assert "Say why" in decide(olivia, message(CLO), said="not-opt-out")
    assert message(CLO).state == "waiting"
    decide(olivia, message(CLO), said="not-opt-out", reason="asks about an order")
    assert message(CLO).state == "not-opt-out"
    assert not ConsentEvent.objects.exists()


def test_a_likely_opt_out_is_none_only_when_a_second_person_says_so_too(
    olivia: Client, acme: Enterprise
) -> None:
    imported(acme, csv_of(POLITE))
    for _ in range(2):
        decide(olivia, message(), said="not-opt-out", reason="it thanks us")
        assert message().state == "waiting"
    assert "a second person confirms" in text(olivia.get(QUEUE))
    colleague = cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="otto"))
    decide(colleague, message(), said="not-opt-out", reason="agreed")
    assert message().state == "not-opt-out"
    assert "it thanks us (olivia)" in message().decision_reason


def test_what_was_said_to_be_none_can_still_become_an_opt_out_and_never_the_other_way(
    olivia: Client, acme: Enterprise
) -> None:
    imported(acme, csv_of(ORDER))
    decide(olivia, message(CLO), said="not-opt-out", reason="asks about an order")
    decide(olivia, message(CLO), said="opt-out", reason="rang us")
    assert message(CLO).state == "opt-out"
    assert "done that already" in decide(olivia, message(CLO), said="not-opt-out", reason="no")
    assert message(CLO).state == "opt-out"


def test_a_reason_that_names_a_person_is_refused(olivia: Client, acme: Enterprise) -> None:
    imported(acme, csv_of(ORDER))
    assert "Leave addresses and numbers" in decide(
        olivia, message(CLO), said="not-opt-out", reason=f"ask {ANA}"
    )
    assert message(CLO).state == "waiting"


def test_many_are_decided_at_once_and_each_leaves_its_event(olivia: Client, acme: Enterprise) -> None:
    rows = [(f"4477009{n:05}", "1", "what is this?", "11/20/2024") for n in range(5)]
    imported(acme, csv_of(*rows))
    decide(olivia, *QueueMessage.objects.all(), said="not-opt-out", reason="a question")
    assert AuditEvent.objects.filter(action=Action.QUEUE_DECIDED).count() == 5


def test_an_auditor_looks_and_decides_nothing(aaron: Client, acme: Enterprise) -> None:
    imported(acme, csv_of(POLITE))
    assert "It is an opt-out" not in text(aaron.get(f"{QUEUE}messages/{message().pk}/"))
    decide(aaron, message(), said="opt-out")
    assert message().state == "waiting"


# -- lines and settings -----------------------------------------------------------------------------------------
def test_an_unread_line_is_told_by_line_and_column_and_settled_with_a_word(
    olivia: Client, acme: Enterprise
) -> None:
    imported(acme, csv_of(POLITE, LINE))
    page = text(olivia.get(f"{QUEUE}lines/"))
    assert "MobileNumber" in page
    assert "hello" not in page
    line = QueueBadLine.objects.get()
    address = f"{QUEUE}lines/{line.pk}/"
    assert "hello" not in text(olivia.get(address))
    olivia.post(address, {"how": "it was a test message"})
    line.refresh_from_db()
    assert (line.state, line.settled_by_name) == ("settled", "olivia")
    assert line.content is not None
    assert AuditEvent.objects.filter(action=Action.QUEUE_LINE_SETTLED).count() == 1


def test_keywords_of_ones_own_block_from_then_on(olivia: Client, acme: Enterprise) -> None:
    address = f"{QUEUE}settings/{acme.pk}/"
    prefilled = re.findall(r'name="(stale_after_hours|ladder)" value="([^"]+)"', text(olivia.get(address)))
    olivia.post(address, dict(prefilled) | {"languages": ["en"], "keywords": "enough!"})
    imported(acme, csv_of((ANA, "1", "Enough", "11/20/2024")))
    assert message(ANA).state == "blocked"
    assert "whole seconds" in text(olivia.post(address, dict(prefilled) | {"ladder": "soon"}))


def test_recipes_are_listed_with_what_they_hold(olivia: Client, acme: Enterprise) -> None:
    recipes.save(acme, "daily", READING, actor=OLGA)
    page = text(olivia.get(f"{QUEUE}extracts/"))
    assert "daily" in page
    assert "ReceivedDate" in page


# -- the rescue window and the books ----------------------------------------------------------------------------
@pytest.fixture
def failing(caller: api_cast.MarketingCloud, monkeypatch: pytest.MonkeyPatch) -> api_cast.MarketingCloud:
    """Ana wrote STOP, and Get Token failed."""

    def fails(*args: Any) -> Any:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("tokens.api.get_token.get_or_create", fails)
        answer = caller.get_token(api_cast.want(ANA, privateCode="46356"))
        assert answer.status_code == 500
    return caller


def test_the_rescue_window_counts_down_and_says_what_to_mend(
    ines: Client, acme: Enterprise, failing: api_cast.MarketingCloud
) -> None:
    page = text(ines.get("/admin/rescue/"))
    assert 'hx-get="/admin/rescue/live/"' in page
    part = text(ines.get("/admin/rescue/live/"))
    for shown in ("1 of 5", "4477•••••23", "46356", "The server failed", "restart the web server"):
        assert shown in page
        assert shown in part
    assert ANA not in page + part
    failing.get_token(api_cast.want(ANA, kind="MobileNumber"))
    assert "Nobody is waiting for a token" in text(ines.get("/admin/rescue/live/"))


def test_calls_that_nobody_could_name_are_told_to_who_sees_everything(
    ines: Client, acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    wrong = {"Authorization": api_cast.basic("nobody", "an old secret")}
    assert caller.get_token(api_cast.want(ANA), headers=wrong).status_code == 401
    everywhere = cast.browser_of(cast.somebody(Role.INTEGRATION_ADMIN, name="ivo"))
    assert "1 call of Get Token in this hour" in text(everywhere.get("/admin/rescue/"))
    assert "in this hour" not in text(ines.get("/admin/rescue/"))


def test_another_enterprise_sees_nobody_in_the_window(
    acme: Enterprise, rival: Enterprise, failing: api_cast.MarketingCloud
) -> None:
    stranger = cast.at_desk(Role.INTEGRATION_ADMIN, rival)
    assert "Nobody is waiting for a token" in text(stranger.get("/admin/rescue/"))


def test_reconciling_names_a_gap_masked_and_an_explanation_closes_it(
    olivia: Client, acme: Enterprise
) -> None:
    imported(acme, csv_of((BEN, "46356", "STOP", f"{timezone.now():%m/%d/%Y %H:%M:%S}")), at=timezone.now())
    page = text(olivia.post(f"{QUEUE}reconcile/", follow=True))
    assert "1 unexplained" in page
    assert "it never reached us" in page
    assert "4477•••••56" in page
    assert BEN not in page
    [subject] = re.findall(r'name="subject" value="([^"]+)"', page)
    given = {"what": "message", "subject": subject, "reason": "INC-4711: the proxy was down"}
    olivia.post(f"{QUEUE}explain/", given)
    assert "0 unexplained" in text(olivia.post(f"{QUEUE}reconcile/", follow=True))


def test_what_is_of_another_enterprise_cannot_be_explained(acme: Enterprise, rival: Enterprise) -> None:
    imported(acme, csv_of(POLITE))
    stranger = cast.at_desk(Role.COMPLIANCE_OFFICER, rival)
    given = {"what": "message", "subject": message().pk, "reason": "x"}
    assert stranger.post(f"{QUEUE}explain/", given).status_code == 404
