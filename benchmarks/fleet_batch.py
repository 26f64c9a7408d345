"""How many small jobs of one batch a run does in a second: python -m benchmarks.fleet_batch [--files N] [--rows N]

`dbtend run DIRECTORY --op OP --workers N`, from its start to its end, beside a loop of plain Python that opens
each file with sqlite3 and does the same, in the same round. And what each job takes of a processor beyond that loop,
with the start of the processes. With several --op, as `--op vacuum --op check`, each job does all of them in turn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

ROUNDS = 3
COMMANDS = {"analyze": "ANALYZE", "vacuum": "VACUUM", "reindex": "REINDEX", "check": "PRAGMA integrity_check"}


def make_files(directory: Path, number: int, rows: int = 50) -> None:
    directory.mkdir()
    with closing(sqlite3.connect(directory / "t1.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        db.execute("CREATE INDEX a ON t (a)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO t (a) VALUES (?)", ((str(n),) for n in range(rows)))
        db.execute("COMMIT")
    for n in range(2, number + 1):
        shutil.copy(directory / "t1.db", directory / f"t{n}.db")


def with_sqlite3(directory: Path, operations: Sequence[str]) -> None:
    for path in sorted(directory.glob("*.db")):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for operation in operations:
                db.execute(COMMANDS[operation]).fetchall()


def with_dbtend(directory: Path, store: Path, operations: Sequence[str], workers: int) -> None:
    command = [sys.executable, "-m", "tui.cli", "run", str(directory), "--quiet", "--workers", str(workers)]
    command += [word for operation in operations for word in ("--op", operation)]
    subprocess.run([*command, "--store", str(store)], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))


def seconds(
    directory: Path, number: int, rows: int, operations: Sequence[str], workers: int
) -> tuple[float, float, float]:
    """Of dbtend and of the loop, each on files of its own; and of a processor, what dbtend took more."""
    make_files(directory / "ours", number, rows)
    make_files(directory / "floor", number, rows)
    os.sync()  # else the first of the two waits until the new files are written
    begin, busy = time.perf_counter(), sum(os.times()[2:4])
    with_dbtend(directory / "ours", directory / "jobs.db", operations, workers)
    took, ours = time.perf_counter() - begin, sum(os.times()[2:4]) - busy
    os.sync()
    begin, floor = time.perf_counter(), time.process_time()
    with_sqlite3(directory / "floor", operations)
    return took, time.perf_counter() - begin, ours - (time.process_time() - floor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=50, help="of each file; 30,000 make a megabyte")
    parser.add_argument("--op", action="append", choices=sorted(COMMANDS), help="may be repeated; default: analyze")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    operations = options.op or ["analyze"]
    took = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as directory:
            took.append(seconds(Path(directory), options.files, options.rows, operations, options.workers))
    ours = statistics.median(first for first, _, _ in took)
    ratio = statistics.median(first / second for first, second, _ in took)
    more = statistics.median(busy for _, _, busy in took) / options.files
    what = f"batch of {options.files:,} files, {', '.join(operations)}, {options.workers} workers"
    print(f"{what}  {options.files / ours:7.1f} jobs a second, {ours:.1f} s in all")
    print(f"beside a loop of plain sqlite3         {ratio:7.2f} times its seconds, median of {options.rounds} rounds")
    print(f"of a processor, beyond that loop       {1e3 * more:7.1f} ms a job")


if __name__ == "__main__":
    main()
