"""Who else has a database open, with locks or without, told without opening it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.domain.frozen import frozen
from engine.system.paths import real_path

if sys.platform == "linux":
    import fcntl

_FIRST_PID_NAMESPACE: Final = "pid:[4026531836]"  # a constant of the kernel


@frozen
class Openers:
    """The other processes that have a file open; `complete` is False where some process may not be looked into."""

    pids: tuple[int, ...]
    complete: bool


def openers(path: str) -> Openers | None:
    """The other processes that have the file at `path` open, locked or not; None anywhere but on Linux.

    Raises FileNotFoundError if there is no such file.
    """
    real = Path(real_path(path))
    status = real.stat()
    try:
        # A container sees only its own processes; if the processes of other users are hidden, so is 1.
        sees_all = str(Path("/proc/self/ns/pid").readlink()) == _FIRST_PID_NAMESPACE and Path("/proc/1").exists()
        pids = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    except OSError:
        return None
    has_open = {pid: _has_open(pid, status, real.name) for pid in pids if pid != os.getpid()}
    found = tuple(pid for pid, answer in has_open.items() if answer)
    return Openers(found, complete=sees_all and None not in has_open.values())


def is_only_opener(descriptor: int) -> bool:
    """Whether the kernel itself vouches that a file of this machine is open under this descriptor only, of all that
    there are in any process and container; False where it does not say.

    The kernel grants a lease only then. It is given back at once: a process that opens the file in these microseconds
    waits so long.
    """
    if sys.platform != "linux":
        return False
    try:
        # The kernel would tell us of him with a signal that ends the process; this one is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:  # another process has; or the file has another owner, or its file system knows no leases
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _has_open(pid: int, file: os.stat_result, name: str) -> bool | None:
    """None where we may not look into the process."""
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since
                # The name goes first: to ask for the status of any file may hang where its server is gone.
                if descriptor.readlink().name == name and os.path.samestat(descriptor.stat(), file):
                    return True
    except PermissionError:
        return None
    except OSError:  # it has ended
        return False
    return False
