"""Hostile schemas: triggers, views, virtual tables, generated columns, constraints and indexes, at each operation.

Whatever a file holds, no row of it changes, no other file appears, and what is refused is refused in plain words.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from engine.domain.advice import TargetHistory
from engine.domain.errors import DbtendError
from engine.domain.requests import Operation, Options
from engine.inspection import inspector
from engine.targets import resolve
from engine.targets.sqlite.target import SqliteTarget
from engine.targets.step_execution import StepContext
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import schema_surgery

_LONGEST: Final = 60.0
"""Seconds for one operation on a file of a few pages."""
_BASE: Final = """
CREATE TABLE precious(a INTEGER PRIMARY KEY, b);
INSERT INTO precious VALUES (1, 'x'), (2, 'y'), (3, 'z');
CREATE TABLE note(text);
INSERT INTO note VALUES ('one two'), ('three four');
CREATE VIRTUAL TABLE docs USING fts5(text);
CREATE VIRTUAL TABLE linked USING fts5(text, content='note');
CREATE VIRTUAL TABLE old USING fts4(text);
INSERT INTO linked(linked) VALUES ('rebuild');
"""
_BODIES: Final = (
    "DELETE FROM precious",
    "UPDATE precious SET b = 'evil'",
    "INSERT INTO precious(b) VALUES ('evil')",
    "INSERT INTO docs(docs) VALUES ('delete-all')",
)
_TABLES: Final = tuple(
    f"{index}_{table}"
    for index, tables in (
        ("docs", ("data", "idx", "content", "docsize", "config")),
        ("linked", ("data", "idx", "docsize", "config")),
        ("old", ("content", "segments", "segdir", "docsize", "stat")),
    )
    for table in tables
)
_NAMES: Final = (
    "pragma_page_count", "pragma_page_size", "pragma_auto_vacuum", "pragma_table_xinfo", "pragma_index_list",
    "pragma_index_xinfo", "pragma_table_info", "pragma_encoding", "pragma_compile_options", "dbstat", "json_each",
    "pragma_foreign_key_list", "pragma_synchronous", "pragma_secure_delete",
)  # fmt: skip
_OTHERS: Final = (
    "CREATE TABLE g(a, b AS (hex(zeroblob(20000000))) VIRTUAL, c AS (a || 'x') STORED)",
    "CREATE TABLE k(a CHECK (length(hex(zeroblob(20000000))) > a))",
    "CREATE INDEX computed ON precious(length(hex(zeroblob(10000000))) + a)",
    "CREATE INDEX some ON precious(b) WHERE length(printf('%20000000d', a)) > 3",
    "CREATE VIEW forever AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS text FROM n",
    "CREATE VIRTUAL TABLE endless USING fts5(text, content='forever', content_rowid='text')",
    "CREATE VIEW loads AS SELECT load_extension('/tmp/evil.so')",
    "CREATE TABLE calls(a DEFAULT (load_extension('/tmp/evil.so')), b CHECK (load_extension('/tmp/evil.so') OR b))",
    "CREATE TABLE child(id REFERENCES docs_data(id) ON DELETE CASCADE)",
    "INSERT INTO child SELECT id FROM docs_data",
    "CREATE VIRTUAL TABLE words USING fts5vocab(docs, row)",
    "CREATE VIRTUAL TABLE itself USING fts5(text, content='itself')",
    "CREATE TRIGGER on_note AFTER INSERT ON note BEGIN DELETE FROM precious; END",
)
_SURGERY: Final = (
    "UPDATE sqlite_schema SET rowid = rowid + 1000 WHERE sql LIKE 'CREATE VIRTUAL%'",
    "UPDATE sqlite_schema SET tbl_name = 'precious' WHERE type = 'trigger'",
    "INSERT INTO sqlite_schema VALUES ('view', 'sqlite_stat1', 'sqlite_stat1', 0,"
    " 'CREATE VIEW sqlite_stat1 AS SELECT 1 AS tbl, 2 AS idx, 3 AS stat')",
    "INSERT INTO sqlite_schema VALUES ('view', 'docs_stat', 'docs_stat', 0, 'CREATE VIEW docs_stat AS SELECT 1')",
)


def attack(count: int, seed: int) -> Iterator[str]:
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        with attack_directory() as directory:
            path, made = _database(Path(directory), dice)
            yield from (f"{made}: {finding}" for finding in asyncio.run(_maintained(path)))


def _database(directory: Path, dice: random.Random) -> tuple[Path, list[str]]:
    path = directory / "hostile.db"
    triggers = [
        f"CREATE TRIGGER evil{number} {dice.choice(('AFTER', 'BEFORE'))} {dice.choice(('INSERT', 'DELETE', 'UPDATE'))}"
        f" ON {dice.choice(_TABLES)} BEGIN {dice.choice(_BODIES)}; END"
        for number in range(dice.choice((0, 1, 1, 3)))
    ]
    kinds = ('TABLE "{}"(page_count, page_size, name)', 'VIEW "{}" AS SELECT 7 AS page_count, 3 AS page_size')
    shadowing = [f"CREATE {dice.choice(kinds).format(name)}" for name in dice.sample(_NAMES, dice.randrange(4))]
    surgery = dice.sample(_SURGERY, dice.choice((0, 0, 0, 1)))
    others = [one for one in _OTHERS if dice.random() < 0.25]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(_BASE)
        for number in range(40):
            db.execute("INSERT INTO docs VALUES (?)", (f"word{number}",))
            db.execute("INSERT INTO old VALUES (?)", (f"word{number}",))
        made = []
        for one in chain(shadowing, others, triggers):
            with suppress(sqlite3.Error):  # some need what was not drawn
                db.execute(one)
                made.append(one)
    for one in surgery:
        with closing(sqlite3.connect(path, isolation_level=None)) as db, suppress(sqlite3.Error), schema_surgery(db):
            db.execute(one)
            made.append(one)
    return path, made


async def _maintained(path: Path) -> list[str]:
    before, findings = _rows(path), list[str]()
    with suppress(DbtendError):
        async with asyncio.timeout(_LONGEST):
            await inspector.advise(str(path), TargetHistory(now=0), budget=None)
    for operation in SqliteTarget(str(path)).operations:
        for options in _options(operation, path.parent):
            what = f"{operation.value}{' --force' if options.force else ''}{' --swap' if options.swap else ''}"
            try:
                async with asyncio.timeout(_LONGEST):
                    await _run(path, operation, options)
            except DbtendError:
                pass
            except TimeoutError:
                findings.append(f"{what} takes longer than {_LONGEST:g} s")
            except Exception as error:
                findings.append(f"{what}: {type(error).__name__}: {error}")
            if (after := _rows(path)) != before:
                findings.append(f"{what} changed rows: {before} became {after}")
                return findings
    with suppress(FileNotFoundError):
        (path.parent / "copy.db").unlink()
    if others := [one.name for one in path.parent.iterdir() if not one.name.startswith(path.name)]:
        findings.append(f"left {others}")
    return findings


def _options(operation: Operation, directory: Path) -> list[Options]:
    if operation is Operation.VACUUM:
        return [Options(), Options(force=True), Options(swap=True, force=True)]
    return [Options(backup_to=str(directory / "copy.db")) if operation is Operation.BACKUP else Options()]


async def _run(path: Path, operation: Operation, options: Options) -> None:
    target = resolve(str(path))
    async with stepwise(target.connect(lock_timeout=5, writing=target.operations[operation].writes)) as session:
        planned = await session.plan(operation, options)
        for step in planned.steps:
            await session.execute(step, StepContext())


def _rows(path: Path) -> object:
    """What must stay; with the schema as the file has it, also where SQLite refuses to read it."""
    with closing(sqlite3.connect(path)) as db:
        try:
            return [
                db.execute(f"SELECT count(*), group_concat(quote({column})) FROM {table}").fetchall()
                for table, column in (
                    ("precious", "b"),
                    ("note", "text"),
                    ("docs_content", "c0"),
                    ("old_content", "c0text"),
                )
            ]
        except sqlite3.Error as error:
            return str(error)
