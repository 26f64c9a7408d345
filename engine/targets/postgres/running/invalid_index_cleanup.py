"""When invalid indexes are dropped: after the step that left them, else after the last one, or after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import psycopg

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.targets.postgres.connection.errors import server_message
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running import invalid_indexes
from engine.targets.postgres.running.connection_pool import ConnectionPool
from engine.targets.postgres.running.invalid_indexes import Leftover, Removal

DROP_WAIT: Final = 1.0
"""Seconds that a drop waits for locks after a step."""
FINAL_DROP_WAIT: Final = 30.0
"""Seconds that a drop waits for locks after the last step."""
NEXT_DROP_WAIT: Final = 0.1
"""Seconds that a drop waits for locks after another drop has already timed out."""


@frozen
class CleanupResult:
    """The result of dropping the leftovers of a step."""

    removals: tuple[Removal, ...] = ()
    problem: str = ""
    """Why the leftovers are unknown."""
    has_replacement: bool = False
    """Whether a new valid index has its name."""

    @property
    def has_new_index(self) -> bool:
        """Whether the new index is in place, and only the old one was still to be dropped."""
        return self.has_replacement or any(removal.leftover.is_old for removal in self.removals)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about dropped indexes, and about unknown leftovers."""
        dropped = [removal.text for removal in self.removals if not removal.problem]
        return (*dropped, self.problem) if self.problem else tuple(dropped)

    @property
    def failed_drops(self) -> dict[str, str]:
        """The warning about each leftover that remains, by name."""
        return {removal.leftover.shown: removal.text for removal in self.removals if removal.problem}


class InvalidIndexCleanup:
    """Drops the leftovers of the rebuilds of one operation."""

    def __init__(
        self, reader: Reader, pool: ConnectionPool, lock_timeout: float, invalid_before: Collection[int] = ()
    ) -> None:
        """`invalid_before`: oids of indexes that were invalid before the first step; they are never dropped."""
        self._reader = reader
        self._pool = pool
        self._lock_timeout = lock_timeout
        self._before = invalid_before
        self._left: list[Leftover] = []

    def keep(self, invalid: Collection[int]) -> None:
        """Never drop these, which were invalid before the first concurrent rebuild."""
        self._before = invalid

    async def clean_up(self, step: PgStep, *, is_lost: bool = False) -> CleanupResult:
        """Remove what this step left, whatever happened to the connection that it ran on. `is_lost`: that is gone, and
        the server may have gone on without it."""
        if step.method is not Method.REINDEX_CONCURRENTLY or step.subject is None:
            return CleanupResult()
        try:
            found = await invalid_indexes.left_by(self._reader, step.subject.schema, step.subject.name)
            found = [leftover for leftover in found if leftover.oid not in self._before]
            removals = await self._drop(found, DROP_WAIT) if found else []
            has_replacement = is_lost and await invalid_indexes.has_replacement(self._reader, step.subject)
        except (TargetError, psycopg.Error) as error:
            problem = f"could not look for an unfinished copy of {step.object}: {server_message(error)}"
            return CleanupResult(problem=problem)
        self._left += [removal.leftover for removal in removals if removal.problem]
        return CleanupResult(tuple(removals), has_replacement=has_replacement)

    async def retry_drops(self, cancel: asyncio.Event) -> list[str]:
        """Try the failed drops again. Returns the names that are gone now."""
        leftovers, self._left = self._left, []
        if not leftovers or cancel.is_set():
            return []
        removals = await self._drop(leftovers, FINAL_DROP_WAIT)
        return [removal.leftover.shown for removal in removals if not removal.problem]

    async def drop_interrupted(self, names: set[str]) -> list[str]:
        """Drop the leftovers of these indexes after a crash. Returns warnings. Raises TargetError."""
        indexes = [index for index in await self._reader.indexes() if index.shown in names]
        leftovers = [
            leftover
            for index in indexes
            for leftover in await invalid_indexes.left_by(self._reader, index.schema, index.name)
        ]
        return [removal.text for removal in await self._drop(leftovers, FINAL_DROP_WAIT)] if leftovers else []

    async def _drop(self, found: Sequence[Leftover], waited: float) -> list[Removal]:
        removals, waiting = list[Removal](), list(found)
        waited = min(waited, self._lock_timeout)
        try:
            async with self._pool.connection() as pooled:
                while waiting:
                    leftover = waiting[0]
                    if any(removal.problem for removal in removals):
                        waited = min(waited, NEXT_DROP_WAIT)
                    await pooled.set_lock_timeout(waited)
                    is_unfinished = (await self._reader.unfinished([leftover.oid])).get(leftover.oid)
                    if is_unfinished:
                        removals.append(await invalid_indexes.drop(pooled.connection, leftover, waited=waited))
                    elif is_unfinished is None:  # another index may have its name by now
                        removals.append(Removal(leftover))
                    del waiting[0]
        except (TargetError, psycopg.Error) as error:
            why = error.why if isinstance(error, TargetError) else server_message(error)
            problem = f"because no connection could be used for it: {why}"
            removals += [Removal(leftover, problem) for leftover in waiting]
        return removals
