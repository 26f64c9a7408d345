"""Locks that the kernel releases when their process dies: the proof that a process is alive."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.system.private_files import open_private

LONGEST_TEST: Final = 1.0
"""Seconds that the test of a lock takes at most."""
_PAUSE: Final = 0.001


@contextmanager
def sharing(path: Path) -> Iterator[None]:
    """Share the lock on the file at `path`; it is created if missing, readable by its owner alone.

    Child processes do not inherit it. Raises OSError, TimeoutError where another process holds it alone; StoreError if
    another user owns it.
    """
    lock = _created(path)
    try:
        lock_within(LONGEST_TEST, lock, fcntl.LOCK_SH)  # a test by another process holds it for a moment
        yield
    finally:
        os.close(lock)


def take(path: Path) -> int | None:
    """Try to take the lock on the file at `path`, which is created if missing.

    Returns:
        A descriptor that holds the lock until it is closed here and in every forked process; None if another process
        has the lock.

    Raises OSError; StoreError if another user owns it.
    """
    lock = _created(path)
    has_it = False
    try:
        has_it = _can_lock(lock, fcntl.LOCK_EX)
        return lock if has_it else None
    finally:
        if not has_it:
            os.close(lock)


def is_held(path: str | Path, *, shared: bool = False, unknown: bool = True) -> bool:
    """Whether a live process holds the lock on the file at `path`; `unknown` if that is not permitted to test.

    Raises StoreError if another user owns it.

    `shared`: whether its holders share it.
    """
    try:
        lock = _opened(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        return unknown
    try:
        if not shared:
            return not _can_lock(lock, fcntl.LOCK_SH)
        for _ in range(3):  # a concurrent test may hold it for a moment
            if _can_lock(lock, fcntl.LOCK_EX):
                return False
            time.sleep(_PAUSE)
        return True
    finally:
        os.close(lock)


def lock_within(seconds: float, lock: int, how: int) -> None:
    """Lock an open file. Blocks its thread. Raises TimeoutError where others hold it for so long, and OSError."""
    give_up = time.monotonic() + seconds
    while not _can_lock(lock, how):
        if time.monotonic() >= give_up:
            raise TimeoutError(errno.ETIMEDOUT, f"another process locked it for {seconds:g} s")
        time.sleep(_PAUSE)


def content(path: Path) -> bytes:
    """The content of a lock file."""
    lock = _opened(path)
    try:
        return os.read(lock, 100)
    finally:
        os.close(lock)


def _created(path: Path) -> int:
    return open_private(path, os.O_CREAT | os.O_RDWR)


def _opened(path: str | Path) -> int:
    """Read access is enough to test a lock."""
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
