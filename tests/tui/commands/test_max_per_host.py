"""The limit of a server, as a default of the config file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.config.config_file import ConfigFile
from tui.console.saved_targets import SavedTargets

if TYPE_CHECKING:
    from tests.tui.command_line import CommandLine

NOBODY = "postgresql://dba@127.0.0.1:1"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("[defaults]\nmax_per_host = 3\n")
    return path


def limit_of_batch(dbtend: CommandLine, config: Path, *words: str | Path) -> object:
    dbtend("run", *words, "--op", "analyze", "--quiet", "--config", config)
    return dbtend("show", "b1", "--json").json["max_per_host"]


def test_the_default_holds_for_a_batch_on_servers(dbtend: CommandLine, config: Path) -> None:
    assert limit_of_batch(dbtend, config, f"{NOBODY}/a", f"{NOBODY}/b") == 3


def test_an_option_beats_the_default(dbtend: CommandLine, config: Path) -> None:
    assert limit_of_batch(dbtend, config, f"{NOBODY}/a", f"{NOBODY}/b", "--max-per-host", "1") == 1


def test_the_default_means_nothing_for_files(dbtend: CommandLine, config: Path, tmp_path: Path) -> None:
    assert limit_of_batch(dbtend, config, tmp_path / "a.db", tmp_path / "b.db") is None


@pytest.mark.parametrize("wrong", ["0", '"2"', "true", "10000000"])
def test_a_wrong_limit_is_told_with_its_line(dbtend: CommandLine, config: Path, wrong: str) -> None:
    config.write_text(f"[defaults]\nmax_per_host = {wrong}\n")
    result = dbtend("plan", "x.db", "--config", config)
    assert result.code == 2
    assert f"{config}, line 2: defaults.max_per_host must be a whole number from 1 to" in result.err


def test_the_console_takes_the_default_too(config: Path) -> None:
    file = ConfigFile(config)
    saved = SavedTargets(file, file.load())
    assert saved.batch_options([f"{NOBODY}/a"]).max_per_host == 3
    assert saved.batch_options(["/srv/a.db"]).max_per_host is None
