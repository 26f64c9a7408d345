"""A file system can be unmounted right after a command that worked on a database there."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.targets.sqlite.small_disks import ROOT, can_mount, in_a_world_of_its_own
from tests.sqlite_files import make_database
from tests.tui.command_line import but_unchecked


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here, not even with unshare")
@pytest.mark.parametrize("option", ["--swap", "--no-swap"])
def test_no_process_of_it_is_left_there(tmp_path: Path, option: str) -> None:
    database, disk, store = make_database(tmp_path / "app.db", rows=400), tmp_path / "disk", tmp_path / "jobs.db"
    disk.mkdir()
    run = [sys.executable, "-m", "tui.cli", "run", f"{disk}/app.db", "--op", "vacuum", option, "--store", str(store)]
    script = (
        f"mount -t tmpfs none {shlex.quote(str(disk))} && cp {shlex.quote(str(database))} {shlex.quote(str(disk))}"
        f" && cd {shlex.quote(str(ROOT))} && {shlex.join(run)} && umount {shlex.quote(str(disk))}"
    )
    done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=False)
    assert (done.returncode, but_unchecked(done.stderr)) == (0, "")
