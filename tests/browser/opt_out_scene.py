"""Files of opt-outs in every state, for the browser and for pictures."""

import datetime

from django.utils import timezone

from audit.trail import SYSTEM
from tests.tokens.cast import ANAS_PHONE, BORIS_PHONE, hold, mapping_of, mobile
from tests.tokens.opt_out_files.cast import READING, csv_of, loaded
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.models import Enterprise, OptOutFile
from tokens.opt_out_files import files, worker
from tokens.vault import contacts
from tokens.write_back import sms_files


def opt_out_pages(acme: Enterprise) -> list[str]:
    """Addresses of the text-message page, the list and of a file that waits, runs, failed and is over with rejects."""
    asked = (timezone.now() - datetime.timedelta(days=1)).isoformat()
    people = [(f"p{number}@mail.example", asked, "told the shop") for number in range(120)]
    wrong = [("nobody at all", "2024-11-18", ""), ("ana@mail.example", "soon", "")]
    over = files.begin(
        loaded(acme, csv_of(*people[:3], *wrong), name="crm-november.csv"), READING, actor=SYSTEM
    )
    worker.work_until_done(over.pk)
    waits = loaded(acme, csv_of(*people), name="shop.csv")
    rest = csv_of(people[0])
    runs = files.begin(loaded(acme, rest, name="runs.csv"), READING, actor=SYSTEM)
    failed = loaded(acme, rest, name="failed.csv", what=OptOutFile.What.BOUNCES)
    OptOutFile.objects.filter(pk=failed.pk).update(
        state=OptOutFile.State.FAILED, failure="CannotOpen", begun_at=timezone.now(), reading=READING.stored()
    )
    said = {"source": "officer", "occurred_at": timezone.now(), "actor": SYSTEM}
    texting = mapping_of(acme, ANAS_PHONE)
    contacts.with_primary(acme, hold(acme, mobile(ANAS_PHONE)))
    record_opt_out(acme, kind=Kind.MOBILE, mapping=texting, source_id="she wrote", **said)
    record_opt_out(acme, kind=Kind.MOBILE, raw_value=BORIS_PHONE, source_id="he wrote", **said)
    sms_files.make(acme, actor=SYSTEM)
    base = "/admin/unsubscribes/files/"
    return [
        "/admin/unsubscribes/sms/", base, f"{base}new/?enterprise={acme.pk}", f"{base}{waits.pk}/columns/",
        *(f"{base}{one.pk}/" for one in (over, waits, runs, failed)),
    ]  # fmt: skip
