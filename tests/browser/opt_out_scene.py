"""Files of opt-outs in every state, for the browser and for pictures."""

from django.utils import timezone

from audit.trail import SYSTEM
from tests.tokens.opt_out_files.cast import READING, csv_of, loaded
from tokens.models import Enterprise, OptOutFile
from tokens.opt_out_files import files, worker

PEOPLE = [(f"p{number}@mail.example", "2024-11-18T09:30:00Z", "told the shop") for number in range(120)]


def opt_out_pages(acme: Enterprise) -> list[str]:
    """Addresses of the list and of a file that waits, runs, failed and is over with rejects."""
    wrong = [("nobody at all", "2024-11-18", ""), ("ana@mail.example", "soon", "")]
    over = files.begin(loaded(acme, csv_of(*PEOPLE, *wrong), name="crm-november.csv"), READING, actor=SYSTEM)
    worker.work_until_done(over.pk)
    waits = loaded(acme, csv_of(*PEOPLE), name="shop.csv")
    rest = csv_of(PEOPLE[0])
    runs = files.begin(loaded(acme, rest, name="runs.csv"), READING, actor=SYSTEM)
    failed = loaded(acme, rest, name="failed.csv", what=OptOutFile.What.BOUNCES)
    OptOutFile.objects.filter(pk=failed.pk).update(
        state=OptOutFile.State.FAILED, failure="CannotOpen", begun_at=timezone.now(), reading=READING.stored()
    )
    base = "/admin/unsubscribes/files/"
    return [
        base, f"{base}new/?enterprise={acme.pk}", f"{base}{waits.pk}/columns/",
        *(f"{base}{one.pk}/" for one in (over, waits, runs, failed)),
    ]  # fmt: skip
