"""The databases that benchmarks of PostgreSQL copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import psycopg

from tests.postgres_server import PostgresServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """How many rows a database has, and how many of its small tables are dirty afterwards."""

    name: str
    large_rows: int = 0
    """Of one table with five indexes."""
    medium: int = 0
    """Tables of 30,000 rows with two indexes."""
    small: int
    """Tables of a few hundred rows with two indexes."""
    small_rows: int
    dirty: int = 0


LARGE: Final = Content(name="large", large_rows=5_000_000, small=200, small_rows=500)
"""About 430 MB of rows in one table, beside small ones."""
MIXED: Final = Content(name="mixed", large_rows=1_000_000, medium=20, small=200, small_rows=500)
"""All of it is done in a second or two, so that what each step costs besides is seen most."""
LONG: Final = Content(name="long", large_rows=3_000_000, medium=60, small=200, small_rows=500)
MANY: Final = Content(name="many", small=5_000, small_rows=200, dirty=100)
VERY_MANY: Final = Content(name="very_many", small=20_000, small_rows=200, dirty=100)
MEDIUM_ROWS: Final = 30_000
_TOGETHER: Final = 100
"""Tables made in one transaction."""


def fill(server: PostgresServer, content: Content) -> None:
    """Make it: everything vacuumed and analyzed, but for a quarter of the rows of the large table, which is dead."""
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {content.name}")
    with psycopg.connect(server.url(content.name), autocommit=True) as base:
        if content.large_rows:
            base.execute("CREATE TABLE large (id int PRIMARY KEY, a int, b int, c text, d text)")
            base.execute(
                "INSERT INTO large SELECT g, g % 1000, g / 7, 'name ' || g, md5(g::text)"
                f" FROM generate_series(1, {content.large_rows}) AS g"
            )
            for column in "abcd":
                base.execute(f"CREATE INDEX ON large ({column})")
        _make(base, "medium", content.medium, MEDIUM_ROWS)
        _make(base, "small", content.small, content.small_rows)
        base.execute("VACUUM ANALYZE")
        if content.large_rows:
            base.execute("DELETE FROM large WHERE id % 4 = 0")
        for number in range(content.medium):
            base.execute(f"DELETE FROM medium{number} WHERE id % 4 = 0")


def _make(base: psycopg.Connection[tuple[object, ...]], name: str, number: int, rows: int) -> None:
    for first in range(0, number, _TOGETHER):
        with base.transaction():
            for one in range(first, min(first + _TOGETHER, number)):
                base.execute(f"CREATE TABLE {name}{one} (id int PRIMARY KEY, note text)")
                base.execute(f"INSERT INTO {name}{one} SELECT g, 'note ' || g FROM generate_series(1, {rows}) AS g")
                base.execute(f"CREATE INDEX ON {name}{one} (note)")


def make_dirty(server: PostgresServer, database: str, content: Content) -> None:
    """Delete rows in a copy, and let the server know of them."""
    with psycopg.connect(server.url(database), autocommit=True) as copy:
        # VACUUM counts dead rows and the size of TOAST. A copy begins without counters, a real server has them.
        copy.execute("ANALYZE" if content.large_rows else "VACUUM ANALYZE")
        if content.large_rows:
            copy.execute(f"DELETE FROM large WHERE id % 4 = 1 AND id < {content.large_rows // 2}")
        for number in range(content.dirty):
            copy.execute(f"DELETE FROM small{number} WHERE id % 2 = 0")
        copy.execute("SELECT pg_stat_force_next_flush()")
