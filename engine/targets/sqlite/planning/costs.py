"""What a step is expected to take: opcodes, exactly enough to tell its progress by, and seconds, roughly.

The opcodes are those of the programs that SQLite 3.46 compiles, per row; later versions differ by little. The seconds
are those of an ordinary machine with a warm page cache. They weigh steps against each other, and stand for an estimate
where a target has no history of its own.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from engine.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.targets.sqlite.reading.catalog import Index, Table

SHORTEST: Final = 0.001
"""Seconds: even nothing takes a transaction."""
_REINDEX: Final = 75e-9  # seconds for an opcode
_ANALYZE: Final = 8e-9
_QUICK_CHECK: Final = 13e-9
_FULL_CHECK: Final = 100e-9
_FOREIGN_KEYS: Final = 90e-9
_PAGE: Final = 2.9e-6  # seconds for looking at the structure of a page, which is one opcode
_VACUUM: Final = 7e-9  # seconds for a byte
_VACUUM_IN_MEMORY: Final = 5.5e-9
_COPY: Final = 2.7e-9
_COPY_CHECK: Final = 1.5e-9
_CHECKPOINT: Final = 0.4e-9


@frozen
class Cost:
    seconds: float | None = None
    """None where nothing is known."""
    course: tuple[tuple[float, float], ...] = ()
    """How many opcodes are executed after so many seconds, (opcodes, seconds), from the start to the end; empty where
    its progress cannot be told by them."""


def reindex(index: Index) -> Cost:
    """A partial index is taken to hold next to nothing: how much it does hold is not known."""
    return _cost([_part(index.rows, 3 if index.partial else index.columns + (9 if index.unique else 7), _REINDEX)])


def analyze(table: Table, limit: int | None = None) -> Cost:
    """Of all rows, or of the first `limit` of each index. A table without an index is merely counted: one opcode."""
    rows = table.rows if table.rows is None or limit is None else min(table.rows, limit)
    return _cost([_part(rows, sum(map(_analyzed, table.indexes)), _ANALYZE)])


def quick_check(tables: Iterable[Table], pages: int = 0) -> Cost:
    """Of these tables; with the structure of all `pages` of the file where all of it is checked."""
    return _cost([_structure(pages), *(_part(table.rows, _checked(table), _QUICK_CHECK) for table in tables)])


def full_check(tables: Iterable[Table], pages: int = 0) -> Cost:
    """As `quick_check`, and of all their indexes against the tables."""
    return _cost([_structure(pages), *(_part(table.rows, _compared(table), _FULL_CHECK) for table in tables)])


def foreign_keys(tables: Iterable[Table], keys: Mapping[str, int]) -> Cost:
    """`keys`: how many foreign keys a table has, by its name; each row looks its parent up."""
    return _cost(
        [_part(table.rows, 1 + 4 * keys[table.name], _FOREIGN_KEYS) for table in tables if keys.get(table.name)]
    )


def vacuum(volume: int, *, in_memory: bool) -> Cost:
    """Of `volume` bytes in pages that are not free; `in_memory` says where the temporary files are."""
    return Cost(seconds=SHORTEST + volume * (_VACUUM_IN_MEMORY if in_memory else _VACUUM))


def copy(volume: int) -> Cost:
    return Cost(seconds=SHORTEST + volume * _COPY)


def copy_check(volume: int) -> Cost:
    """Of the quick check of a copy of so many bytes."""
    return Cost(seconds=SHORTEST + volume * _COPY_CHECK)


def checkpoint(volume: int) -> Cost:
    """Of a write-ahead log through which `volume` bytes have gone: most of them have been written back meanwhile."""
    return Cost(seconds=SHORTEST + volume * _CHECKPOINT)


def _analyzed(index: Index) -> float:
    if index.partial:
        return 0.5
    return 3 if index.unique and index.columns <= 2 else index.columns + 4


def _checked(table: Table) -> float:
    return 2 + table.columns + (2 if table.without_rowid else 0)


def _compared(table: Table) -> float:
    return _checked(table) + sum(
        5 if index.partial else index.columns + (7 if index.unique else 4) for index in table.indexes
    )


Part = tuple[float, float]
"""Opcodes and seconds."""


def _structure(pages: int) -> Part | None:
    return (pages, pages * _PAGE) if pages else None


def _part(rows: int | None, opcodes_a_row: float, seconds: float) -> Part | None:
    return None if rows is None else (rows * opcodes_a_row, rows * opcodes_a_row * seconds)


def _cost(parts: Iterable[Part | None]) -> Cost:
    """Of parts one after the other. What is not known of some of them is left out."""
    known = [part for part in parts if part is not None]
    if not known:
        return Cost()
    course = tuple(accumulate(known, lambda sum_, part: (sum_[0] + part[0], sum_[1] + part[1]), initial=(0.0, 0.0)))
    return Cost(seconds=SHORTEST + course[-1][1], course=course if course[-1][1] else ())
