import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.embedded import EmbeddedServices


@pytest.fixture(autouse=True, scope="module")
def _as_on_a_fresh_machine() -> Iterator[None]:
    """The tests' own settings give the root key; a fresh machine has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FIELD_ENCRYPTION_KEY")
        yield


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder with a short path that every account can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="portal-test-"))
    folder.chmod(0o755)
    yield folder
    destroy_all_below(folder)
    shutil.rmtree(folder)


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that only its owner can enter."""
    tmp_path.chmod(0o700)
    yield tmp_path
    destroy_all_below(tmp_path)


def destroy_all_below(folder: Path) -> None:
    """Some have their files elsewhere, which only their state folder tells."""
    for record in list(folder.rglob("embedded.json")):
        EmbeddedServices(record.parent).destroy()
