"""Maintenance of MariaDB beside mariadb-check: python -m benchmarks.mysql [PART ...] [--jobs N ...] [--small]

Both get a fresh copy of the same tables, in turn (A B, B A, ...); medians. Of the tool the whole process counts; of
dbtend the steps, from the start of the first to the end of the last; and all from submit to end. The ratio is that
within a round. mariadb-check has no parallel mode.

rebuild   mariadb-check --optimize, and rebuild: some medium tables and many small ones, a quarter of the rows deleted
analyze   mariadb-check --analyze --persistent, and analyze: both collect statistics of columns and histograms
needed    mariadb-check --optimize of all tables, and optimize, where a few of many have changed
advice    how long the advice takes on many tables
progress  how far percent and elapsed share are apart on average, and how far off the time left is at half time, for
          each operation with none, one and two earlier runs of it; each round has a new history
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.server_runs import PastJob, in_turn, run_job
from engine import CheckLevel, Engine, Operation, Options, Request
from engine.domain.thresholds import Thresholds
from engine.targets.mysql.connection.server import Flavor
from tests.mysql_server import NO_SERVER, MySqlServer, running_server, servers_found


@dataclass(frozen=True, slots=True)
class Content:
    """Tables of a database, and how many of the small ones have changed afterwards."""

    medium: int
    medium_rows: int
    small: int
    changed: int = 0

    @property
    def tables(self) -> list[tuple[str, int]]:
        return [
            *((f"medium{number}", self.medium_rows) for number in range(self.medium)),
            *((f"small{number}", 200) for number in range(self.small)),
        ]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    content: Content
    tool: str
    operation: Operation


MIXED: Final = Content(medium=16, medium_rows=150_000, small=100)
MANY: Final = Content(medium=0, medium_rows=0, small=5_000, changed=100)
SMALL_MIXED: Final = Content(medium=8, medium_rows=30_000, small=30)
SMALL_MANY: Final = Content(medium=0, medium_rows=0, small=500, changed=10)


def cases(*, small: bool) -> dict[str, Case]:
    mixed, many = (SMALL_MIXED, SMALL_MANY) if small else (MIXED, MANY)
    return {
        "rebuild": Case("rebuild", mixed, "--optimize", Operation.REBUILD),
        "analyze": Case("analyze", mixed, "--analyze --persistent", Operation.ANALYZE),
        "needed": Case("needed only", many, "--optimize", Operation.OPTIMIZE),
    }


class Bench:
    def __init__(self, server: MySqlServer, rounds: int, scale: int) -> None:
        self.server, self.rounds, self.scale = server, rounds, scale

    @contextmanager
    def a_copy(self, content: Content) -> Iterator[str]:
        with self.server.admin(within=3600) as admin, admin.cursor() as cursor:
            cursor.execute("CREATE DATABASE copy")
            cursor.execute("USE copy")
            if self.server.flavor is Flavor.MYSQL:
                cursor.execute("SET SESSION cte_max_recursion_depth = 1000000")
            try:
                for name, rows in content.tables:
                    kept = "STATS_AUTO_RECALC = 0" if content.changed else ""
                    cursor.execute(
                        f"CREATE TABLE {name} (id INT PRIMARY KEY, a INT, b VARCHAR(80), KEY (a), KEY (b)) {kept}"
                    )
                    values = "seq, seq * 7919 % 100003, LEFT(SHA2(seq, 256), 32)"
                    cursor.execute(f"INSERT INTO {name} SELECT {values} FROM {self.numbers(rows)}")
                    if not content.changed:
                        cursor.execute(f"DELETE FROM {name} WHERE id % 4 = 0")
                    else:
                        cursor.execute(f"ANALYZE TABLE {name}")
                for number in range(content.changed):
                    cursor.execute(f"INSERT INTO small{number} SELECT seq + 1000, 1, 'new' FROM {self.numbers(3000)}")
                yield "copy"
            finally:
                cursor.execute("DROP DATABASE copy")

    def numbers(self, most: int) -> str:
        """A table of the numbers from 1."""
        if self.server.flavor is Flavor.MARIADB:
            return f"seq_1_to_{most}"
        counted = f"SELECT 1 AS seq UNION ALL SELECT seq + 1 FROM n WHERE seq < {most}"
        return f"(WITH RECURSIVE n AS ({counted}) SELECT seq FROM n) AS numbers"

    def by_tool(self, case: Case) -> float:
        with self.a_copy(case.content) as name:
            command = ["mariadb-check", "--no-defaults", f"--socket={self.server.socket}", "--user=root"]
            began = time.perf_counter()
            subprocess.run([*command, *case.tool.split(), name], check=True, capture_output=True)
            return time.perf_counter() - began

    async def by_dbtend(self, case: Case, jobs: int) -> PastJob:
        with self.a_copy(case.content) as name, tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
            async with Engine.open(Path(directory) / "jobs.db", workers=1) as engine:
                return await self.run(engine, name, case, jobs)

    async def run(self, engine: Engine, name: str, case: Case, jobs: int) -> PastJob:
        request = Request(
            target=self.server.url(name), operations=(case.operation,), options=Options(jobs=jobs, confirmed=True)
        )
        return await run_job(engine, request)


async def compare(bench: Bench, case: Case, jobs: int) -> None:
    theirs: list[float] = []
    ours: list[PastJob] = []

    async def tool() -> None:
        theirs.append(bench.by_tool(case))

    async def dbtend() -> None:
        ours.append(await bench.by_dbtend(case, jobs))

    await in_turn(bench.rounds, tool, dbtend)
    ratios = sorted(run.steps / other for run, other in zip(ours, theirs, strict=True))
    whole = median(run.whole / other for run, other in zip(ours, theirs, strict=True))
    print(
        f"{case.name}, {jobs} at once: mariadb-check {median(theirs):.2f} s,"
        f" dbtend {median(run.steps for run in ours):.2f} s: {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        f" | {median(run.whole for run in ours):.2f} s from submit to end: {whole:.2f}"
        f" | {len(ours[0].child.steps)} steps, {bench.rounds} pairs",
        flush=True,
    )


async def advice(bench: Bench, content: Content) -> None:
    with bench.a_copy(content) as name, tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        async with Engine.open(Path(directory) / "jobs.db") as engine:
            took = []
            for _ in range(bench.rounds):
                began = time.perf_counter()
                await engine.advise(bench.server.url(name))
                took.append(time.perf_counter() - began)
    print(f"advice on {content.small:,} tables: {median(took):.2f} s, {bench.rounds} times", flush=True)


LARGE: Final = (300_000, 100_000, 100_000)
SMALL_LARGE: Final = (100_000, 30_000)
"""Rows of the tables whose progress is watched."""
EARLIER: Final = 3
"""Runs of each operation in a round."""
WATCHED: Final = {
    "rebuild": (Operation.REBUILD, Options()),
    "full check": (Operation.CHECK, Options(check=CheckLevel.FULL)),
    "analyze": (Operation.ANALYZE, Options()),
    "optimize": (Operation.OPTIMIZE, Options(limits=Thresholds(reclaim_soon=1_000_000))),
}


def make_large(bench: Bench, sizes: Sequence[int], *, halved: bool = False) -> None:
    """Make the tables. `halved`: with every second row deleted, so that an optimize has something to do."""
    values = "seq, seq * 7919 % 1000003, LEFT(SHA2(seq, 256), 32), SHA2(seq, 256), seq / 3e0"
    with bench.server.admin("large", within=3600) as admin, admin.cursor() as cursor:
        if bench.server.flavor is Flavor.MYSQL:
            cursor.execute("SET SESSION cte_max_recursion_depth = 10000000")
        for number, rows in enumerate(sizes):
            cursor.execute(f"DROP TABLE IF EXISTS t{number}")
            cursor.execute(
                f"CREATE TABLE t{number} (id INT PRIMARY KEY, a INT, b VARCHAR(80), c VARCHAR(80), d DOUBLE)"
            )
            cursor.execute(f"INSERT INTO t{number} SELECT {values} FROM {bench.numbers(rows)}")
            if halved:  # before there are indexes, as that is much sooner done
                cursor.execute(f"DELETE FROM t{number} WHERE id % 2 = 0")
            cursor.execute(f"ALTER TABLE t{number} ADD KEY (a), ADD KEY (b)")
    settle(bench)
    with bench.server.admin("large", within=3600) as admin, admin.cursor() as cursor:
        for number in range(len(sizes)):
            cursor.execute(f"ANALYZE TABLE t{number}")


def settle(bench: Bench) -> None:
    """Wait until deleted rows are purged: that locks the tables for a moment, again and again."""
    with bench.server.admin(within=3600) as admin, admin.cursor() as cursor:
        if bench.server.flavor is Flavor.MARIADB:
            cursor.execute("SET GLOBAL innodb_max_purge_lag_wait = 0")
            return
        for _ in range(600):
            cursor.execute("SELECT count FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'")
            if cursor.fetchone()[0] < 50:
                return
            time.sleep(0.2)


async def progress(bench: Bench, jobs: int, names: Sequence[str], *, small: bool) -> None:
    sizes = [rows * bench.scale for rows in (SMALL_LARGE if small else LARGE)]
    with bench.server.admin(within=60) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS large")
    make_large(bench, sizes)
    for name in names:
        operation, watched = WATCHED[name]
        options = replace(watched, jobs=jobs)
        runs: list[list[PastJob]] = [[] for _ in range(EARLIER)]
        for _ in range(bench.rounds):
            with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
                async with Engine.open(Path(directory) / "jobs.db", workers=1) as engine:
                    for found in runs:
                        if operation is Operation.OPTIMIZE:
                            make_large(bench, sizes, halved=True)
                        request = Request(target=bench.server.url("large"), operations=(operation,), options=options)
                        found.append(await run_job(engine, request, watched=True))
        for earlier, found in enumerate(runs):
            off = sorted(run.points_off for run in found if run.reported)
            left = sorted(run.left_off for run in found if run.left_off is not None)
            print(
                f"{name:10} {jobs} at once, with {earlier} earlier: {median(run.whole for run in found):5.1f} s"
                f" | percent {_spread(off, 'points')} | time left {_spread(left, '% of the whole')}"
                f" | {len(found)} runs",
                flush=True,
            )


def _spread(found: Sequence[float], unit: str) -> str:
    return f"off by {median(found):.1f} {unit} ({found[0]:.1f} to {found[-1]:.1f})" if found else "not told"


async def measure(
    bench: Bench, parts: Sequence[str], jobs: Sequence[int], operations: Sequence[str], *, small: bool
) -> None:
    known = cases(small=small)
    for part in parts:
        if part in known:
            for number in jobs or (1, 2, 4):
                await compare(bench, known[part], number)
        elif part == "advice":
            await advice(bench, known["needed"].content)
        else:
            for number in jobs or (1,):
                await progress(bench, number, operations, small=small)


def main(arguments: Sequence[str] = ()) -> None:
    """With no arguments everything, in some minutes."""
    parts = [*cases(small=True), "advice", "progress"]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mysql", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all where none is named")
    parser.add_argument("--jobs", type=int, action="append", help="steps at once; may be repeated (1 2 4; progress 1)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--op", choices=WATCHED, action="append", help="of progress; may be repeated (all)")
    parser.add_argument("--small", action="store_true", help="smaller tables, and fewer")
    parser.add_argument("--scale", type=int, default=1, help="of progress: so many times the rows")
    parser.add_argument("--mysql", action="store_true", help="on MySQL; advice and progress alone")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(parts):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    flavor = Flavor.MYSQL if options.mysql else Flavor.MARIADB
    if options.mysql and set(options.parts) - {"advice", "progress"}:
        parser.error("--mysql goes with the parts advice and progress")
    program = servers_found().get(flavor)
    if program is None:
        print(NO_SERVER[flavor])
        return
    with running_server(flavor, program) as server:
        bench = Bench(server, options.rounds, options.scale)
        asyncio.run(
            measure(
                bench,
                options.parts or (["advice", "progress"] if options.mysql else parts),
                options.jobs or (),
                options.op or list(WATCHED),
                small=options.small,
            )
        )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
