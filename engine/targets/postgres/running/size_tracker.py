"""Measures the sizes of tables and indexes before and after steps, many per query.

Most measuring happens while other steps run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import psycopg

from engine.domain.errors import TargetError
from engine.targets.postgres.connection.names import qualified
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader

_T = TypeVar("_T")

AT_ONCE: Final = 200
FIRST: Final = 4
"""How many are measured before the first step; the others while it runs."""
BATCH_WAIT: Final = 0.05
"""Seconds that ended steps wait at most to be measured together."""
SHORT_BATCH_WAIT: Final = 0.015
"""Seconds that an ended step waits to be measured where another step of its table waits for that."""
LARGE: Final = 1_000
"""Pages. A larger table is measured at once: beside its long steps the query costs nothing."""
LARGEST_BATCH: Final = 32


class SizeTracker:
    """Sizes with TOAST and indexes. Objects locked by others are not measured."""

    def __init__(self, reader: Reader, steps: Sequence[PgStep]) -> None:
        """`steps`: those that will run, in about their order."""
        self._reader = reader
        self._upcoming: list[int] = []
        self._known: dict[int, int] = {}
        self._ahead: asyncio.Task[None] | None = None
        """Measures the next ones ahead."""
        self._tables = Counter[int]()
        """How many steps each table has."""
        self._smaller: set[int] = set()
        """Tables that lost an index since they were measured ahead."""
        self._steps_left = 0
        self._batch: list[str] = []
        self._batch_task: asyncio.Task[dict[str, int]] | None = None
        """Measures the current batch."""
        self._batch_is_full = asyncio.Event()
        self._looks: set[asyncio.Task[Any]] = set()
        self.add(steps)

    def add(self, steps: Sequence[PgStep]) -> None:
        """Add steps that will run after those so far."""
        subjects = [step.subject for step in steps if step.subject is not None and step.is_measured]
        self._upcoming += [subject.oid for subject in subjects]
        self._tables.update(subject.lockable for subject in subjects)
        self._steps_left += len(subjects)

    async def end(self) -> None:
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def before(self, step: PgStep) -> int | None:
        """The size before the step; None if it cannot be measured."""
        subject = step.subject
        if subject is None or not step.is_measured:
            return None
        if subject.oid in self._smaller:
            self._smaller.remove(subject.oid)
            self._upcoming = [oid for oid in self._upcoming if oid != subject.oid]
            self._known.pop(subject.oid, None)
            await self._measure([subject.oid])
            return self._known.pop(subject.oid, None)
        ahead = self._ahead or self._look_ahead(FIRST)
        while subject.oid not in self._known:
            if not ahead.done():
                await asyncio.shield(ahead)
            elif subject.oid in self._upcoming:
                ahead = self._look_ahead(AT_ONCE)
            else:  # one locked object makes the whole query fail
                await self._measure([subject.oid])
                break
        found = self._known.pop(subject.oid, None)
        if self._upcoming and len(self._known) < FIRST and (self._ahead is None or self._ahead.done()):
            self._look_ahead(AT_ONCE)
        return found

    def _look_ahead(self, number: int) -> asyncio.Task[None]:
        to_measure, self._upcoming = self._upcoming[:number], self._upcoming[number:]
        self._ahead = self._begun(self._measure(to_measure))
        return self._ahead

    def _begun(self, look: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(look)
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    async def _measure(self, oids: Sequence[int]) -> None:
        with contextlib.suppress(psycopg.Error, TargetError):
            self._known.update(await self._reader.rows_or_error(query("sizes"), [list(oids)], row=(int, int | None)))

    async def after(self, step: PgStep) -> int | None:
        """The size after the step, measured in a batch; None if it cannot be measured."""
        subject = step.subject
        if subject is None or not step.is_measured:
            return None
        name = qualified(subject.schema, subject.name)
        self._batch.append(name)
        self._steps_left -= 1
        if self._batch_task is None:
            self._batch_is_full.clear()
            self._batch_task = self._begun(self._measure_batch())
        is_large = subject.table_pages >= LARGE
        if is_large or self._steps_left <= 0 or len(self._batch) >= LARGEST_BATCH:
            self._batch_is_full.set()
        elif self._tables[subject.lockable] > 1 and not step.frees_conflict_early:
            asyncio.get_running_loop().call_later(SHORT_BATCH_WAIT, self._batch_is_full.set)
        sizes = await asyncio.shield(self._batch_task)
        return sizes.get(name)

    def dropped(self, step: PgStep) -> int:
        """The size of a dropped index: 0."""
        assert step.subject is not None, "a step without a subject is not measured"  # noqa: S101 - a bug
        self._steps_left -= 1
        self._smaller.add(step.subject.lockable)
        return 0

    async def _measure_batch(self) -> dict[str, int]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BATCH_WAIT):
                await self._batch_is_full.wait()
        names, self._batch, self._batch_task = self._batch, [], None
        with contextlib.suppress(psycopg.Error, TargetError):
            return await self._sizes_now(names)
        sizes: dict[str, int] = {}
        for name in names if len(names) > 1 else ():  # one locked object makes the whole query fail
            with contextlib.suppress(psycopg.Error, TargetError):
                sizes.update(await self._sizes_now([name]))
        return sizes

    async def _sizes_now(self, names: Sequence[str]) -> dict[str, int]:
        rows = await self._reader.rows_or_error(query("sizes_by_name"), [list(names)], row=(str, int | None))
        return {name: size for name, size in rows if size is not None}
