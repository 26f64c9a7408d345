"""Servers are copies of one that is made once for all processes of a run: making one takes many times as long."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

PLACE: Final = "DBTEND_TESTS_TEMPLATES"
"""The variable that names their directory, in pytest, its workers and what they start. Without it each is made."""


def make_or_copy(name: str, data: Path, make: Callable[[], None]) -> None:
    """Fill `data`, which does not exist yet; `make` does it, if nobody has made one of this name before."""
    if PLACE not in os.environ:
        make()
        return
    template = Path(os.environ[PLACE], name.replace("/", "-"))
    with Path(f"{template}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            make()
            _copy(data, new := Path(f"{template}.new"))
            new.rename(template)
            return
    _copy(template, data)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)
