from __future__ import annotations

from pathlib import Path

import pytest

from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine


@pytest.fixture
def dbtend(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command, with a store and a config of its own."""
    return CommandLine(tmp_path / "home", capsys, monkeypatch)


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A healthy database that has something to give back."""
    return make_database(tmp_path / "sales.db", rows=400)
