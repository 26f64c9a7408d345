"""What only one process of a store may do at a time: it holds a lock on a file beside the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.domain.errors import StoreError
from engine.system import locks
from engine.system.private_files import directory_of, private_directory


@contextmanager
def holding_role(store: Path, role: str) -> Iterator[bool]:
    """Whether this process has the role, while inside. Raises StoreError."""
    path = private_directory(store) / _name(role)
    try:
        lock = locks.take(path)
    except OSError as error:
        raise _unusable(path, error) from error
    if lock is None:
        yield False
        return
    try:
        yield True
    finally:
        os.close(lock)


def role_is_held(store: Path, role: str) -> bool:
    """Raises StoreError."""
    path = directory_of(Path(os.path.realpath(store))) / _name(role)
    try:
        return locks.is_held(path)
    except OSError as error:
        raise _unusable(path, error) from error


def _name(role: str) -> str:
    return f"{role}.lock"


def _unusable(lock: Path, error: OSError) -> StoreError:
    return StoreError(str(lock), f"cannot be used: {error.strerror}", "it must be a file of your own")
