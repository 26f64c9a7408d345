"""Targets for which a pattern of the config file stands."""

from __future__ import annotations

from pathlib import Path

from engine.config.config_file import ConfigFile
from engine.config.model import Config, TargetEntry
from tui.console.saved_targets import SavedTargets


def test_a_member_of_a_pattern_of_the_config_file_is_saved(tmp_path: Path) -> None:
    pattern = TargetEntry(name="tenants", url=f"{tmp_path}/*.db")
    saved = SavedTargets(ConfigFile(tmp_path / "config.toml"), Config(targets=(pattern,)))
    assert saved.has(TargetEntry(name="t1", url=f"{tmp_path}/t1.db", pattern=pattern.url))
    assert not saved.has(TargetEntry(name="t1", url=f"{tmp_path}/t1.db", pattern=f"{tmp_path}/t*.db"))
    assert not saved.has(TargetEntry(name="t1", url=f"{tmp_path}/t1.db"))
