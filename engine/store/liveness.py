"""That a process is alive is a fact, not a clock: it holds a lock that the kernel drops at its death.

Each process that runs children holds an exclusive `flock` on a file of its own beside the store. Whoever can
take that lock knows that the owner is dead.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def directory_of(store: Path) -> Path:
    """Where a store keeps its processes' files."""
    return store.with_name(store.name + ".d")


@contextmanager
def proof_of_life(store: Path, owner: str) -> Iterator[None]:
    """Hold the lock that proves this process alive."""
    directory = directory_of(store)
    directory.mkdir(mode=0o700, exist_ok=True)
    path = _lock_file(store, owner)
    lock = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def is_alive(store: Path, owner: str) -> bool:
    """Whether the process that registered as `owner` still lives."""
    try:
        lock = os.open(_lock_file(store, owner), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def remove_traces(store: Path, owner: str) -> None:
    """Remove the file that a dead process left."""
    _lock_file(store, owner).unlink(missing_ok=True)


def _lock_file(store: Path, owner: str) -> Path:
    return directory_of(store) / f"{owner}.lock"
