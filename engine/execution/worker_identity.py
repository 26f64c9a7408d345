"""The identity of a worker process: the starting process makes it before it forks."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from engine.domain.lazy_import import lazy
from engine.store.location import StoreLocation
from engine.store.sqlite import liveness

if TYPE_CHECKING:
    from engine.store.postgres import worker_signal
else:
    worker_signal = lazy("engine.store.postgres.worker_signal", "only a shared store needs its driver")


class WorkerIdentity:
    """The name and the lock of a worker process, shared by that process and the one that starts it.

    The lock is free only after both have released it. So a process that finds it free also finds the signal that ended
    the worker, unless the starting process has died as well. In a shared store the lock is the worker's alone: there
    the signal is noted at once.
    """

    def __init__(self, store: Path | StoreLocation, *, pool: int, size: int, run: str | None = None) -> None:
        """
        Args:
            pool: the pid of the process that replaces the worker when it dies.
            size: how many processes that one keeps up.
            run: the run that it works for, if any.

        Raises StoreError if the lock cannot be acquired.
        """
        self.owner = uuid.uuid4().hex
        self.pool, self.pool_size = pool, size
        self.run = run
        location = StoreLocation.of(store)
        self._url = location.url
        self._lock = None if self._url else liveness.begin(Path(os.path.realpath(location.path)), self.owner)

    def note_signal(self, number: int) -> None:
        """Record the signal that ended the worker, for the rescue of its jobs. Call it before `close`."""
        if self._lock is not None:
            liveness.note_signal(self._lock, number)
        elif self._url is not None:
            worker_signal.note_signal(self._url, self.owner, number)

    def close(self) -> None:
        """Release the lock in this process."""
        if self._lock is not None:
            os.close(self._lock)
