"""What tables and indexes take, before a step and after it: many are measured at once, as each look takes its time.

That is done while other steps run, as far as it can be.
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
from engine.targets.postgres.reading.reader import Reader

_T = TypeVar("_T")

AT_ONCE: Final = 200
FIRST: Final = 4
"""So many are measured before the first step begins, which is the longest; the others while it runs."""
BATCH_WAIT: Final = 0.05
"""Seconds in which those gather at most that are measured together after their steps;"""
SHORT_BATCH_WAIT: Final = 0.015
"""the same where another step of the same table may wait for that;"""
LARGE: Final = 1_000
"""but with a table of so many pages nobody waits: its steps take so long that one look more is nothing beside them."""
LARGEST_BATCH: Final = 32
# Nobody waits long for one that is locked: all the others would wait for the same. It is set for this query only.
_BRIEFLY: Final = "(SELECT pg_catalog.set_config('lock_timeout', '100ms', true)) AS briefly (set)"
_SIZES: Final = f"""
SELECT c.oid::int8, pg_total_relation_size(c.oid)::int8 FROM pg_class AS c JOIN {_BRIEFLY} ON briefly.set <> ''
WHERE c.oid = ANY (%s::oid[])
"""
# By name: a rebuild that is concurrent makes another index of the same name.
_SIZES_NOW: Final = f"""
SELECT name, pg_total_relation_size(to_regclass(name))::int8
FROM unnest(%s::text[]) AS name JOIN {_BRIEFLY} ON briefly.set <> ''
"""


class SizeTracker:
    """Sizes with all that belongs to an object, TOAST and indexes; what is locked by others is not measured."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._upcoming: list[int] = []
        self._known: dict[int, int] = {}
        self._ahead: asyncio.Task[None] | None = None
        """Measures those that come next."""
        self._tables: Counter[int] = Counter()
        """How many steps there are of each table."""
        self._smaller: set[int] = set()
        """Tables that an index was dropped of: what was measured ahead is more than they take."""
        self._steps_left = 0
        self._batch: list[str] = []
        self._batch_task: asyncio.Task[dict[str, int]] | None = None
        """Is going to measure those that have gathered."""
        self._batch_is_full = asyncio.Event()
        self._looks: set[asyncio.Task[Any]] = set()

    async def end(self) -> None:
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    def expect(self, steps: Sequence[PgStep]) -> None:
        """These are going to be asked for, in about this order."""
        subjects = [step.subject for step in steps if step.subject is not None and step.is_measured]
        self._upcoming = [subject.oid for subject in subjects]
        self._steps_left = len(self._upcoming)
        self._tables = Counter(subject.lockable for subject in subjects)
        self._known.clear()

    async def before(self, step: PgStep) -> int | None:
        """What its subject takes, where that can be known now."""
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
            else:  # one that is locked spoils it for all
                await self._measure([subject.oid])
                break
        found = self._known.pop(subject.oid, None)
        if self._upcoming and len(self._known) < FIRST and (self._ahead is None or self._ahead.done()):
            self._look_ahead(AT_ONCE)
        return found

    def _look_ahead(self, number: int) -> asyncio.Task[None]:
        wanted, self._upcoming = self._upcoming[:number], self._upcoming[number:]
        self._ahead = self._begun(self._measure(wanted))
        return self._ahead

    def _begun(self, look: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(look)
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    async def _measure(self, oids: Sequence[int]) -> None:
        with contextlib.suppress(psycopg.Error, TargetError):
            self._known.update(await self._reader.rows_or_error(_SIZES, [list(oids)], row=(int, int | None)))

    async def after(self, step: PgStep) -> int | None:
        """What it takes now, where that can be known: asked for together with those that are over at about the time."""
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
        """The same of an index that is gone."""
        assert step.subject is not None, "a step without a subject is not measured"  # noqa: S101 - a bug of ours
        self._steps_left -= 1
        self._smaller.add(step.subject.lockable)
        return 0

    async def _measure_batch(self) -> dict[str, int]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._batch_is_full.wait(), BATCH_WAIT)
        names, self._batch, self._batch_task = self._batch, [], None
        with contextlib.suppress(psycopg.Error, TargetError):
            return await self._sizes_now(names)
        sizes: dict[str, int] = {}
        for name in names if len(names) > 1 else ():  # one that is locked spoils it for all
            with contextlib.suppress(psycopg.Error, TargetError):
                sizes.update(await self._sizes_now([name]))
        return sizes

    async def _sizes_now(self, names: Sequence[str]) -> dict[str, int]:
        rows = await self._reader.rows_or_error(_SIZES_NOW, [list(names)], row=(str, int | None))
        return {name: size for name, size in rows if size is not None}
