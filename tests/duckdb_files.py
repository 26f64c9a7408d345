"""DuckDB files for tests, made and used by processes of their own: within one process its locks mean nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RUNS = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads")
for sql in sys.argv[3:]:
    rows = connection.execute(sql).fetchall()
print("ready", rows, flush=True)
"""
_STAYS = f"{_RUNS}sys.stdin.read()\n"
_MADE = (
    "CREATE TYPE mood AS ENUM ('glad', 'sad')",
    "CREATE SEQUENCE numbers START 5",
    "CREATE TABLE item (id INTEGER PRIMARY KEY, note VARCHAR, price DOUBLE, feels mood, parts INTEGER[])",
    "INSERT INTO item SELECT i, 'note ' || i, i / 7, ['glad', 'sad'][i % 2 + 1]::mood, [i, i + 1]"
    " FROM range({rows}) AS t(i)",
    "CREATE INDEX item_note ON item (note)",
    "CREATE VIEW dear AS SELECT * FROM item WHERE price > 10",
    "CREATE MACRO twice(a) AS a * 2",
    "CREATE SCHEMA other",
    'CREATE TABLE other."odd "" name" (a INTEGER DEFAULT nextval(\'numbers\'), b INTEGER CHECK (b > 0))',
    'INSERT INTO other."odd "" name" (b) VALUES (1), (2)',
    "COMMENT ON TABLE item IS 'what we sell'",
    "COMMENT ON COLUMN item.note IS 'in words'",
)
_FREED = (
    "CREATE TABLE much AS SELECT i, hash(i) AS h, md5(i::VARCHAR) AS m FROM range(400000) AS t(i)",
    "CHECKPOINT",
    "DROP TABLE much",
)


def make_duckdb(path: Path, *, rows: int = 5_000, is_bloated: bool = False) -> Path:
    """A database with all kinds of objects; `is_bloated`: most of it are free blocks."""
    run_sql(path, *(command.replace("{rows}", str(rows)) for command in _MADE), *(_FREED if is_bloated else ()))
    return path


def run_sql(path: Path, *commands: str) -> str:
    """Run these as another process; returns the rows of the last, as text."""
    done = subprocess.run(
        [sys.executable, "-c", _RUNS, str(path), "writes", *commands], capture_output=True, text=True, check=True
    )
    return done.stdout.removeprefix("ready ").strip()


@contextmanager
def opened_elsewhere(path: Path, *commands: str, reads: bool = False) -> Iterator[int]:
    """The id of a process that has it open, after these commands, until the end."""
    arguments = [sys.executable, "-c", _STAYS, str(path), "reads" if reads else "writes", *(commands or ("SELECT 1",))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield process.pid
        process.stdin.close()
        process.wait()


CONTENT = (
    'SELECT (SELECT (count(*), sum(hash(*COLUMNS(*)))) FROM item), (SELECT list(t) FROM other."odd "" name" AS t),'
    " (SELECT list((sequence_name, last_value)) FROM duckdb_sequences()), (SELECT comment FROM duckdb_tables()"
    " WHERE table_name = 'item'), (SELECT count(*) FROM dear), twice(4)"
)


def content(path: Path) -> str:
    """All that must survive, as text."""
    done = subprocess.run(
        [sys.executable, "-c", _RUNS, str(path), "reads", CONTENT], capture_output=True, text=True, check=True
    )
    return done.stdout
