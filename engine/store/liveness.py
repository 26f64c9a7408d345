"""That a process is alive is a fact, not a clock.

Each process that runs children holds a lock on a file of its own beside the store. Whoever could take that lock
knows that the owner is dead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine import locks


@contextmanager
def proof_of_life(store: Path, owner: str) -> Iterator[None]:
    """Hold the lock that proves this process alive."""
    path = _lock_file(store, owner)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with locks.holding(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_alive(store: Path, owner: str) -> bool:
    """Whether the process that registered as `owner` still lives."""
    return locks.is_held(_lock_file(store, owner))


def remove_traces(store: Path, owner: str) -> None:
    """Remove the file that a dead process left."""
    _lock_file(store, owner).unlink(missing_ok=True)


def _lock_file(store: Path, owner: str) -> Path:
    return store.with_name(store.name + ".d") / f"{owner}.lock"
