"""A run whose store fills its disk after the submit: no job starts later unreported."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.targets.sqlite.small_disks import ROOT, can_mount, in_a_world_of_its_own
from tests.sqlite_files import make_database
from tests.tui import full_store

PAGES = (0, 12, 100)
"""Too few to claim the job, to end it, and enough."""


@pytest.mark.long
@pytest.mark.skipif(not can_mount(), reason="a process may have no file systems of its own here")
def test_what_a_run_could_not_carry_out_is_told_as_still_open(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    program = [sys.executable, "-m", full_store.__name__, disk, tmp_path / "target.db", ",".join(map(str, PAGES))]
    script = (
        f"mount -t tmpfs -o size=16M none {shlex.quote(str(disk))} && cd {shlex.quote(str(ROOT))}"
        f" && exec {shlex.join(map(str, program))}"
    )
    done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    endings = [full_store.Ending(**row) for row in json.loads(done.stdout)]
    assert [ending for ending in endings if not full_store.is_told_as_it_is(ending)] == []
    before, under_its_work = endings[: len(PAGES)], endings[len(PAGES) :]
    assert [ending.code for ending in before] == [2, 2, 0]
    assert (under_its_work[0].code, under_its_work[-1].code) == (2, 0)
    why = "dbtend: the store of jobs: the disk is full (make room on its file system)"
    assert f"{why}; " in under_its_work[0].said
    assert "disk is full" not in under_its_work[-1].said
    assert all("Traceback" not in ending.said for ending in endings)


@pytest.mark.skipif(not can_mount(), reason="a process may have no file systems of its own here")
@pytest.mark.parametrize("words", [("history",), ("--read-only", "history"), ("show", "1")])
def test_on_a_full_disk_the_history_is_read(words: tuple[str, ...], tmp_path: Path) -> None:
    disk, store = tmp_path / "disk", tmp_path / "disk/jobs.db"
    disk.mkdir()
    make_database(tmp_path / "target.db", rows=10)
    dbtend = shlex.join([sys.executable, "-m", "tui.cli", "--store", str(store)])
    script = (
        f"mount -t tmpfs -o size=1M none {shlex.quote(str(disk))} && cd {shlex.quote(str(ROOT))}"
        f" && {dbtend} run {shlex.quote(str(tmp_path / 'target.db'))} --op analyze >/dev/null 2>&1"
        f" && ! cp /dev/zero {shlex.quote(str(disk / 'full'))} 2>/dev/null && {dbtend} {shlex.join(words)}"
    )
    done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "target.db" in done.stdout
