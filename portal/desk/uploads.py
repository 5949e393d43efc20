"""Uploaded files never lie on a disk in the clear: each block is sealed as it arrives, and opened once.

Django would write a large upload to a temporary file. This handler is the only one (settings), takes a file only
where one is expected and from who may send it, and drops every other without reading it.
"""

import tempfile
import uuid
from collections.abc import Iterator
from typing import IO, Any, Final

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.urls import reverse

from portal.access import grants
from portal.models import User
from portal.roles import Permission
from tokens.crypto import envelope
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose

_BLOCK: Final = 1 << 20
_LENGTH_BYTES: Final = 4


class SealedUpload(UploadedFile):  # type: ignore[type-arg]
    """A file that was received. `size` is what was sent, also where that was too much and nothing was kept."""

    def __init__(
        self, name: str, spool: IO[bytes], enterprise_id: int, upload_id: uuid.UUID, size: int
    ) -> None:
        super().__init__(file=spool, name=name, size=size)
        self._spool, self.enterprise_id, self._upload_id = spool, enterprise_id, upload_id

    @property
    def is_too_large(self) -> bool:
        """Whether more came than UPLOAD_MAX_BYTES."""
        return bool((self.size or 0) > settings.UPLOAD_MAX_BYTES)

    def blocks(self) -> Iterator[bytes]:
        """The bytes of the file, a block at a time."""
        ring = keyring(self.enterprise_id)
        self._spool.seek(0)
        number = 0
        while length := self._spool.read(_LENGTH_BYTES):
            sealed = self._spool.read(int.from_bytes(length, "big"))
            yield ring.open(sealed, _place(self.enterprise_id, self._upload_id, number))
            number += 1


class SealedUploadHandler(FileUploadHandler):
    """Seals what comes in under the enterprise's key for files."""

    chunk_size = _BLOCK

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Raises SkipFile for a file that nobody asked for."""
        super().new_file(*args, **kwargs)
        self.enterprise_id = self._enterprise()
        self.upload_id, self.number, self.received = uuid.uuid4(), 0, 0
        # The request closes it with its files.
        self.spool = tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """A block: sealed, and never handed on. What is too much is read to its end and dropped."""
        self.received += len(raw_data)
        if self.received > settings.UPLOAD_MAX_BYTES:
            self.spool.truncate(0)
            return
        place = _place(self.enterprise_id, self.upload_id, self.number)
        sealed = keyring(self.enterprise_id).seal(Purpose.BULK, raw_data, place)
        self.spool.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)
        self.number += 1

    def file_complete(self, file_size: int) -> SealedUpload:
        """What the form gets."""
        return SealedUpload(
            self.file_name or "", self.spool, self.enterprise_id, self.upload_id, self.received
        )

    def _enterprise(self) -> int:
        request = self.request
        user = getattr(request, "user", None)
        permission = _expected().get(request.path) if request is not None else None
        if request is None or permission is None or not isinstance(user, User):
            raise SkipFile
        chosen = request.GET.get("enterprise", "")
        # Asked of the enterprises that there are: a role in all of them holds for any number.
        if not chosen.isdecimal():
            raise SkipFile
        held = grants(user).enterprises(permission).filter(pk=int(chosen)).first()
        if held is None:
            raise SkipFile
        return held.pk


def _expected() -> dict[str, Permission]:
    """The pages that a file is sent to, and who may send one there."""
    return {
        reverse("admin:bulk-new"): Permission.RUN_BULK,
        reverse("admin:queue-new"): Permission.UNSUBSCRIBE,
        reverse("admin:opt-out-file-new"): Permission.UNSUBSCRIBE,
    }


def _place(enterprise_id: int, upload_id: uuid.UUID, number: int) -> bytes:
    return envelope.place("portal.upload", "block", enterprise_id, upload_id, number)
