"""Warnings about damage that the last check found."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation
from engine.targets.sqlite.planning import operation_specs
from engine.targets.sqlite.reading.reader import Reader


async def known_damage(reader: Reader, operations: Sequence[Operation], past: TargetHistory) -> tuple[str, ...]:
    """The warnings that these operations may make known damage worse."""
    if past.damage is not None:
        return operation_specs.damage_warnings(operations, past.damage_found)
    damaged = await damaged_indexes(reader, past)
    return operation_specs.remarks(operations, damaged) if damaged else ()


async def damaged_indexes(reader: Reader, past: TargetHistory) -> list[str]:
    """The indexes that are known to be damaged and still exist."""
    if not past.damaged_indexes:
        return []
    existing = {index.name for table in await reader.tables_uncounted() for index in table.indexes}
    return [name for name in past.damaged_indexes if name in existing]
