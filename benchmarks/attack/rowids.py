"""Databases in which something goes by rowids: where VACUUM would make a search lead to another row, it is refused."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from engine.domain.requests import Operation
from tests.engine.targets.sqlite.a_session import plan, run

TABLES: Final = (
    "{}(body)", "{}(body TEXT, n)", "{}(n, body)", "{}(id INTEGER PRIMARY KEY, body)", "{}(id INT PRIMARY KEY, body)",
    "{}(body UNIQUE)", "{}(id INTEGER PRIMARY KEY AUTOINCREMENT, body)", "{}(oid, body)", "{}(rowid, body)",
)  # fmt: skip
NAMES: Final = ("notes", "doc s", "Log", "order", 'a"b', "t", "messages")
HOLDERS: Final = (
    "fts5({c}, content='')", "fts5({c}, content='', contentless_delete=1)", "fts5({c}, content='', columnsize=0)",
    "fts4({c}, content=\"\")", "fts5({c})", "fts4({c})", "fts3({c})", "fts5({c}, content={t})",
    "fts4(content={t}, {c})",
    "fts5({c}, content={t}, content_rowid={r})", "rtree(id, x0, x1)", "rtree_i32(id, x0, x1, +note)",
)  # fmt: skip
HOLDER_NAMES: Final = ("found", "{}_fts", "search", "idx_{}", "words")


@dataclass
class Case:
    """A table with something that goes by its rowids."""

    table: str
    rowid: str
    holder: str
    is_text: bool
    is_external: bool


def attack(count: int, seed: int) -> Iterator[str]:
    for number in range(count):
        with attack_directory() as directory:
            for finding in _faults(Path(directory), random.Random(seed * 1_000_003 + number)):
                yield f"{number}: {finding}"


def _faults(directory: Path, chance: random.Random) -> Iterator[str]:
    path = directory / "a.db"
    cases = _make(path, chance)
    before = [_found(path, case) for case in cases]
    by_hand = Path(shutil.copy(path, directory / "by_hand.db"))
    with closing(sqlite3.connect(by_hand, isolation_level=None)) as db:
        db.execute("VACUUM")
    broken = [case for case, was in zip(cases, before, strict=True) if _found(by_hand, case) != was]
    planned = asyncio.run(plan(path, Operation.VACUUM))
    if broken and planned.refused is None:
        yield f"VACUUM is not refused, and breaks {broken}; {_schema(path)}"
    if broken and planned.refused is not None and not any(case.holder in planned.refused for case in broken):
        yield f"none of {broken} is named: {planned.refused}"
    copy = directory / "copy.db"
    asyncio.run(run(path, Operation.BACKUP, backup_to=str(copy)))
    if [_found(copy, case) for case in cases] != before:
        yield f"a backup breaks {cases}; {_schema(path)}"
    asyncio.run(run(path, Operation.VACUUM, force=True))
    for case, was in zip(cases, before, strict=True):
        found = _found(path, case)
        if case.is_external and any(found.get(word) != rows for word, rows in was.items() if rows):
            yield f"{case} is not right after a forced VACUUM; {_schema(path)}"


def _make(path: Path, chance: random.Random) -> list[Case]:
    cases = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for name in chance.sample(NAMES, chance.randint(1, 3)):
            quoted = _quoted(name)
            db.execute("CREATE TABLE " + chance.choice(TABLES).format(quoted))
            columns = [column for _, column, *_ in db.execute(f"PRAGMA table_info({quoted})")]
            rowid = next(word for word in ("rowid", "_rowid_") if word not in columns)
            for n in range(chance.choice((0, 1, 5, 30))):
                values = [f"{name[0]}word{n}" if column == "body" else 7 * n + 3 for column in columns]
                db.execute(f"INSERT INTO {quoted} VALUES ({', '.join('?' * len(columns))})", values)
            if chance.random() < 0.3:
                db.execute(f"UPDATE {quoted} SET {rowid} = {rowid} + 100000")
                db.execute(f"UPDATE {quoted} SET {rowid} = {rowid} - 100000 + {chance.choice((1, 1000, -40))}")
            for _ in range(chance.randint(0, 1)):
                _delete(db, quoted, rowid, chance)
            if chance.random() < 0.8:
                cases.append(_hold(db, name, rowid, chance))
            if chance.random() < 0.7:
                _delete(db, quoted, rowid, chance, cases[-1] if cases and cases[-1].table == name else None)
    return cases


def _delete(db: sqlite3.Connection, quoted: str, rowid: str, chance: random.Random, case: Case | None = None) -> None:
    rows = [row for (row,) in db.execute(f"SELECT {rowid} FROM {quoted}")]
    for row in chance.sample(rows, len(rows) // chance.choice((1, 2, 4, 10))):
        if case is not None and case.is_external:  # as its application has to
            db.execute(f"DELETE FROM {_quoted(case.holder)} WHERE rowid = ?", (row,))
        elif case is not None and not case.is_text and chance.random() < 0.5:
            db.execute(f"DELETE FROM {_quoted(case.holder)} WHERE id = ?", (row,))
        db.execute(f"DELETE FROM {quoted} WHERE {rowid} = ?", (row,))


def _hold(db: sqlite3.Connection, table: str, rowid: str, chance: random.Random) -> Case:
    module = chance.choice(HOLDERS)
    if "{t}" in module and ('"' in table or rowid != "rowid"):  # which means a column there
        module = HOLDERS[0]
    column = "body" if "{t}" in module else chance.choice(("body", "text"))
    holder = chance.choice(HOLDER_NAMES).format(table).replace('"', "")
    if db.execute("SELECT 1 FROM sqlite_schema WHERE lower(name) = lower(?)", (holder,)).fetchone():
        holder += str(chance.random())[2:]
    case = Case(table, rowid, holder, is_text=module.startswith("fts"), is_external="{t}" in module)
    quoted = _quoted(table)
    db.execute(f"CREATE VIRTUAL TABLE {_quoted(holder)} USING {module.format(c=column, t=quoted, r=rowid)}")
    if case.is_external:
        db.execute(f"INSERT INTO {_quoted(holder)}({_quoted(holder)}) VALUES ('rebuild')")
    elif case.is_text:
        db.execute(f"INSERT INTO {_quoted(holder)}(rowid, {column}) SELECT {rowid}, body FROM {quoted}")
    else:
        note = ", NULL" if "+" in module else ""
        db.execute(f"INSERT INTO {_quoted(holder)} SELECT {rowid}, {rowid}, {rowid}{note} FROM {quoted}")
    return case


def _found(path: Path, case: Case) -> dict[str, list[str]]:
    """To which rows each word, or place, leads by way of the rowid."""
    holder, table = _quoted(case.holder), _quoted(case.table)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        if not case.is_text:
            rows = db.execute(f"SELECT x0, body FROM {holder} h JOIN {table} t ON t.{case.rowid} = h.id ORDER BY 1, 2")
            return _grouped(rows.fetchall())
        word = case.table[0] + "word"
        join = f"FROM {holder} h JOIN {table} t ON t.{case.rowid} = h.rowid WHERE {holder} MATCH ?"
        return {
            f"{word}{n}": sorted(body for (body,) in db.execute(f"SELECT t.body {join}", (f'"{word}{n}"',)))
            for n in range(30)
        }


def _grouped(rows: Sequence[tuple[float, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, body in rows:
        found.setdefault(str(place), []).append(body)
    return found


def _schema(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return "; ".join(
            sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql NOT LIKE '%''%_%'") if sql
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
