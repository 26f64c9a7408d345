"""Whether a process is alive: it holds a lock on a file of its own beside the store; no clock tells that.

Each process that runs children does. A process that gets this lock knows that the owner is dead.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.domain.errors import StoreError
from engine.domain.frozen import frozen
from engine.domain.steps import Micros
from engine.system import locks
from engine.system.held_process import hold_of
from engine.system.private_files import directory_of, private_directory, unusable

_WAIT_STATUS = 49
"""The position of the wait status in `/proc/PID/stat`, counted from the state."""
STRAY_AFTER = 60.0
"""Seconds: a younger file may be one whose process is about to lock it."""


@contextmanager
def proof_of_life(store: Path, owner: str) -> Iterator[None]:
    """Hold the lock that proves this process alive. The file stays: it is how others see that it was let go."""
    lock = begin(store, owner)
    try:
        yield
    finally:
        os.close(lock)


def begin(store: Path, owner: str) -> int:
    """Take the lock that proves the process of `owner` alive: a descriptor that holds it. Raises StoreError."""
    path = _lock_file(store, owner)
    try:
        private_directory(store)
        lock = locks.take(path)
    except OSError as error:
        raise unusable(path.parent, error) from error
    if lock is None:
        raise StoreError(str(path), "is locked by another process", "no two processes may have the same name")
    return lock


def note_signal(lock: int, number: int) -> None:
    """Record the signal that ended the process, in the file whose lock this descriptor holds."""
    with suppress(OSError):
        os.pwrite(lock, str(number).encode(), 0)


def signal_of(store: Path, owner: str) -> int | None:
    """The signal that ended the process of `owner`; None if none is recorded."""
    try:
        noted = locks.content(_lock_file(store, owner))
        return int(noted) if noted else None
    except (OSError, ValueError):
        return None


@frozen
class Death:
    """A dead process, and the signal that ended it, if known."""

    signal: int | None = None


def death_of(store: Path, owner: str, pid: int | None, host: str | None) -> Death | None:
    """The death of the process registered as `owner`; None unless it is proven."""
    if not is_alive(store, owner, pid, host):
        return Death(signal_of(store, owner))
    return _death_unseen(_lock_file(store, owner), pid) if pid is not None and host == socket.gethostname() else None


def _death_unseen(lock: Path, pid: int) -> Death | None:
    """That a process is dead, as far as its parent, which has its lock as well, is stopped and has not seen that.

    The kernel reuses its number only after that. Its exit status is in its zombie entry. A process that ended normally,
    that this user may not inspect, or that still has a running thread is left to its parent.
    """
    try:
        stat, threads = _stat_of(pid), list(Path(f"/proc/{pid}/task").iterdir())
        state, parent, status = stat[0], stat[1], int(stat[_WAIT_STATUS])
        if state != "Z" or not status or len(threads) != 1:
            return None
        if _stat_of(int(parent))[0] not in {"T", "t"} or not _has_open(int(parent), lock):
            return None
    except (OSError, ValueError, IndexError):
        return None
    return Death(os.WTERMSIG(status) or None)


def _stat_of(pid: int) -> list[str]:
    """What Linux tells of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def is_alive(store: Path, owner: str, pid: int | None, host: str | None) -> bool:
    """Whether the process that registered as `owner` still lives. `pid` and `host` help where its file is gone."""
    try:
        # Asked many times a second: a Path would cost more than the lock.
        return locks.is_held(f"{store}.d/{owner}.lock") or _lives_without_its_file(store, owner, pid, host)
    except OSError as error:
        raise unusable(_lock_file(store, owner).parent, error) from error


def _lives_without_its_file(store: Path, owner: str, pid: int | None, host: str | None) -> bool:
    """The lock file may have been removed: that proves nothing while the process exists."""
    if pid is None or host != socket.gethostname() or _lock_file(store, owner).exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kill(store: Path, owner: str, pid: int) -> bool:
    """Send SIGKILL to the process registered as `owner`; False if it is gone.

    Never another one that has its number by now, or counts otherwise, as in a container: `pid` is first taken hold of,
    then it is the one that has the lock of `owner`.
    """
    try:
        with hold_of(pid) as send:
            is_it = locks.is_held(_lock_file(store, owner)) and _has_open(pid, _lock_file(store, owner))
            if is_it:
                send(signal.SIGKILL)
            return is_it
    except (ProcessLookupError, FileNotFoundError):
        return False


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open; where the system does not tell, it may have."""
    descriptors = Path(f"/proc/{pid}/fd")
    if not Path("/proc/self/fd").exists():
        return True
    wanted = path.stat()
    for descriptor in descriptors.iterdir():
        with suppress(FileNotFoundError):
            if os.path.samestat(descriptor.stat(), wanted):
                return True
    return False


def beat(store: Path, owner: str) -> None:
    """Leave a sign that this process moves, for those who look at it; nothing else depends on it."""
    with suppress(OSError):
        os.utime(_lock_file(store, owner), follow_symlinks=False)


def last_beat(store: Path, owner: str) -> Micros | None:
    """The last heartbeat of the process of `owner`; None if unknown."""
    try:
        return _lock_file(store, owner).stat().st_mtime_ns // 1000
    except OSError:
        return None


def remove_traces(store: Path, owner: str) -> None:
    """Remove the file of a process that no row of the store names any more."""
    with suppress(OSError):
        _lock_file(store, owner).unlink()


def remove_strays(store: Path, registered: Collection[str]) -> None:
    """Remove the files of processes that died before they had registered, or after they were forgotten."""
    for path in directory_of(store).glob(f"{'[0-9a-f]' * 32}.lock"):
        with suppress(OSError):
            is_old = time.time() - path.stat().st_mtime > STRAY_AFTER
            if path.stem not in registered and is_old and not locks.is_held(path):
                path.unlink()


def _lock_file(store: Path, owner: str) -> Path:
    return directory_of(store) / f"{owner}.lock"
