"""Where tests put what they make: in memory if there is room, as syncs to a disk take most of their time."""

from __future__ import annotations

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


def _choose() -> str:
    try:
        runs_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
        roomy = shutil.disk_usage(MEMORY).free >= ENOUGH
    except OSError:
        return DISK
    return MEMORY if roomy and runs_programs and os.access(MEMORY, os.W_OK) else DISK


SCRATCH: Final = _choose()
"""Its path is short, as that of a unix socket must be."""


@contextmanager
def on_another_file_system(path: Path) -> Iterator[Path]:
    """A directory on another file system than `path`; a skip where there is none."""
    for place in (MEMORY, DISK):
        if Path(place).is_dir() and Path(place).stat().st_dev != path.stat().st_dev:
            with tempfile.TemporaryDirectory(prefix="dbtend-", dir=place) as made:
                yield Path(made)
            return
    pytest.skip("there is no other file system")
