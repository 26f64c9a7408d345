"""The limit of concurrent operations on one store and host, over all processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.system import locks
from engine.system.private_files import private_directory, unusable

POLL_INTERVAL: Final = 0.05
"""Seconds between two attempts to take a slot while a job is pending."""
YIELD_TIME: Final = 2 * POLL_INTERVAL
"""Seconds that a process leaves a released slot to waiting ones."""


class WorkerSlots:
    """Lock files beside the store; a process that runs an operation holds one.

    A dead process frees its slot. If processes disagree on the number of slots, the largest number holds.
    """

    def __init__(self, store: Path, number: int) -> None:
        """Raises StoreError if no file can be created beside the store."""
        self.number = number
        self._directory = private_directory(store)
        self._waiting = self._directory / "slot-waiting.lock"

    def take(self) -> int | None:
        """A descriptor that holds a slot until it is closed; None if all are taken. Raises StoreError."""
        try:
            slots = (locks.take(self._directory / f"slot-{number}.lock") for number in range(self.number))
            return next((slot for slot in slots if slot is not None), None)
        except OSError as error:
            raise unusable(self._directory, error) from error

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While inside, signal the holders of slots that a process waits for one."""
        with locks.sharing(self._waiting):
            yield

    def has_waiters(self) -> bool:
        return locks.is_held(self._waiting, shared=True)
