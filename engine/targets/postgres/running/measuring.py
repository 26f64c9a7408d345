"""What tables and indexes take, before a step and after it: many are measured at once, as each look takes its time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import psycopg

from engine.errors import TargetError
from engine.targets.postgres.connection.names import qualified
from engine.targets.postgres.planning.steps import PgStep, Subject
from engine.targets.postgres.reading.reader import Reader

AT_ONCE: Final = 200
_SIZES: Final = """
SELECT c.oid::int8, pg_total_relation_size(c.oid)::int8, coalesce(pg_stat_get_dead_tuples(c.oid)::float8
    / nullif(pg_stat_get_live_tuples(c.oid) + pg_stat_get_dead_tuples(c.oid), 0), 0)
FROM pg_class AS c WHERE c.oid = ANY (%s::oid[])
"""
# By name: a rebuild that is concurrent makes another index of the same name.
_SIZE_NOW: Final = "SELECT pg_total_relation_size(to_regclass(%s))::int8"


class Measured:
    """Sizes with all that belongs to an object, TOAST and indexes; what is locked by others is not measured."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._coming: list[int] = []
        self._known: dict[int, tuple[int, float]] = {}

    def expect(self, steps: Sequence[PgStep]) -> None:
        """These are going to be asked for, in about this order."""
        self._coming = [step.subject.oid for step in steps if step.subject is not None]
        self._known.clear()

    async def before(self, subject: Subject | None) -> tuple[int | None, float]:
        """What it takes, where that can be known now; and the share of its rows that is dead."""
        if subject is None:
            return None, 0.0
        if subject.oid not in self._known:
            wanted = [subject.oid, *self._coming[:AT_ONCE]]
            del self._coming[:AT_ONCE]
            await self._measure(wanted)
            if subject.oid not in self._known:  # one that is locked spoils it for all
                await self._measure([subject.oid])
        return self._known.pop(subject.oid, (None, 0.0))

    async def _measure(self, oids: Sequence[int]) -> None:
        with contextlib.suppress(psycopg.Error, TargetError):
            for oid, size, dead_share in await self._reader.rows_or_error(_SIZES, [list(oids)]):
                self._known[oid] = size, dead_share

    async def after(self, subject: Subject | None) -> int | None:
        if subject is not None:
            with contextlib.suppress(psycopg.Error, TargetError):
                name = qualified(subject.schema, subject.name)
                ((size,),) = await self._reader.rows_or_error(_SIZE_NOW, [name])
                return None if size is None else int(size)
        return None
