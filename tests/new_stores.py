"""New stores for tests: made by what all migrations together come to, as the migrations take seven times as long."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

from engine.store.sqlite import schema


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """As `schema.migrate` does."""
    if connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None:
        schema.migrate(connection, path)
        return
    for sql in _statements():
        connection.execute(sql)


@cache
def _statements() -> tuple[str, ...]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        schema.migrate(made, "memory")
        objects = made.execute(
            "SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        )
        sequences = made.execute("SELECT name, seq FROM sqlite_sequence")
        return (
            *(sql for (sql,) in objects),
            *(f"INSERT INTO sqlite_sequence VALUES ('{name}', {number})" for name, number in sequences),
            f"PRAGMA application_id = {schema.APPLICATION_ID}",
            f"PRAGMA user_version = {len(schema.migrations())}",
        )
