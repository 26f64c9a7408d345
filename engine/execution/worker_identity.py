"""The identity of a worker process: the starting process makes it before it forks."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from engine.store.sqlite import liveness


class WorkerIdentity:
    """The name and the lock of a worker process, shared by that process and the one that starts it.

    The lock is free only after both have released it. So a process that finds it free also finds the signal that ended
    the worker, unless the starting process has died as well.
    """

    def __init__(self, store: Path, *, pool: int, run: str | None = None) -> None:
        """
        Args:
            pool: the pid of the process that replaces the worker when it dies.
            run: the run that it works for, if any.

        Raises StoreError if the lock cannot be acquired.
        """
        self.owner = uuid.uuid4().hex
        self.pool = pool
        self.run = run
        self._lock = liveness.begin(Path(os.path.realpath(store)), self.owner)

    def note_signal(self, number: int) -> None:
        """Record the signal that ended the worker, for the rescue of its jobs. Call it before `close`."""
        liveness.note_signal(self._lock, number)

    def close(self) -> None:
        """Release the lock in this process."""
        os.close(self._lock)
