from pathlib import Path

import pytest

from tests.audit.retention import cast
from tests.conftest import OwnDatabase


@pytest.fixture
def log(own_database: OwnDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cast.Log:
    cast.everybody_may(monkeypatch)
    return cast.Log(tmp_path)
