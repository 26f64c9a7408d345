"""SQLite files of very many small tables beside the sqlite3 shell: python -m benchmarks.many_tables [--tables 1000 ...]

Each table has ten rows and an index. Both get fresh copies of the same file, synced to the disk, in turn; medians. Of
the shell the whole process counts, of dbtend the child job from its start to its end, with its look and its plan;
"whole" is from the submit to the end. Then how long `dbtend plan` and `dbtend advise` take, as processes. "load" is the
share of the processors that others had meanwhile.

SQLite itself takes far longer than twice as long for twice as many tables where it copies them, or analyzes one after
the other: VACUUM, and PRAGMA optimize, of which dbtend makes one ANALYZE, are left out where the tables are too many.
To open a file is such a thing, too: with 50,000 tables it takes SQLite seconds.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.sqlite import Case, Measurement, measured
from benchmarks.sqlite_databases import default_directory
from benchmarks.sqlite_runs import SHELL, by_dbtend, by_shell
from engine.domain.humanize import size as bytes_in_words

TABLES: Final = (100, 1_000, 10_000, 50_000)
CASES: Final = (
    Case("analyze", "ANALYZE"),
    Case("reindex", "REINDEX"),
    Case("check", "PRAGMA integrity_check"),
    Case("optimize", "PRAGMA optimize=0x10012"),
    Case("vacuum", "VACUUM"),
)
QUADRATIC: Final = {"optimize": 4_000, "vacuum": 10_000}
"""Up to how many tables these are measured."""
_ROWS: Final = 10
_PAGE: Final = 4096
_TABLE: Final = "CREATE TABLE t{0}(id INTEGER PRIMARY KEY, a, b)"
_INDEX: Final = "CREATE INDEX t{0}_a ON t{0}(a)"


def database(tables: int, directory: Path) -> Path:
    """The file of so many tables, made once and kept.

    SQLite reads its schema anew for each table that it creates: so it makes one, whose pages are copied.
    """
    path = directory / f"dbtend-benchmark-{tables}-tables.db"
    if path.exists():
        return path
    root, pages = 2, 0
    unfinished = path.with_suffix(".unfinished")
    while pages != root - 1:  # how many pages the schema takes depends a little on the numbers in it
        root = pages + 1 if pages else root
        unfinished.unlink(missing_ok=True)
        pages = _write_schema(unfinished, tables, root)
    table, index = _pages_of_one()
    with unfinished.open("r+b") as file:
        file.seek(pages * _PAGE)
        for _ in range(tables):
            file.write(table + index)
        file.seek(28)  # of the header: how many pages there are
        file.write((pages + 2 * tables).to_bytes(4, "big"))
    unfinished.rename(path)
    return path


def _write_schema(path: Path, tables: int, root: int) -> int:
    """The schema of all tables, the first of which begins at page `root`; how many pages it takes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {_PAGE}")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("BEGIN")
        for number in range(tables):
            page = root + 2 * number
            db.executemany(
                "INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)",
                (
                    ("table", f"t{number}", f"t{number}", page, _TABLE.format(number)),
                    ("index", f"t{number}_a", f"t{number}", page + 1, _INDEX.format(number)),
                ),
            )
        db.execute("COMMIT")
        ((pages,),) = db.execute("PRAGMA page_count")
    return int(pages)


def _pages_of_one() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "one.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size = {_PAGE}")
            db.execute(_TABLE.format(0))
            db.execute(_INDEX.format(0))
            db.executemany("INSERT INTO t0(a, b) VALUES (?, ?)", ((n % 4, f"row {n}") for n in range(_ROWS)))
        content = path.read_bytes()
    return content[_PAGE : 2 * _PAGE], content[2 * _PAGE : 3 * _PAGE]


def measure(case: Case, source: Path, pairs: int) -> tuple[list[Measurement], list[Measurement]]:
    """The runs of the shell, and those of dbtend."""
    shell, dbtend = list[Measurement](), list[Measurement]()
    for number in range(pairs):
        for by_us in (False, True) if number % 2 else (True, False):
            with tempfile.TemporaryDirectory(prefix="run-", dir=source.parent) as directory:
                if by_us:
                    dbtend.append(
                        measured(lambda c, s: by_dbtend(c, s, case.work), source, Path(directory), cold=False)
                    )
                else:
                    shell.append(measured(lambda c, _: by_shell(c, case.sql), source, Path(directory), cold=False))
    return shell, dbtend


def report(case: Case, tables: int, shell: list[Measurement], dbtend: list[Measurement]) -> None:
    theirs = median(one.run.seconds for one in shell)
    ours, whole = (median(getattr(one.run, name) for one in dbtend) for name in ("seconds", "whole"))
    load = median(one.load for one in (*shell, *dbtend))
    print(
        f"{tables:6,} tables  {case.work:9} sqlite3 shell {theirs:.2f} s, dbtend {ours:.2f} s ({whole:.2f} s whole):"
        f" {ours / theirs:.1f} | {len(dbtend)} pairs, load {load:.0%}",
        flush=True,
    )


def look(command: str, source: Path, times: int) -> None:
    """How long a command takes that only looks, from the start of its process to its end."""
    seconds = []
    with tempfile.TemporaryDirectory(prefix="run-", dir=source.parent) as directory:
        copy = Path(shutil.copyfile(source, Path(directory) / "copy.db"))
        for _ in range(times):
            begin = time.perf_counter()
            dbtend = [sys.executable, "-m", "tui.cli", command, str(copy), "--store", f"{directory}/jobs.db"]
            subprocess.run(dbtend, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - begin)
    print(f"{'':14}  dbtend {command} takes {median(seconds):.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=int, action="append", help=f"may be repeated (default: {TABLES})")
    parser.add_argument("--op", action="append", choices=[case.work for case in CASES], help="may be repeated")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=default_directory(), help="where the databases are kept")
    options = parser.parse_args()
    if not Path(SHELL).exists():
        print(f"{SHELL} is not there to compare with")
        return
    for tables in options.tables or TABLES:
        source = database(tables, options.dir)
        print(f"{tables:6,} tables  {bytes_in_words(source.stat().st_size)}")
        for case in CASES:
            if case.work in (options.op or [case.work]) and tables <= QUADRATIC.get(case.work, tables):
                report(case, tables, *measure(case, source, options.pairs))
        if not options.op:
            look("plan", source, options.pairs)
            look("advise", source, options.pairs)


if __name__ == "__main__":
    main()
