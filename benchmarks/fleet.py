"""What a survey of many files costs: python -m benchmarks.fleet [--files N] [--megabytes N]

CPU of this process for each file, all threads included: a survey that reads all of them again, and one that takes what
is kept. Beside it the floors: opening each file with plain sqlite3 and reading two facts, and reading all of its pages
with `dbstat` and counting its rows, which a survey of a small file does, too.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from engine import Engine
from engine.config.model import TargetEntry
from engine.engine import Engine as RealEngine

ROUNDS = 3
TABLES = 10
ROW = "some text of a row that is not very long, three times over; " * 3
LEAVES = """SELECT count(*), sum(ncell), sum(unused), max(mx_payload) FROM dbstat('main')
WHERE pagetype = 'leaf' GROUP BY name"""


def make_files(directory: Path, number: int, megabytes: int) -> list[Path]:
    first = directory / "t1.db"
    rows = megabytes * 820_000 // (TABLES * 2 * len(ROW))
    with closing(sqlite3.connect(first, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for table in range(TABLES):
            db.execute(f"CREATE TABLE t{table} (id INTEGER PRIMARY KEY, a TEXT, b INTEGER)")
            db.execute(f"CREATE INDEX a{table} ON t{table} (a)")
            db.execute(f"CREATE INDEX b{table} ON t{table} (b)")
            values = ((f"{n} {ROW}", n * 7919 % 10_007) for n in range(rows))
            db.executemany(f"INSERT INTO t{table} (a, b) VALUES (?, ?)", values)
        db.execute("DELETE FROM t3")
        db.execute("COMMIT")
        db.execute("ANALYZE")
    return [first, *(Path(shutil.copy(first, directory / f"t{n}.db")) for n in range(2, number + 1))]


def open_only(files: Sequence[Path]) -> None:
    for path in files:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            db.execute("PRAGMA freelist_count").fetchall()


def read_all(files: Sequence[Path]) -> None:
    counts = " UNION ALL ".join(f"SELECT count(*) FROM t{table}" for table in range(TABLES))
    for path in files:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            db.execute(counts).fetchall()
            db.execute(LEAVES).fetchall()


async def surveyed(engine: Engine, files: Sequence[Path], *, refresh: bool) -> None:
    entries = [TargetEntry(name=path.stem, url=str(path)) for path in files]
    found = [one.survey async for one in engine.survey(entries, refresh=refresh)]
    assert len(found) == len(files)


def measured(what: str, files: Sequence[Path], do: Callable[[], object]) -> None:
    """Print the median CPU and wall clock milliseconds for each file."""
    cpu, wall = [], []
    for _ in range(ROUNDS):
        begun, began = time.process_time(), time.perf_counter()
        do()
        cpu.append(1000 * (time.process_time() - begun) / len(files))
        wall.append(1000 * (time.perf_counter() - began) / len(files))
    print(f"{what:44} {statistics.median(cpu):7.2f} ms CPU  {statistics.median(wall):7.2f} ms for each file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--megabytes", type=int, default=10)
    asked, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as home, asyncio.Runner() as runner:
        directory = Path(home) / "tenants"
        directory.mkdir()
        files = make_files(directory, asked.files, asked.megabytes)
        print(f"{len(files)} files of {files[0].stat().st_size / 1e6:.1f} MB")
        open_only(files)
        measured("floor: sqlite3, opened, two facts", files, lambda: open_only(files))
        measured("floor: sqlite3, rows counted, all pages read", files, lambda: read_all(files))
        opening = RealEngine.open(Path(home) / "store" / "jobs.db")
        engine = runner.run(opening.__aenter__())
        runner.run(surveyed(engine, files[:1], refresh=True))
        measured("survey of all files", files, lambda: runner.run(surveyed(engine, files, refresh=True)))
        measured("survey that is kept", files, lambda: runner.run(surveyed(engine, files, refresh=False)))
        runner.run(opening.__aexit__(None, None, None))


if __name__ == "__main__":
    main()
