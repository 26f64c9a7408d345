"""Compares table and index where a check found that the two disagree: it shows whether REINDEX would lose anything.

An index holds no more entries than its table has rows, and nothing that is in no row. If it does, the table may have
lost rows or values: then REINDEX would remove the last trace of them.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from typing import Final

from engine.targets.sqlite.connection.errors import is_damage, is_missing_code
from engine.targets.sqlite.connection.names import literal
from engine.targets.sqlite.running.check_findings import Findings
from engine.targets.sqlite.running.surplus import (
    COLUMNS,
    COLUMNS_OF_TABLE,
    LAST_TRACE,
    columns_held,
    entries_in,
    entries_of_no_row,
    rows_in,
)
from engine.targets.sqlite.running.work import Work

_WRONG_NUMBER: Final = "wrong # of entries in index "
_MISSING: Final = re.compile(r"row \d+ missing from index (?P<index>.*)", re.DOTALL)
_TABLE_OF: Final = """SELECT tbl_name,
    (SELECT max(partial) FROM temp.pragma_index_list(tbl_name, 'main') WHERE name = {0})
FROM main.sqlite_schema WHERE type = 'index' AND name = {0}"""


async def with_row_counts(work: Work, found: Findings) -> Findings:
    """The findings with these counts. An index that has more entries than its table is not to be rebuilt."""
    for name in found.indexes:
        if not any(sentence == _WRONG_NUMBER + name or _is_missing(sentence, name) for sentence in found.sentences):
            continue  # its pages are damaged, and its table was read to its end
        try:
            text, is_surplus = await _compared(work, name, found)
        except sqlite3.Error as error:  # locked or cancelled: what the check found counts all the same
            text, is_surplus = f"the rows of index {name} were not counted: {error}", True
        if is_surplus:
            text += f"; {LAST_TRACE}"
            indexes = tuple(index for index in found.indexes if index != name)
            found = replace(found, indexes=indexes, damage=found.damage or text, sentences=(*found.sentences, text))
        elif text:
            found = replace(found, counts=(*found.counts, text))
    return found


async def _compared(work: Work, name: str, found: Findings) -> tuple[str, bool]:
    """What was counted, as text, and whether the index may have entries of rows that its table has lost."""
    of_index = await work.rows_when_free(_TABLE_OF.format(literal(name)))
    if len(of_index) != 1:
        return "", False  # a name that is no text: all indexes are rebuilt at once
    ((table, is_partial),) = of_index
    try:
        ((rows,),) = await work.rows_when_free(rows_in(table))
    except sqlite3.Error as error:
        if not (is_damage(error) or is_missing_code(error)):
            raise
        return f"the table of index {name} cannot be counted", True
    if is_partial:
        is_short = any(_is_missing(sentence, name) for sentence in found.sentences)
        return f"{table} has {rows:,} rows, of which its index {name} holds some", not is_short
    try:
        ((entries,),) = await work.rows_when_free(entries_in(name, table))
    except sqlite3.Error as error:
        if not (is_damage(error) or is_missing_code(error)):
            raise
        return f"{table} has {rows:,} rows, its index {name} cannot be counted", False
    text = f"{table} has {rows:,} rows, its index {name} {entries or 0:,} entries"
    if (entries or 0) > rows:
        return text, True
    of_no_row = await _of_no_row(work, name, table)
    return (f"{text}, {of_no_row:,} of which hold what no row has", True) if of_no_row else (text, False)


async def _of_no_row(work: Work, name: str, table: str) -> int:
    """How many entries of an index hold values that are not in the row that they name; 0 where that cannot be told."""
    columns = await work.rows_when_free(COLUMNS.format(literal(name)))
    of_table = await work.rows_when_free(COLUMNS_OF_TABLE.format(literal(table)))
    if not (held := columns_held(columns, of_table)):
        return 0
    try:
        ((number,),) = await work.rows_when_free(entries_of_no_row(held, name, table))
    except sqlite3.Error as error:
        if not (is_damage(error) or is_missing_code(error)):
            raise
        return 0
    return int(number)


def _is_missing(sentence: str, name: str) -> bool:
    match = _MISSING.fullmatch(sentence)
    return match is not None and match["index"] == name
