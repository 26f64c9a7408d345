"""What a step is expected to take: opcodes, exactly enough to tell its progress by, and seconds, roughly.

The opcodes are those of the programs that SQLite 3.46 compiles, per row; later versions differ by little. The seconds
are those of an ordinary machine with a warm page cache. They weigh steps against each other, and stand for an estimate
where a target has no history of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.sqlite.planning.tuning import MOST_CHANGES
from engine.targets.sqlite.reading.catalog import Index, Table, Texts

SHORTEST: Final = 0.001
"""Seconds: even nothing takes a transaction."""
A_PAGE: Final = 2.9e-6
"""Seconds for looking at the structure of a page, which is one opcode."""
_AN_EMPTY_PAGE: Final = 0.65e-6  # seconds for the structure of a page without anything on it
_A_ROW: Final = 5e-9  # seconds for each row on a page, and for each entry of an index: these are not in order there
_AN_ENTRY: Final = 30e-9
_ENTRY_READ: Final = 40e-9  # seconds for an opcode that reads and sorts entries, those in order, and whole rows
_IN_ORDER_READ: Final = 22e-9
_ROW_READ: Final = 30e-9
_BYTE_SORTED: Final = 20e-9  # seconds for a byte that is sorted at once, beyond what the processor keeps close
_KEPT_CLOSE: Final = 2 << 20
_PAGES_SORTED: Final = 250  # that many are sorted at once
_ENTRY_WRITTEN: Final = 12e-9  # seconds for an opcode that writes entries, and for a byte
_BYTE_WRITTEN: Final = 2e-9
_PAGE_REMOVED: Final = 6e-6  # seconds for a page of the old index, which goes into the journal, and for a byte
_BYTE_REMOVED: Final = 2.7e-9
_PAGE_COMMITTED: Final = 8e-6  # seconds for a page that is written at the end, and for a byte
_BYTE_COMMITTED: Final = 2.2e-9
_REINDEX_A_BYTE: Final = 7.5e-9  # seconds for a byte of the index and its table
_ANALYZE: Final = 8e-9
_QUICK_CHECK: Final = 17e-9
_FULL_CHECK: Final = 100e-9
_TEXT_ROW_OPCODES: Final = 13.4
_A_WORD_READ: Final = 26e-9
_A_WORD_FOUND: Final = 39e-9  # in the full-text index, almost without opcodes
_FOREIGN_KEYS: Final = 90e-9
_COPY_CHECK: Final = 1.5e-9
_COMPARISON: Final = 11e-9
_CHECKPOINT: Final = 0.4e-9
_IN_ORDER: Final = 3  # opcodes that look whether a row comes after the one before
_EACH: Final = 20e-6  # seconds for an index that is rebuilt, however small
_EACH_LOOKED_AT: Final = 6e-6  # seconds for a table that is analyzed or checked, however small
_EACH_OPCODES: Final = 24
_ANALYZE_A_BYTE: Final = 1e-9  # seconds for a byte of all tables together, at most
_RELOADED: Final = 1.5e-6  # seconds for each table when all statistics are reloaded, after every ANALYZE
_FOUND_IN_SCHEMA: Final = 5e-9  # seconds for each table or index that SQLite skips to find one


@frozen
class Cost:
    seconds: float | None = None
    """None where nothing is known."""
    course: tuple[tuple[float, float], ...] = ()
    """Points (opcodes, seconds) from the start to the end; empty if opcodes cannot measure
    its progress."""


def reindex(index: Index, volume: int, page_size: int, *, in_order: float = 0.0) -> Cost:
    """The cost of a REINDEX of an index of `volume` bytes, or of a table without rowid. `in_order`: the share of its
    entries that are in the order of their rows, and need less sorting.

    The last three points of its course are without opcodes: between reading and writing, the old pages are removed,
    and the entries read last are sorted; at the end it is committed. A partial index is taken to hold next to nothing:
    how much it does hold is not known.
    """
    if index.partial or index.rows is None:
        return _cost([_part(index.rows, 3, _ENTRY_READ, _EACH)])
    reading, writing = index.rows * (index.columns + 3), index.rows * (6 if index.unique else 4) + _EACH_OPCODES
    sorted_at_once = min(volume, max(_PAGES_SORTED * page_size, _KEPT_CLOSE))
    of_an_index = _ENTRY_READ + in_order * (_IN_ORDER_READ - _ENTRY_READ)
    read = reading * (_ROW_READ if index.is_table else of_an_index)
    written = read + writing * _ENTRY_WRITTEN + volume * _BYTE_WRITTEN
    removed = written + volume * (_PAGE_REMOVED / page_size + _BYTE_REMOVED)
    sorted_last = removed + max(sorted_at_once - _KEPT_CLOSE, 0) * _BYTE_SORTED
    whole = sorted_last + min(volume, MOST_CHANGES) * (_PAGE_COMMITTED / page_size + _BYTE_COMMITTED)
    silent = ((reading + writing, seconds) for seconds in (written, removed, sorted_last, whole))
    return Cost(seconds=SHORTEST + _EACH + whole, course=((0.0, 0.0), (reading, read), *silent) if reading else ())


def reindex_of(volume: int) -> Cost:
    """The cost of a REINDEX of an index of `volume` bytes."""
    return Cost(seconds=SHORTEST + _EACH + volume * _REINDEX_A_BYTE)


def analyze(table: Table, limit: int | None = None) -> Cost:
    """The cost of an ANALYZE of all rows, or of the first `limit` of each index. Without an index: one opcode."""
    rows = table.rows if table.rows is None or limit is None else min(table.rows, limit)
    return _cost([_part(rows, sum(map(_analyzed, table.indexes)), _ANALYZE, _EACH_LOOKED_AT)])


def analyze_all(volume: int, tables: int) -> Cost:
    """The cost of one ANALYZE of all tables, in `volume` bytes, at most."""
    return Cost(seconds=SHORTEST + volume * _ANALYZE_A_BYTE + tables * _EACH_LOOKED_AT)


def analyze_course(tables: Iterable[Table], limit: int | None = None) -> tuple[tuple[float, float], ...]:
    """The course of one ANALYZE of all these tables."""
    ends = [course[-1] for table in tables if (course := analyze(table, limit).course)]
    return ((0.0, 0.0), (sum(opcodes for opcodes, _ in ends), sum(seconds for _, seconds in ends))) if ends else ()


def reloading(tables: int) -> float:
    """Seconds that SQLite takes after each ANALYZE to read all statistics, whatever was analyzed."""
    return tables * _RELOADED


def finding(parts: int, objects: int) -> float:
    """Seconds to find so many tables, one by one, in a schema of so many objects."""
    return parts * objects * _FOUND_IN_SCHEMA


def quick_check(tables: Sequence[Table], pages: int = 0, texts: Sequence[Texts] = ()) -> Cost:
    """The cost of checking these tables; with the structure of all `pages`, and full-text indexes, if the whole file is
    checked."""
    return _cost(
        [_structure(pages, tables), *(_checking(table, compared=False) for table in tables), *_of_texts(texts)]
    )


def full_check(tables: Sequence[Table], pages: int = 0, texts: Sequence[Texts] = ()) -> Cost:
    """The cost of a quick check, and of comparing all indexes with their tables."""
    return _cost([_structure(pages, tables), *(_checking(table, compared=True) for table in tables), *_of_texts(texts)])


def foreign_keys(tables: Iterable[Table], keys: Mapping[str, int]) -> Cost:
    """`keys`: how many foreign keys a table has, by its name; each row looks its parent up."""
    return _cost(
        [_part(table.rows, 1 + 4 * keys[table.name], _FOREIGN_KEYS) for table in tables if keys.get(table.name)]
    )


def copy_check(volume: int) -> Cost:
    """The cost of the quick check of a copy of `volume` bytes."""
    return Cost(seconds=SHORTEST + volume * _COPY_CHECK)


def comparison(volume: int) -> float:
    """Seconds to read and hash so many bytes, and those of their copy."""
    return SHORTEST + volume * _COMPARISON


def reading_twice(tables: Iterable[Table]) -> tuple[tuple[float, float], ...]:
    """The course of reading all rows of these tables, and once more those of their copies."""
    parts = [_part(table.rows, table.columns + 2, _COMPARISON) for table in tables]
    return _cost([*parts, *parts]).course


def checkpoint(volume: int) -> Cost:
    """The cost of a write-ahead log after `volume` written bytes. Most are back in the file already."""
    return Cost(seconds=SHORTEST + volume * _CHECKPOINT)


def _analyzed(index: Index) -> float:
    if index.partial:
        return 0.5
    return 3 if index.unique and index.columns <= 2 else index.columns + 4


def _checked(table: Table) -> float:
    return 2 + table.columns + (2 if table.without_rowid else 0)


def _compared(table: Table) -> float:
    return sum(5 if index.partial else index.columns + (7 if index.unique else 4) for index in table.indexes)


Part = tuple[float, float]
"""Opcodes and seconds."""


def _structure(pages: int, tables: Iterable[Table]) -> Part | None:
    rows = sum(table.rows or 0 for table in tables)
    entries = sum((table.rows or 0) * len(table.indexes) for table in tables)
    seconds = pages * _AN_EMPTY_PAGE + rows * _A_ROW + entries * _AN_ENTRY if rows else pages * A_PAGE
    return (pages, seconds) if pages else None


def _checking(table: Table, *, compared: bool) -> Part | None:
    """Row by row; if it is `compared` with its indexes, with a search in each of them, and where it has no rowid, in
    order."""
    opcodes = table.checked or _checked(table)
    searching = _compared(table) if table.compared is None else table.compared - opcodes
    if compared and table.without_rowid:
        opcodes, searching = opcodes + _IN_ORDER, searching - _IN_ORDER
    checked = _part(table.rows, opcodes, _QUICK_CHECK, _EACH_LOOKED_AT)
    searched = _part(table.rows, max(searching, 0), _FULL_CHECK) if compared else None
    return checked if checked is None or searched is None else (checked[0] + searched[0], checked[1] + searched[1])


def _of_texts(texts: Sequence[Texts]) -> tuple[Part, ...]:
    """All texts first, then all indexes, though SQLite takes one index after the other."""
    rows, words = sum(text.rows for text in texts), sum(text.words for text in texts)
    return ((rows * _TEXT_ROW_OPCODES, words * _A_WORD_READ), (0.0, words * _A_WORD_FOUND)) if words else ()


def _part(rows: int | None, opcodes_a_row: float, seconds: float, each: float = 0.0) -> Part | None:
    """`seconds`: for an opcode. `each`: those that it takes without any row."""
    if rows is None:
        return None
    return rows * opcodes_a_row + (_EACH_OPCODES if each else 0), rows * opcodes_a_row * seconds + each


def _cost(parts: Iterable[Part | None]) -> Cost:
    """The cost of parts one after the other. Unknown ones are left out."""
    known = [part for part in parts if part is not None]
    if not known:
        return Cost()
    if len(known) == 1:
        return Cost(SHORTEST + known[0][1], ((0.0, 0.0), known[0]) if known[0][1] else ())
    course = tuple(accumulate(known, lambda sum_, part: (sum_[0] + part[0], sum_[1] + part[1]), initial=(0.0, 0.0)))
    return Cost(seconds=SHORTEST + course[-1][1], course=course if course[-1][1] else ())
