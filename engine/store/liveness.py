"""That a process is alive is a fact, not a clock.

Each process that runs children holds a lock on a file of its own beside the store. Whoever could take that lock
knows that the owner is dead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from engine import locks
from engine.errors import StoreError
from engine.jobs import Micros


@contextmanager
def proof_of_life(store: Path, owner: str) -> Iterator[None]:
    """Hold the lock that proves this process alive."""
    path = _lock_file(store, owner)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            stack.enter_context(locks.holding(path))
        except OSError as error:
            raise unusable(path.parent, error) from error
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def is_alive(store: Path, owner: str) -> bool:
    """Whether the process that registered as `owner` still lives."""
    try:
        return locks.is_held(f"{store}.d/{owner}.lock")  # asked many times a second: a Path costs more than the lock
    except OSError as error:
        raise unusable(_lock_file(store, owner).parent, error) from error


def beat(store: Path, owner: str) -> None:
    """Leave a sign that this process moves, for those who look at it; nothing else depends on it."""
    with suppress(OSError):
        os.utime(_lock_file(store, owner))


def last_beat(store: Path, owner: str) -> Micros | None:
    """When the process of `owner` last moved; None where that cannot be known."""
    try:
        return _lock_file(store, owner).stat().st_mtime_ns // 1000
    except OSError:
        return None


def remove_traces(store: Path, owner: str) -> None:
    """Remove the file that a dead process left."""
    with suppress(OSError):
        _lock_file(store, owner).unlink()


def unusable(directory: Path, error: OSError) -> StoreError:
    """What it means that the files of processes cannot be written, in words."""
    return StoreError(str(directory), f"cannot be used: {error.strerror}", "it must be a directory of your own")


def _lock_file(store: Path, owner: str) -> Path:
    return store.with_name(store.name + ".d") / f"{owner}.lock"
