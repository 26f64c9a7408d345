"""Stores that are damaged, come from elsewhere, or were changed by hand: every command on each of them."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from benchmarks.attack.calls import FieldMessage, called, faults, forked
from benchmarks.attack.directories import attack_directory
from benchmarks.attack.mutations import OF_BYTES, Mutation
from engine import Engine, JobId, Operation, Options, Request
from engine.store.sqlite.schema import drop_triggers
from tests.engine.store.loosened import loosen, restore_triggers
from tests.sqlite_files import make_database

COMMANDS: Final = (
    "history", "history --json", "history --status failed --grep o", "show 1", "show 1 --json", "show 2", "show 3.1",
    "show 4 --json", "workers", "workers --json", "doctor", "doctor --json", "advise {sales}", "plan {sales}",
    "plan {sales} --json", "prune --dry-run", "history --read-only", "pin 1", "unpin 1",
    "cancel 3", "retry 2", "run {sales} --op analyze", "run {sales} --op check --json", "worker --idle-exit 0.1",
    "prune", "show 3", "show 5 --json", "pause", "resume",
)  # fmt: skip
KEYS: Final = ("3", "down", "down", "enter", "escape", "h", "down", "enter", "escape", "escape", "w", "escape", "1")


def attack(count: int, seed: int, commands: Sequence[str] = COMMANDS, *, console: bool = True) -> Iterator[str]:
    with attack_directory() as directory:
        home = Path(directory)
        sales = make_database(home / "sales.db", rows=200)
        origin = home / "origin.db"
        forked(lambda: asyncio.run(_make(origin, sales)) or 0)
        for number in range(count):
            yield from _attack_one(home, origin, sales, random.Random(seed * 1_000_003 + number), commands, console)


def _attack_one(
    home: Path, origin: Path, sales: Path, dice: random.Random, commands: Sequence[str], console: bool
) -> list[str]:
    store = home / "jobs.db"
    for path in home.glob("jobs.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copy(origin, store)
    how = "; ".join(dice.choice(MUTATIONS)(store, dice) for _ in range(dice.choice((1, 1, 1, 2, 4))))
    shutil.copy(store, home / "mutant.db")
    found = []
    for command in commands:
        argv = command.format(sales=sales).split()
        found += faults(argv, called(argv, home))
    if console:
        shutil.copy(home / "mutant.db", store)
        found += _faults_of_console(store, forked(lambda: asyncio.run(_console(store, sales))))
    return [f"{how}: {fault}" for fault in found]


async def _make(path: Path, sales: Path) -> None:
    """A store with jobs of every kind: completed, failed, cancelled, pending, and one of a dead process."""
    async with Engine.open(path, workers=1) as engine:
        for operations in ((Operation.VACUUM, Operation.ANALYZE), (Operation.CHECK,), (Operation.BACKUP,)):
            (job,) = await engine.submit([Request(target=str(sales), operations=operations)])
            await engine.wait([job.id])
    async with Engine.open(path) as engine:
        (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.REINDEX,))])
        await engine.cancel(JobId(job.id))
        waiting = Request(target=str(sales), operations=(Operation.OPTIMIZE,), options=Options(until="23:59"))
        await engine.submit([waiting])
    with closing(sqlite3.connect(path)) as store:
        store.execute("UPDATE child_job SET error = 'no such table', warnings = '[\"w\"]' WHERE parent_id = 2")
        store.execute("PRAGMA journal_mode = delete")
        store.commit()


async def _console(store: Path, sales: Path) -> int:
    from engine.config.model import TargetEntry
    from engine.domain.errors import StoreError
    from tests.tui.console.harness import Clock, open_console

    try:
        async with open_console(
            store, TargetEntry(name="sales", url=str(sales)), clock=Clock(), settled=False
        ) as console:
            async with asyncio.timeout(20):
                for key in KEYS:
                    await console.pilot.press(key)
                    await console.pilot.pause(0.02)
    except StoreError as error:
        print(error)
    return 0


def _faults_of_console(store: Path, said: FieldMessage) -> list[str]:
    return [fault.replace("dbtend", "console", 1) for fault in faults(["console", str(store)], said)] + (
        [f"console {said.err[-600:]!r}"] if said.code else []
    )


def _foreign(store: Path, _: random.Random) -> str:
    store.unlink()
    with closing(sqlite3.connect(store)) as other:
        other.executescript("CREATE TABLE item (id); INSERT INTO item VALUES (1)")
    return "another application's"


def _version(store: Path, dice: random.Random) -> str:
    version = dice.choice((-1, 0, 1, 3, 99, 2**31 - 1))
    return _sql(store, f"PRAGMA user_version = {version}")


def _schema(store: Path, dice: random.Random) -> str:
    with closing(sqlite3.connect(store)) as db:
        names = _rows(db, "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        tables = [name for kind, name, _ in names if kind == "table"]
    if not tables:
        return "no table"
    kind, name, _ = dice.choice(names)
    table = dice.choice(tables)
    return _sql(store, dice.choice((
        f"DROP {kind} IF EXISTS {name}", f"ALTER TABLE {table} RENAME TO gone", f"DELETE FROM {table}",
        f"ALTER TABLE {table} ADD COLUMN more", f"CREATE VIEW v AS SELECT * FROM {table}",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807", "DELETE FROM sqlite_sequence",
        f"DROP TABLE {table}; CREATE VIEW {table} AS SELECT 1",
        f"DROP TABLE {table}; CREATE TABLE {table} (a)",
        "CREATE TRIGGER evil AFTER INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END",
    )))  # fmt: skip


def _rows(db: sqlite3.Connection, sql: str) -> list[Any]:
    with suppress(sqlite3.Error, UnicodeDecodeError):  # a damaged schema need not be UTF-8, nor an error about it
        return db.execute(sql).fetchall()
    return []


EVIL: Final[Sequence[object]] = (
    None, -1, 0, 1, 7, 2**63 - 1, -(2**63), 10**18, 2**53, 1e308, -1e308, float("inf"), "", "x", "completed",
    "running", "pending", "vacuum", "\x1b]0;owned\x07\x1b[2J", "a\u202eb\u2066c", "\x9b31m", "a\0b", b"\xff\xfe\x00",
    "[", "{}", "[1]", "null", '"a"', "1e999", "[" * 900 + "]" * 900, "[" * 100_000, '{"size": "x"}',
    '{"size": -1}', '{"size": 1e400}', '{"size": {"a": [1]}, "pages": null, "waited": "long"}', '["\\u001b[2J"]',
    '{"on_failure": "x"}', '{"lock_timeout": "x", "on_failure": "continue"}', "[]", '["vacuum", "drop"]',
    '{"on_failure": "continue", "lock_timeout": -5, "jobs": "many", "objects": "abc", "server": {"x": 1}}',
    '{"on_failure": "continue", "lock_timeout": 1e300, "until": 7, "time_limit": "x", "jobs": 1000000}',
    '{"on_failure": "continue", "lock_timeout": NaN, "until": "99:99", "objects": [1, null], "check": "deep"}',
    '{"on_failure": "continue", "lock_timeout": 5, "server": {"speed": 1, "schemas": 5, "max_lag": "x"}}',
    "9" * 5000, "long " * 200_000, "sqlite:///", "sqlite:///etc/passwd", "postgresql://u:secret@h/d", "../../x",
)  # fmt: skip
"""Values, of which the last but few are JSON."""


def _row(store: Path, dice: random.Random) -> str:
    """A value that somebody put in by hand, whatever the schema says of it."""
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        tables = ("parent_job", "child_job", "step", "log", "event", "worker", "attempt")
        table = dice.choice((*tables, "parent_job", "child_job", "child_job", "step", "log"))
        columns = [name for _, name, *_ in _rows(db, f"PRAGMA table_info({table})")]
        if not columns:
            return f"no {table}"
        column, value = dice.choice(columns), dice.choice(EVIL)
        loose = dice.random() < 0.6
        with suppress(sqlite3.Error, OverflowError, UnicodeDecodeError):
            if loose:
                loosen(db)
        with suppress(sqlite3.Error, OverflowError, UnicodeDecodeError):
            db.execute("PRAGMA ignore_check_constraints = ON")
            drop_triggers(db)
            if table == "worker":
                db.execute("INSERT INTO worker (id, pid, host, started_at) VALUES ('dead', 1, 'host', 1)")
            where = dice.choice(("", f" WHERE rowid % 2 = {dice.randrange(2)}")) if table in tables[:1] else ""
            what = "CAST(x'ff80c3' AS TEXT)" if dice.random() < 0.05 else "?"
            db.execute(f"UPDATE OR IGNORE {table} SET {column} = {what}{where}", (value,) if what == "?" else ())
        if dice.random() < 0.95:
            with suppress(sqlite3.Error, UnicodeDecodeError):
                restore_triggers(db)
        return f"{table}.{column} = {str(value)[:40]!r}{' (loosened)' * loose}"


def _sql(store: Path, sql: str) -> str:
    with closing(sqlite3.connect(store)) as db, suppress(sqlite3.Error, UnicodeDecodeError):
        db.executescript(sql)
    return sql


MUTATIONS: Final[Sequence[Mutation]] = (
    *OF_BYTES, _foreign, _version, _schema, _schema,
    *(_row,) * 14,
)  # fmt: skip
