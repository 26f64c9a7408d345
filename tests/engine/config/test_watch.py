"""When a config file that has changed is read."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from engine.config import watch as config_watch
from engine.config.watch import ConfigWatch

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SCHEDULE = """
[schedules.nightly]
targets = ["/data/*.db"]
operations = ["analyze"]
start = "0 1 * * *"
"""


def names(watch: ConfigWatch) -> list[str]:
    return [schedule.name for schedule in watch.config.schedules]


def changed(path: Path, seconds_ago: float) -> None:
    at = time.time() - seconds_ago
    os.utime(path, (at, at))


def test_a_file_that_is_being_written_is_read_once_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_watch, "SETTLED", 600)
    path, new = tmp_path / "config.toml", tmp_path / "new.toml"
    path.write_text(SCHEDULE)
    watch = ConfigWatch(path)
    assert watch.look()
    assert names(watch) == ["nightly"]
    path.write_text("")  # in place, as many editors do: more follows
    assert not watch.look()
    assert names(watch) == ["nightly"]
    changed(path, 700)
    assert watch.look()
    assert names(watch) == []
    new.write_text(SCHEDULE)
    new.replace(path)  # it is whole
    assert watch.look()
    assert names(watch) == ["nightly"]
