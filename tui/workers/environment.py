"""The environment that a running worker process was started with: later changes elsewhere do not reach it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_LOCKED: Final = re.compile(r"\d+: FLOCK +ADVISORY +READ +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) ", re.MULTILINE)


def not_set_alike(wanted: Mapping[str, str], lock: Path) -> list[str]:
    """The variables that the processes which hold this lock do not have, or have with another value.

    All of them if that is unknown: for processes on another machine, and on systems other than Linux.
    """
    environments = list(_environments(lock))
    if not environments:
        return list(wanted)
    return [name for name, value in wanted.items() if any(there.get(name) != value for there in environments)]


def _environments(lock: Path) -> Iterator[Mapping[str, str]]:
    try:
        inode = lock.stat().st_ino
        pids = [pid for pid, locked in _LOCKED.findall(Path("/proc/locks").read_text()) if int(locked) == inode]
        for pid in pids:
            variables = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes()).split("\0")
            yield {name: value for name, _, value in (variable.partition("=") for variable in variables)}
    except OSError:
        yield {}  # the process of another user has no variables for this one
