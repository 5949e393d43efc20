"""An SFTP server that fails, with files in every state, for the browser and for pictures."""

from django.utils import timezone

from audit.trail import SYSTEM
from tests.tokens.file_transfer.server import host_key
from tokens.file_transfer import errors, verbs
from tokens.file_transfer.walk import State, Step
from tokens.models import Enterprise, FileTransfer, RemoteFile


def sftp_pages(acme: Enterprise) -> list[str]:
    """Addresses of the list, the server, its change and its host key."""
    made = verbs.create_transfer(
        acme,
        host="mcxxxxxxxxxxxxxxxxxxxxxxxxxxxx.ftp.marketingcloudops.example",
        port=22,
        username="510000001",
        extracts_folder="/Export/no-token-queue",
        actor=SYSTEM,
    )
    verbs.change_password(made, password="made up", actor=SYSTEM)
    verbs.change_key(made, actor=SYSTEM)
    verbs.pin(made, line=host_key().line, actor=SYSTEM)
    test = [{"step": step.value, "state": State.PASSED.value, "said": "As it should be."} for step in Step]
    now = timezone.now()
    FileTransfer.objects.filter(pk=made.pk).update(
        in_use_since=now, looked_at=now, succeeded_at=now, failing_since=now, trouble=str(errors.HostKeyChanged()),
        tested_at=now, test=test,
    )  # fmt: skip
    for number, state in enumerate(RemoteFile.State):
        trouble = str(errors.FileTooLarge()) if state == RemoteFile.State.REFUSED else ""
        facts = {
            "size": 10 ** (number + 3),
            "mtime": number,
            "seen_at": now,
            "state": state,
            "trouble": trouble,
        }
        RemoteFile.objects.create(transfer=made, name=f"no-token-queue-2026-11-{number}.csv", **facts)
    page = f"/admin/sftp/{made.pk}/"
    return ["/admin/sftp/", page, f"{page}change/", f"{page}host-key/"]
