"""Where tests put what they make: in memory if there is room, as syncs to a disk take most of their time."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

DISK: Final = "/tmp"  # noqa: S108
MEMORY: Final = "/dev/shm"  # noqa: S108
ENOUGH: Final = 4 << 30
"""Bytes that must be free there."""
_PREFIX: Final = "dbtend-tests-"


def make_scratch() -> Path:
    """A directory of this process, as every user may use it; it goes with the process. What killed ones left goes now.

    Its path is short, as that of a unix socket must be.
    """
    place = Path(_place())
    own = place / f"{_PREFIX}{os.getpid()}"
    for found in place.glob(f"{_PREFIX}*"):
        if found == own or not _is_alive(int(found.name.removeprefix(_PREFIX))):
            shutil.rmtree(found, ignore_errors=True)
    own.mkdir()
    own.chmod(0o1777)
    atexit.register(_remove, own, os.getpid())
    return own


def _place() -> str:
    try:
        runs_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
        is_roomy = shutil.disk_usage(MEMORY).free >= ENOUGH
    except OSError:
        return DISK
    return MEMORY if is_roomy and runs_programs and os.access(MEMORY, os.W_OK) else DISK


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(directory: Path, process: int) -> None:
    if os.getpid() == process:  # not its forks
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def on_another_file_system(path: Path) -> Iterator[Path]:
    """A directory on another file system than `path`; a skip where there is none."""
    for place in map(Path, (MEMORY, DISK)):
        if place.is_dir() and place.stat().st_dev != path.stat().st_dev:
            with tempfile.TemporaryDirectory(prefix="dbtend-", dir=place) as made:
                yield Path(made)
            return
    pytest.skip("there is no other file system")
