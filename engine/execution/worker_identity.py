"""What proves a worker process alive, made by the process that starts it, before it forks."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from engine.store.sqlite import liveness


class WorkerIdentity:
    """The name and the lock of a worker process, shared by that process and the one that starts it.

    The lock is free only when both have let it go. So whoever finds it free finds the signal, too, by which the worker
    ended, unless the one that started it has died as well.
    """

    def __init__(self, store: Path, *, pool: int, run: str | None = None) -> None:
        """
        Args:
            pool: the process that sees to it that the worker lives.
            run: the run of which it is a worker, if it is one of a run.

        Raises StoreError where the lock cannot be had.
        """
        self.owner = uuid.uuid4().hex
        self.pool = pool
        self.run = run
        self._lock = liveness.begin(Path(os.path.realpath(store)), self.owner)

    def note_signal(self, number: int) -> None:
        """Tell whoever rescues its jobs by which signal the worker ended. To be called before `close`."""
        liveness.note_signal(self._lock, number)

    def close(self) -> None:
        """Let go of the lock in this process."""
        os.close(self._lock)
