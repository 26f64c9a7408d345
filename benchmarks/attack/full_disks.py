"""Stores on a disk that is full from some write on: what was told to have failed is not there, nor runs later."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.attack.directories import attack_directory
from tests.engine.store import full_disks
from tests.engine.targets.sqlite.small_disks import ROOT, can_mount, in_a_world_of_its_own
from tests.tui import full_store


def attack(count: int, seed: int) -> Iterator[str]:
    """With 0, 1, 2 ... pages left: as many as `count` for submits, and a tenth for whole runs."""
    if not can_mount():
        raise PermissionError("a process may have no file systems of its own here")
    for tried in (full_disks.Tried(**row) for row in _told_by(full_disks, str(count))):
        if tried.told != tried.is_there:
            yield f"{tried}"
    pages = ",".join(str(number) for number in range(max(count // 10, 1)))
    for ending in (full_store.Ending(**row) for row in _told_by(full_store, "target.db", pages)):
        if not full_store.is_told_as_it_is(ending):
            yield f"{ending}"


def _told_by(module: ModuleType, *arguments: str) -> list[dict[str, Any]]:
    with attack_directory() as directory:
        disk = Path(directory) / "disk"
        disk.mkdir()
        words = [str(Path(directory) / word) if word.endswith(".db") else word for word in arguments]
        program = [sys.executable, "-m", module.__name__, str(disk), *words]
        script = (
            f"mount -t tmpfs -o size=64M none {shlex.quote(str(disk))} && cd {shlex.quote(str(ROOT))}"
            f" && exec {shlex.join(program)}"
        )
        done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found
