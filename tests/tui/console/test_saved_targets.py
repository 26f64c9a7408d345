"""The targets of the config file, as the console knows them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config.config_file import ConfigFile
from engine.config.model import TargetEntry
from tui.console.saved_targets import SavedTargets

SALES = TargetEntry(name="sales", url="/srv/sales.db")


async def test_one_database_is_known_by_whatever_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = ConfigFile(tmp_path / "config.toml")
    saved = SavedTargets(file, file.load())
    kept = await saved.put(TargetEntry(name="sales", url=str(tmp_path / "sales.db"), label="PROD"), was=None)
    twin = await saved.put(replace(kept, name="twin"), was=None)
    assert saved.entry_of(TargetEntry(name="sales.db", url="sales.db")) == kept
    assert saved.entry_of(TargetEntry(name="twin", url="sqlite:sales.db")) == twin
    assert saved.entry_of(SALES) is None
    await saved.remove(kept)
    assert saved.entries == (twin,) == file.load().targets


async def test_a_file_is_read_again(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "config.toml")
    saved = SavedTargets(file, file.load())
    file.path.write_text('[targets.sales]\nurl = "/srv/sales.db"\n\n[defaults]\njobs = 3\n')
    await saved.read()
    assert saved.entries == (SALES,)
    assert saved.whole(SALES).options.jobs == 3


def test_what_few_sessions_need_is_not_imported_at_the_start() -> None:
    code = "import sys, tui.console.app, tui.commands.console; sys.exit('tomlkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0
