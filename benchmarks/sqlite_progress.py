"""How far off percent and time left are on SQLite files that dbtend has not seen: python -m benchmarks.sqlite_progress

Each run has a fresh copy, synced to the disk, and a store of its own, so that nothing is known from earlier runs.
Percent is compared with the elapsed share of the time, sixteen times a second, and the time left with the real one at
half time. The files differ in shape; --file adds others, which are only read.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.sqlite import Measurement, measured
from benchmarks.sqlite_databases import SIZES, Size, database, default_directory
from benchmarks.sqlite_runs import PastJob, by_dbtend_watched_closely

_WORK: Final = ("vacuum", "exchange", "reindex", "check", "quick")
_INSERT: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) INSERT INTO t SELECT "
_LINES: Final = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, key TEXT, number INTEGER, note TEXT)",
    "CREATE INDEX by_key ON t(key)",
    "CREATE INDEX by_number ON t(number)",
)
_FILLED: Final = f"{_INSERT} i, hex(randomblob(8)), abs(random()) % 100000, hex(randomblob(abs(random()) % 80)) FROM n"
_DELETED: Final = "DELETE FROM t WHERE id % 40 < 9 OR id < (SELECT max(id) / 5 FROM t)"
_TABLES: Final = 2_000
_MANY: Final = ("a", "b", "d, a", "e", "f, b", "b, c", "a, e, d", "e, f")
# By shape: the rows of a megabyte, and the commands that make them.
_SHAPES: Final[dict[str, tuple[float, tuple[str, ...]]]] = {
    "a table": (
        6_200,
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, number INTEGER, share REAL, note TEXT)",
            f"{_INSERT} i, hex(randomblob(8)), random(), i / 7.0, hex(randomblob(50)) FROM n",
        ),
    ),
    "many indexes": (
        2_300,
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c TEXT UNIQUE, d REAL, e INTEGER, f TEXT)",
            *(f"CREATE INDEX i{number} ON t({columns})" for number, columns in enumerate(_MANY)),
            f"{_INSERT} i, random(), hex(randomblob(10)), hex(randomblob(12)), random() / 3.0, abs(random()) % 1000,"
            " hex(randomblob(6)) FROM n",
        ),
    ),
    "mostly free": (
        5_600,
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, key TEXT, note TEXT)",
            "CREATE INDEX by_key ON t(key)",
            f"{_INSERT} i, hex(randomblob(8)), hex(randomblob(60)) FROM n",
            "DELETE FROM t WHERE id < 0.7 * :rows",
        ),
    ),
    "blobs": (
        20,
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)",
            f"{_INSERT} i, 'file ' || i, randomblob(abs(random()) % 100000) FROM n",
        ),
    ),
    "without rowid": (
        4_700,
        (
            "CREATE TABLE t(key TEXT PRIMARY KEY, number INTEGER, share REAL, note TEXT) WITHOUT ROWID",
            f"{_INSERT} hex(randomblob(8)), random(), i / 7.0, hex(randomblob(50)) FROM n ORDER BY 1",
        ),
    ),
    "text": (
        560,
        (
            "CREATE VIRTUAL TABLE t USING fts5(title, body)",
            f"{_INSERT} words(6), words(abs(random()) % 300) FROM n",
        ),
    ),
    **{
        f"pages of {size} KB": (5_750, (f"PRAGMA page_size = {1024 * size}", *_LINES, _FILLED, _DELETED))
        for size in (1, 16, 64)
    },
    "auto_vacuum": (5_750, ("PRAGMA auto_vacuum = FULL", *_LINES, _FILLED, _DELETED)),
    "half free": (6_500, (*_LINES, _FILLED, "DELETE FROM t WHERE id > :rows / 2")),
    "import": (5_750, (_LINES[0], _FILLED, *_LINES[1:])),
    "one index": (
        9_500,
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, at INTEGER, a TEXT, b REAL, c INTEGER, d TEXT)",
            "CREATE INDEX by_time ON t(at)",
            f"{_INSERT} i, 1700000000 + i * 3, hex(randomblob(16)), i / 3.0, i % 17, hex(randomblob(10)) FROM n",
        ),
    ),
    "long values": (
        1,
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, body BLOB)",
            f"{_INSERT} i, 'file ' || i, randomblob(1000000) FROM n",
            "DELETE FROM t WHERE id % 7 = 0",
        ),
    ),
    "many tables": (
        6_000,
        tuple(
            command
            for number in range(_TABLES)
            for command in (
                f"CREATE TABLE t{number}(id INTEGER PRIMARY KEY, key TEXT, note TEXT)",
                f"CREATE INDEX i{number} ON t{number}(key)",
                f"{_INSERT.replace(':rows', f':rows / {_TABLES}').replace('INTO t ', f'INTO t{number} ')}"
                " i, hex(randomblob(8)), hex(randomblob(40)) FROM n",
            )
        ),
    ),
}


def shaped(shape: str, size: Size, directory: Path) -> Path:
    """A database of that shape and size, made in `directory` if it is missing."""
    path = directory / f"{shape.replace(' ', '-')}-{size.name}.db"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        a_megabyte, commands = _SHAPES[shape]
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as db:
            settings = [command for command in commands if command.startswith("PRAGMA")]
            fast = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -2000000")
            for setting in (*settings, *fast):
                db.execute(setting)
            db.create_function("words", 1, _words())
            db.execute("BEGIN")
            for command in commands[len(settings) :]:
                db.execute(command, {"rows": round(a_megabyte * size.megabytes)} if ":rows" in command else {})
            db.execute("COMMIT")
        unfinished.rename(path)
    return path


def _words() -> Callable[[int], str]:
    chance = random.Random(5)
    known = ["".join(chance.choices("aeioubdglmnrst", k=chance.randint(2, 9))) for _ in range(30_000)]
    text = chance.choices(known, weights=[1 / rank for rank in range(1, len(known) + 1)], k=200_000)

    def words(number: int) -> str:
        start = chance.randrange(len(text) - number)
        return " ".join(text[start : start + number])

    return words


def runs_on(source: Path, work: str, number: int, *, wal: bool) -> list[Measurement]:
    found = []
    for _ in range(number):
        with TemporaryDirectory(prefix="run-", dir=source.parent) as directory:
            found.append(
                measured(lambda copy, store: _run(copy, store, work, wal=wal), source, Path(directory), cold=False)
            )
    return found


def _run(copy: Path, store: Path, work: str, *, wal: bool) -> PastJob:
    if wal:
        with closing(sqlite3.connect(copy)) as db:
            db.execute("PRAGMA journal_mode = WAL")
    return by_dbtend_watched_closely(copy, store, work)


def report(name: str, work: str, found: Sequence[Measurement]) -> float | None:
    """The median of the mean errors; None where the work was too short to tell any progress."""
    errors = [one.run.progress_error for one in found if one.run.progress_error is not None]
    left = [one.run.left_error for one in found if one.run.left_error is not None]
    percent = f"{median(errors):.1f} points ({min(errors):.1f} to {max(errors):.1f})" if errors else "not told"
    print(
        f"{work:9} {name:24} {median(one.run.seconds for one in found):6.2f} s | percent off by {percent}"
        f" | time left {f'off by {median(left):.1f} % of the whole' if left else 'not told'}"
        f" | load {median(one.load for one in found):.0%}",
        flush=True,
    )
    return median(errors) if errors else None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sqlite_progress",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=[size.name for size in SIZES], default=SIZES[0].name)
    parser.add_argument("--op", action="append", choices=_WORK, help="may be repeated")
    parser.add_argument("--shape", action="append", choices=["mixed", *_SHAPES], help="may be repeated")
    parser.add_argument("--file", action="append", type=Path, default=[])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--wal", action="store_true")
    parser.add_argument("--dir", type=Path, default=default_directory(), help="where the databases are")
    options = parser.parse_args()
    size = next(size for size in SIZES if size.name == options.size)
    shapes = options.shape or ["mixed", *_SHAPES]
    sources = [
        database(size, options.dir) if shape == "mixed" else shaped(shape, size, options.dir) for shape in shapes
    ]
    for work in options.op or _WORK:
        errors = [
            report(source.name, work, runs_on(source, work, options.runs, wal=options.wal))
            for source in (*sources, *options.file)
        ]
        if told := [error for error in errors if error is not None]:
            print(f"{work:9} {mean(told):.1f} points on average")


if __name__ == "__main__":
    main()
