"""What all parts of the shared store use."""

from __future__ import annotations

from collections.abc import Callable

from engine.domain.steps import Micros
from engine.store.postgres.change_watch import ChangeWatch
from engine.store.postgres.connections import Pool

ANY_HOST = "any"
"""The queue of jobs that every worker may run."""


class StoreBase:
    """The connections of an open store, and who uses it."""

    def __init__(
        self, url: str, what: str, pool: Pool, watch: ChangeWatch, clock: Callable[[], Micros] | None, who: str
    ) -> None:
        """
        Args:
            what: the name of the store in errors, without a password.
            clock: for tests; None: the server's.
            who: who uses it, as the history shows it.
        """
        self._url, self._what = url, what
        self._pool = pool
        self._watch = watch
        self._clock = clock
        self._who = who
        self._queues: list[str] | None = None
        """Those that this process serves; None: all."""
        self._run: str | None = None
        """The run for which submitted jobs are reserved."""

    def _at(self) -> Micros | None:
        """The time for a write; None: the server's clock."""
        return None if self._clock is None else self._clock()

    async def _now(self) -> Micros:
        if self._clock is not None:
            return self._clock()
        ((now,),) = await self._pool.rows("SELECT now_micros()")
        return int(now)
