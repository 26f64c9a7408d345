"""Databases of other origin: every row, pragma and full-text answer is the same after each operation and each exchange.

It takes the databases of Debian packages that `python -m benchmarks.foreign_databases` has unpacked, and the sound ones
of the corpus; some of these have full-text indexes. All operations run on each file, one after the other, in both
journal modes; INCREMENTAL VACUUM last, on the file with free pages that it can give back.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from benchmarks.foreign_databases import foreign_databases
from engine.domain.requests import Operation, Options, SqliteLibrary
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.sqlite.connection import bundled
from engine.targets.sqlite.connection.names import quote
from engine.targets.step_execution import StepContext
from tests.corpus.case import Trouble
from tests.corpus.fingerprint import fingerprint
from tests.corpus.registry import CORPUS

MODES: Final = ("delete", "wal")
WORK: Final = (
    *((operation, Options()) for operation in (Operation.CHECK, Operation.CHECKPOINT, Operation.FTS_OPTIMIZE)),
    *((operation, Options()) for operation in (Operation.REINDEX, Operation.OPTIMIZE, Operation.ANALYZE)),
    (Operation.BACKUP, Options(verify=True)),
    *([(Operation.REINDEX, Options(sqlite=SqliteLibrary.BUNDLED))] if bundled.is_installed() else []),
    *((Operation.VACUUM, options) for options in (Options(swap=True), Options(swap=True, verify=True), Options())),
    (Operation.INCREMENTAL_VACUUM, Options()),
)
WORDS: Final = 20
"""Words that each full-text index is asked for."""
PRAGMAS: Final = (
    *("application_id", "user_version", "encoding", "page_size", "auto_vacuum", "journal_mode", "default_cache_size"),
    *("foreign_key_check", "table_list"),
)
Source = tuple[str, Callable[[Path], Path]]
"""A name, and what makes the database in an empty directory."""


def attack(count: int, seed: int) -> Iterator[str]:
    """So many databases, chosen at random."""
    done, size = Counter[str](), 0
    known = _sources()
    sources = random.Random(seed).sample(known, min(count, len(known)))
    for name, make in sources:
        for mode in MODES:
            with attack_directory() as directory:
                path = make(Path(directory))
                with closing(sqlite3.connect(path)) as db:
                    db.execute(f"PRAGMA journal_mode = {mode}")
                size += path.stat().st_size
                for finding in asyncio.run(_maintained(path, random.Random(seed), done)):
                    yield f"{name} in mode {mode}: {finding}"
    print(
        f"  {len(sources)} databases in {len(MODES)} journal modes, {size / 1e6:,.0f} MB: {dict(sorted(done.items()))}"
    )


def _sources() -> list[Source]:
    foreign = [(path.name, _copier(path)) for path in foreign_databases()]
    return [*foreign, *((case.name, case.build) for case in CORPUS if case.trouble is Trouble.NONE)]


def _copier(source: Path) -> Callable[[Path], Path]:
    return lambda directory: Path(shutil.copyfile(source, directory / source.name))


async def _maintained(path: Path, chosen: random.Random, done: Counter[str]) -> list[str]:
    found: list[str] = []
    files = set(path.parent.iterdir())
    before = _answers(path, words := _words(path, chosen))
    for operation, options in WORK:
        if operation is Operation.INCREMENTAL_VACUUM:
            _leave_free_pages(path)
            before = _answers(path, words)
        what = f"{operation}{' by exchange' * options.swap}{', verified' * options.verify}"
        outcome, error, backup = await _executed(path, operation, options)
        done[f"{operation}: {outcome}"] += 1
        found += [f"{what} {outcome}: {error}"] if error else []
        for place in filter(None, (str(path), backup)):
            after = _answers(Path(place), words)
            found += [f"{what} changed {part}" for part in before if after.get(part) != before[part]]
        if backup:
            await asyncio.to_thread(os.unlink, backup)
    return found + [f"{left.name} is left" for left in set(path.parent.iterdir()) - files]


def _leave_free_pages(path: Path) -> None:
    """Where VACUUM is possible; else there is nothing to give back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db, suppress(sqlite3.Error):
        db.execute("PRAGMA auto_vacuum = incremental")
        db.execute("VACUUM")
        db.execute("CREATE TABLE dropped AS SELECT zeroblob(300000) AS filler")
        db.execute("DROP TABLE dropped")


async def _executed(path: Path, operation: Operation, options: Options) -> tuple[str, str, str]:
    """How it ended, its error, and the path of its backup."""
    async with resolve(str(path)).connect(lock_timeout=5) as session:
        await session.lock()
        planned = await session.plan(operation, options)
        if not planned.plan.steps:
            return "refused" if planned.plan.refused else "not needed", "", ""
        backup = ""
        for step in planned.plan.steps:
            result = await planned.execute(step, StepContext())
            if result.status is not Status.COMPLETED:
                return str(result.status), str(result.error), ""
            backup = str((result.effect or {}).get("backup", backup))
        return str(Status.COMPLETED), "", backup


def _answers(path: Path, words: dict[str, list[str]]) -> dict[str, object]:
    """All rows, what a full check says, pragmas, and the rows that full-text indexes find."""
    content, complaints = fingerprint(path)
    answers: dict[str, object] = {**content, "what a full check says": complaints}
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        for pragma in PRAGMAS:
            rows = sorted(map(repr, db.execute(f"PRAGMA {pragma}")))
            answers[f"pragma {pragma}"] = [row for row in rows if "sqlite_stat" not in row]
        for table, asked in words.items():
            for word in asked:
                with suppress(sqlite3.Error):
                    rows = sorted(
                        map(repr, db.execute(f"SELECT * FROM {quote(table)} WHERE {quote(table)} MATCH ?", (word,)))
                    )
                    answers[f"{table} for {word}"] = hashlib.sha256("".join(rows).encode()).hexdigest()
    return answers


def _words(path: Path, chosen: random.Random) -> dict[str, list[str]]:
    """Some words of each full-text index."""
    found = {}
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = lambda raw: raw.decode(errors="replace")
        for (table,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE sql LIKE '%VIRTUAL TABLE%USING%fts%'"
        ).fetchall():
            with suppress(sqlite3.Error):
                rows = db.execute(f"SELECT * FROM {quote(table)} LIMIT 500").fetchall()
                known = sorted({word for row in rows for word in re.findall(r"\w{3,}", repr(row))})
                found[table] = chosen.sample(known, min(WORDS, len(known)))
    return found
