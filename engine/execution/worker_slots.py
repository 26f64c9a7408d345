"""The bound on how many operations run at once on one store of this host, whoever runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.system import locks
from engine.system.private_files import private_directory, unusable

POLL_INTERVAL: Final = 0.05
"""Seconds between two looks for a free slot while something waits to be run."""
YIELD_TIME: Final = 2 * POLL_INTERVAL
"""Seconds for which a process that gives a slot up leaves it to those who wait for one."""


class WorkerSlots:
    """Locks beside the store, of which whoever runs an operation holds one.

    A process that dies frees its slot. Processes may be of different minds how many there are: then no more operations
    run at once than the largest number allows.
    """

    def __init__(self, store: Path, number: int) -> None:
        """Raises StoreError where nothing can be put beside the store."""
        self.number = number
        self._directory = private_directory(store)

    def take(self) -> int | None:
        """A descriptor that holds a slot until it is closed; None where all are taken. Raises StoreError."""
        try:
            slots = (locks.take(self._directory / f"slot-{number}.lock") for number in range(self.number))
            return next((slot for slot in slots if slot is not None), None)
        except OSError as error:
            raise unusable(self._directory, error) from error

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Tell those who hold slots, while inside, that one is waited for."""
        with locks.holding(self._waiting, shared=True):
            yield

    def has_waiters(self) -> bool:
        return locks.is_held(self._waiting, shared=True)

    @property
    def _waiting(self) -> Path:
        return self._directory / "slot-waiting.lock"
