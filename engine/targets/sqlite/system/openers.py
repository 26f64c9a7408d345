"""Who else has a database open, with locks or without, told without opening it."""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.domain.frozen import frozen
from engine.system.paths import real_path

if sys.platform == "linux":
    import fcntl

_FLOCK: Final = struct.Struct("hhqqi")
"""`struct flock`: kind of lock, origin of the offset, first byte, length, process."""
_LOCK_BYTES: Final = 0x40000000, 512
"""The first of the bytes that SQLite locks in a database, and how many there are."""
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
    has_open = {pid: _opened_by(pid, {real.name: status}) for pid in pids if pid != os.getpid()}
    found = tuple(pid for pid, answer in has_open.items() if answer)
    return Openers(found, complete=sees_all and None not in has_open.values())


def opened_among(files: Mapping[str, os.stat_result]) -> set[str]:
    """The names of those of these files, by name, that another process has open under it, as far as may be seen."""
    try:
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    except OSError:
        return set()
    return {name for pid in pids if pid != os.getpid() for name in _opened_by(pid, files) or ()}


def is_only_opener(descriptor: int) -> bool:
    """Whether the kernel itself vouches that a file of this machine is open under this descriptor only, of all that
    there are in any process and container; False where it does not say.

    The kernel grants a lease only then. It is given back at once: a process that opens the file in these microseconds
    waits so long.
    """
    return is_open_elsewhere(descriptor) is False


def is_open_elsewhere(descriptor: int) -> bool | None:
    """Whether a file of this machine is open under another descriptor, too, in any process and container; None where
    the kernel does not say. See `is_only_opener`."""
    if sys.platform != "linux":
        return None
    try:
        # The kernel would tell us of him with a signal that ends the process; this one is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return True
    except OSError:  # the file has another owner, or its file system knows no leases
        return None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def lock_holder(descriptor: int) -> int | None:
    """A process other than this one that holds locks of SQLite on an open database; None if there is none.

    The kernel answers at once; /proc/locks, which names all of them, takes it up to 20 ms. Only on Linux.
    Raises OSError if the descriptor is closed.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, *_LOCK_BYTES, 0)
    kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)


def _opened_by(pid: int, files: Mapping[str, os.stat_result]) -> set[str] | None:
    """The names of those of these files, by name, that a process has open; None where we may not look into it."""
    found = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since
                # The name goes first: to ask for the status of any file may hang where its server is gone.
                name = descriptor.readlink().name
                if name in files and os.path.samestat(descriptor.stat(), files[name]):
                    found.add(name)
    except PermissionError:
        return None
    except OSError:  # it has ended
        return set()
    return found
