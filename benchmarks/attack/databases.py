"""Databases that are damaged, hostile, or no databases at all: every command on each of them.

What only looks changes nothing; whatever runs leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.attack.calls import FieldMessage, called, faults, forked
from benchmarks.attack.directories import attack_directory
from benchmarks.attack.mutations import OF_BYTES, Mutation
from engine.domain.advice import TargetHistory
from engine.domain.errors import DbtendError
from engine.domain.requests import Request
from engine.inspection import inspector
from engine.targets.sqlite.target import SqliteTarget
from tests.sqlite_files import make_database, schema_surgery

LOOKS: Final = (
    "--read-only advise {db}", "--read-only advise {db} --json --thorough", "--read-only plan {db}",
    "--read-only plan {db} --json --op vacuum,analyze,reindex,optimize,check,checkpoint,fts-optimize,backup",
    "--read-only doctor {db}", "advise {db}", "plan {db} --op incremental-vacuum", "doctor {db} --json",
)  # fmt: skip
RUNS: Final = (
    "run {db} --op check", "run {db} --op backup --json", "run {db} --op checkpoint", "run {db} --op fts-optimize",
    "run {db} --op optimize", "run {db} --op analyze", "run {db} --op reindex", "run {db} --op incremental-vacuum",
    "run {db} --op vacuum --force", "run {db} --needed --json",
)  # fmt: skip
SPECIAL: Final = "special"
COMMANDS_EVERY: Final = 8
"""Mutants: all commands, and the console, take twenty times as long as the looks that they are made of."""
KEYS: Final = ("x", "r", "escape", "down", "enter", "escape")
EVIL_NAMES: Final = (
    "a.db", "with space.db", "per%cent.db", "what?.db", "ha#sh.db", "new\nline.db", "\x1b[31mred.db", "a\u202eb.db",
    "-dash.db", "sqlite:.db", "b\udcff.db", "x" * 240 + ".db", "..db", "'quote\".db",
)  # fmt: skip


def attack(count: int, seed: int) -> Iterator[str]:
    """All that only looks; of some mutants also the commands, and the console."""
    yield from _attack(count, seed, _faults_of_looks)


def attack_runs(count: int, seed: int) -> Iterator[str]:
    """All operations."""
    yield from _attack(count, seed, lambda _, path, home: _faults_of_commands(path, home, RUNS))


Judge = Callable[[int, Path, Path], list[str]]
"""Takes the number of a mutant, its path, and where everything else is kept; says what is wrong."""


def _attack(count: int, seed: int, judge: Judge) -> Iterator[str]:
    with attack_directory() as directory:
        home = Path(directory)
        for mode in ("delete", "wal"):
            make_database(home / mode, rows=300, journal_mode=mode, auto_vacuum="incremental")
        for number in range(count):
            yield from _attack_one(home, random.Random(seed * 1_000_003 + number), number, judge)


def _attack_one(home: Path, dice: random.Random, number: int, judge: Judge) -> list[str]:
    path = home / "place" / dice.choice((*EVIL_NAMES, *("a.db",) * 20))
    path.parent.mkdir()
    try:
        shutil.copy(home / dice.choice(("delete", "wal")), path)
        how = "; ".join(dice.choice(MUTATIONS)(path, dice) for _ in range(dice.choice((1, 1, 1, 2, 4))))
        found = judge(number, path, home / "home")
        return [f"{path.name[:20]!r}: {how}: {fault.replace(str(path), path.name[:20])}" for fault in found]
    finally:
        shutil.rmtree(path.parent)
        shutil.rmtree(home / "home", ignore_errors=True)


def _faults_of_looks(number: int, path: Path, home: Path) -> list[str]:
    before = _state_of(path)
    said = forked(lambda: asyncio.run(_looks(str(path))))
    failed = said.code or "Traceback" in said.err
    found = [f"a look ends with {said.code} after {said.seconds:.0f} s: {said.err[-600:]}"] if failed else []
    found += _faults_of_files(path, before, "plan {db}")
    if number % COMMANDS_EVERY == 0:
        found += _faults_of_commands(path, home, LOOKS)
        found += _faults_of_console(path, forked(lambda: asyncio.run(_console(home / "jobs.db", path))))
    return found


async def _looks(path: str) -> int:
    """One after the other; each may refuse."""
    requests = [Request(target=path, operations=(operation,)) for operation in SqliteTarget(path).operations]
    does: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: inspector.inspect(path),
        lambda: inspector.advise(path, TargetHistory(now=0), budget=None),
        *(partial(inspector.plan, request) for request in requests),
        lambda: inspector.inspect(path, read_only=True),
    )
    for do in does:
        with suppress(DbtendError):
            await do()
    return 0


def _faults_of_commands(path: Path, home: Path, commands: Sequence[str]) -> list[str]:
    found = []
    for command in commands:
        before = _state_of(path)
        argv = [path_of(word, path) for word in command.split()]
        found += faults(argv, called(argv, home))
        found += [f"{command}: {fault}" for fault in _faults_of_files(path, before, command)]
    return found


def path_of(word: str, path: Path) -> str:
    return str(path) if word == "{db}" else word


def _state_of(path: Path) -> Mapping[str, str]:
    """What lies beside the database, and what is in it as far as it is no more than that."""
    return {entry.name: _digest(entry) for entry in path.parent.iterdir()}


def _digest(entry: Path) -> str:
    if not entry.is_file():
        return SPECIAL
    if entry.stat().st_size > 100_000_000:
        return f"{entry.stat().st_size} bytes"
    return hashlib.sha256(entry.read_bytes()).hexdigest()


def _faults_of_files(path: Path, before: Mapping[str, str], command: str) -> list[str]:
    now = _state_of(path)
    found = [f"left {name}" for name in now if name.endswith(".unfinished")]
    if command in RUNS:
        return found
    journal, log, index = (f"{path.name}{end}" for end in ("-journal", "-wal", "-shm"))
    if "--read-only" not in command and {journal, log, index} & before.keys():
        return found  # a look that may write rolls back what a crash has left, or writes it back
    # To read a log SQLite makes an index of it, which only it may remove; and a log, before it sees that it cannot.
    made = {index} if {log, index} & before.keys() else set()
    if before.get(index) == SPECIAL:
        made.add(log)
    changed = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)} - made
    return found + [f"a look changed {name!r}" for name in sorted(changed)]


async def _console(store: Path, path: Path) -> int:
    from engine.config.model import TargetEntry
    from tests.tui.console.harness import Clock, open_console

    store.parent.mkdir(mode=0o700, exist_ok=True)
    async with open_console(store, TargetEntry(name="it", url=str(path)), clock=Clock()) as console:
        async with asyncio.timeout(20):
            await console.press(*KEYS)
    return 0


def _faults_of_console(path: Path, said: FieldMessage) -> list[str]:
    return [fault.replace("dbtend", "console", 1) for fault in faults(["console", str(path)], said)] + (
        [f"console {said.err[-600:]!r}"] if said.code else []
    )


def _special(path: Path, dice: random.Random) -> str:
    """No regular file at all, or none where the path leads to."""
    with suppress(IsADirectoryError, FileNotFoundError):
        path.unlink()
    with suppress(OSError):
        path.rmdir()
    kind = dice.choice(("fifo", "directory", "socket", "loop", "dangling", "zeros", "null", "missing", "a link"))
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "socket":
            with suppress(OSError), socket.socket(socket.AF_UNIX) as listening:  # its name may be too long
                listening.bind(str(path))
        case "loop":
            path.symlink_to(path.name)
        case "dangling":
            path.symlink_to("nowhere.db")
        case "zeros":
            path.symlink_to("/dev/zero")
        case "null":
            path.symlink_to("/dev/null")
        case "a link":
            shutil.copy(path.parent.parent / "delete", path.with_name("real.db"))
            path.symlink_to("real.db")
        case _:
            pass
    return kind


def _sparse(path: Path, dice: random.Random) -> str:
    size = dice.choice((1 << 20, 1 << 33, 1 << 40))
    if path.is_file() and not path.is_symlink():
        os.truncate(path, size)
    return f"{size} bytes long"


def _beside(path: Path, dice: random.Random) -> str:
    """A journal, log or index of the log that SQLite did not write."""
    end = dice.choice(("-journal", "-wal", "-shm"))
    beside = Path(f"{path}{end}")
    with suppress(FileNotFoundError):
        shutil.rmtree(beside) if beside.is_dir() else beside.unlink()
    if len(os.fsencode(beside.name)) > 255:
        return "nothing"
    content = dice.choice(("garbage", "header", "empty", "directory", "fifo", "loop", "large"))
    magic = {"-journal": b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", "-wal": b"\x37\x7f\x06\x82\x00\x2d\xe2\x18", "-shm": b""}
    match content:
        case "directory":
            beside.mkdir()
        case "fifo":
            os.mkfifo(beside)
        case "loop":
            beside.symlink_to(beside.name)
        case "header":
            beside.write_bytes(magic[end] + dice.randbytes(dice.choice((20, 1000, 40_000))))
        case "large":
            beside.write_bytes(b"")
            os.truncate(beside, 1 << 33)
        case _:
            beside.write_bytes(b"" if content == "empty" else dice.randbytes(40_000))
    return f"{end} is {content}"


_EVIL_SQL: Final = (
    "CREATE TABLE {n}(a, b AS (abs(a)) , CHECK (length(a) < 9))", "CREATE TABLE {n}(" + "(" * 900 + ")", "CREATE",
    "create table {n}(a)", "CREATE TABLE {n} AS SELECT 1", "CREATE VIRTUAL TABLE {n} USING nowhere(a)",
    "CREATE VIRTUAL TABLE {n} USING fts5(a, content='{n}')", "CREATE VIRTUAL TABLE {n} USING dbstat", "",
    "CREATE VIEW {n} AS SELECT * FROM {n}", "CREATE TABLE {n}(a INTEGER PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE {n}(" + ", ".join(f"c{i}" for i in range(1900)) + ")", "CREATE INDEX {n} ON item(price)",
    "CREATE UNIQUE INDEX {n} ON item(evil(price))", "CREATE INDEX {n} ON item(price COLLATE evil)",
    "CREATE TABLE {n}(a REFERENCES item(nothing), b REFERENCES {n})", "CREATE TRIGGER {n} AFTER INSERT ON item BEGIN"
    " DELETE FROM item; END", "CREATE TABLE {n}(a \x1b[31m)", "CREATE TABLE {n}(a DEFAULT '\u202e')", "\0",
    "x" * 100_000, "CREATE VIRTUAL TABLE {n} USING fts5(a, tokenize='unicode61 x')",
    "CREATE VIRTUAL TABLE {n} USING rtree(a, b, c)",
)  # fmt: skip
_EVIL_VALUES: Final = (
    None, -1, 0, 1, 2**31 - 1, 2**63 - 1, 1.5, "", "x", "item", "sqlite_schema", "sqlite_stat1", "\x1b]0;owned\x07",
    "a\u202eb", "a\nb", "a\0b", b"\xff\xfe", "9" * 5000, "y" * 300_000, "my-index", "table", "index", "view", "trigger",
)  # fmt: skip


def _definition(path: Path, dice: random.Random) -> str:
    sql = dice.choice(_EVIL_SQL)

    def change(db: sqlite3.Connection) -> str:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema")]
        name = dice.choice(names)
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql.replace("{n}", f'"{name}"'), name))
        return f"{name!r} is defined as {sql[:60]!r}"

    return _changed(path, change)


def _schema_value(path: Path, dice: random.Random) -> str:
    column, value = dice.choice(("type", "name", "tbl_name", "rootpage", "sql")), dice.choice(_EVIL_VALUES)

    def change(db: sqlite3.Connection) -> str:
        rows = [row for (row,) in db.execute("SELECT rowid FROM sqlite_schema")]
        cast = "CAST(? AS TEXT)" if isinstance(value, bytes) and dice.random() < 0.7 else "?"
        db.execute(f"UPDATE sqlite_schema SET {column} = {cast} WHERE rowid = ?", (value, dice.choice(rows)))
        return f"a {column} of the schema is {str(value)[:30]!r}"

    return _changed(path, change)


def _row(path: Path, dice: random.Random) -> str:
    """In statistics, or in what full-text search keeps of its own."""
    table = dice.choice(("sqlite_stat1", "search_config", "search_data", "search_idx", "search_docsize"))
    value = dice.choice(_EVIL_VALUES)

    def change(db: sqlite3.Connection) -> str:
        db.execute("ANALYZE")
        columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        column = dice.choice(columns)
        db.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
        return f"{table}.{column} = {str(value)[:30]!r}"

    return _changed(path, change)


def _views(path: Path, dice: random.Random) -> str:
    """That stand on each other."""

    def change(db: sqlite3.Connection) -> str:
        db.execute("CREATE VIEW v0 AS SELECT rowid, note FROM item")
        for number in range(1, 26):
            db.execute(f"CREATE VIEW v{number} AS SELECT a.rowid, a.note FROM v{number - 1} a, v{number - 1} b")
        if dice.random() < 0.5:
            db.execute("CREATE VIRTUAL TABLE of_views USING fts5(note, content=v0)")
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'v0', 'v25') WHERE name = 'of_views'")
        return "views on views"

    return _changed(path, change)


def _changed(path: Path, change: Callable[[sqlite3.Connection], str]) -> str:
    with suppress(sqlite3.Error, OSError, OverflowError, ValueError, IndexError, MemoryError):
        if path.is_file() and not path.is_symlink():
            with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db, schema_surgery(db):
                return change(db)
    return "nothing"


MUTATIONS: Final[Sequence[Mutation]] = (
    *OF_BYTES, *OF_BYTES, _special, _sparse, *(_beside,) * 3, *(_definition,) * 4, *(_schema_value,) * 4, *(_row,) * 3,
    _views,
)  # fmt: skip
