"""What becomes of a schema that is made again, as VACUUM must: what this process cannot make, and what differs. Uses
empty databases.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Final

from engine.targets.sqlite.connection.errors import is_missing_code
from engine.targets.sqlite.queries import query

_MOST_OPCODES: Final = 1_000_000
"""A statement that goes on for longer is no plain CREATE: a hostile schema may hold any query."""
_MAY_CALL: Final = re.compile(r"\b(check|as|where|collate)\b|\(.*\(", re.IGNORECASE | re.DOTALL)
"""What may call code: a constraint, generated column or collation of a table, an expression of an index."""


def may_call_code(schema: Iterable[tuple[str, str, str]]) -> bool:
    """Whether anything of it may need code that only its application has."""
    return any(_MAY_CALL.search(sql) for _, _, sql in schema)


def cannot_be_made(schema: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """The tables and indexes that need code which only their application has, each with what SQLite says.

    `schema`: tables, and then indexes, with the table of each, and its SQL.
    """
    return [
        (name, str(error))
        for statements in _by_table(schema).values()
        if any(_MAY_CALL.search(sql) for _, sql in statements)
        for name, error in _made(statements)[0]
        if isinstance(error, sqlite3.Error) and is_missing_code(error)
    ]


def with_descending_index(schema: Iterable[tuple[str, str, str]]) -> list[str]:
    """The tables of a schema with an index that descends, and those that cannot be made. `schema`: see above."""
    made = {table: _made(statements) for table, statements in _by_table(schema).items()}
    return [table for table, (errors, descends) in made.items() if errors or descends]


def _by_table(schema: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[str, str]]]:
    by_table: dict[str, list[tuple[str, str]]] = {}
    for table, name, sql in schema:
        by_table.setdefault(table, []).append((name, sql))
    return by_table


def _made(statements: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, Exception]], bool]:
    """Make a table and its indexes. Returns what cannot be made, and whether one of the indexes descends."""
    errors: list[tuple[str, Exception]] = []
    # Another database for each table: making a table takes longer the more there are.
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        scratch.execute("PRAGMA trusted_schema = OFF")
        scratch.set_progress_handler(lambda: 1, _MOST_OPCODES)
        for name, sql in statements:
            try:
                scratch.execute(sql)
            except (sqlite3.Error, ValueError, UnicodeError) as error:
                errors.append((name, error))
        return errors, bool(scratch.execute(query("has_descending_index")).fetchone()[0])
