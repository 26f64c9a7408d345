"""Locks that the kernel drops when their process dies: the proof that a process is alive."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.system.private_files import open_private


@contextmanager
def holding(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock on the file at `path`, which is created where there is none, readable by its owner alone.

    Child processes do not inherit it. Raises OSError, StoreError where it is not ours.
    """
    lock = _created(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def take(path: Path) -> int | None:
    """Take the lock on the file at `path`, which is created where there is none, if nobody has it.

    Returns:
        A descriptor that holds the lock until it is closed here and in every process that was forked meanwhile;
        None where another process has the lock.

    Raises OSError, StoreError where it is not ours.
    """
    lock = _created(path)
    if _can_lock(lock, fcntl.LOCK_EX):
        return lock
    os.close(lock)
    return None


def is_held(path: str | Path, *, shared: bool = False) -> bool:
    """Whether some living process holds the lock on the file at `path`; so it counts where we may not look.

    Raises StoreError where it is not ours.

    `shared`: those that hold it do so together.
    """
    try:
        lock = _opened(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        if not shared:
            return not _can_lock(lock, fcntl.LOCK_SH)
        for _ in range(3):  # another who asks at the same moment has it too, but not for long
            if _can_lock(lock, fcntl.LOCK_EX):
                return False
            time.sleep(0.001)
        return True
    finally:
        os.close(lock)


def content(path: Path) -> bytes:
    """What is noted in a file that serves as a lock."""
    lock = _opened(path)
    try:
        return os.read(lock, 100)
    finally:
        os.close(lock)


def _created(path: Path) -> int:
    return open_private(path, os.O_CREAT | os.O_RDWR)


def _opened(path: str | Path) -> int:
    """To be asked for its lock, which needs no more than to read it."""
    try:
        return open_private(path, os.O_RDWR)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
    return open_private(path, os.O_RDONLY)


def _can_lock(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
