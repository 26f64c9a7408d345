"""Maintenance of PostgreSQL beside vacuumdb and reindexdb: python -m benchmarks.postgres [PART ...] [--jobs N ...]

Both get a fresh copy of the same database, in turn (A B, B A, ...); medians. Of the tool the whole process counts; of
dbtend the steps, from the start of the first to the end of the last; these with the look before them, which finds out
what there is to do; and all from submit to end. The ratio is that within a round. Of dbtend it is a job on an engine in
this process, with all that is stored of it.

vacuum, reindex, concurrently  a database with something to do: one table of 430 MB with five indexes, 200 small ones
vacuum-short, reindex-short    one that is done in a second or two: a table of 90 MB, 20 of medium size, 200 small ones
many, very-many                VACUUM ANALYZE of 5,000 tables that are all tiny, and of 20,000
needed                         what the advice calls for where a few of many tables have changed
advice                         how long the advice itself takes there, and the memory of the process
polling                        a long VACUUM with the look at its progress and without, in turn
progress                       how far percent and elapsed share are apart, in a first run and in one with a history
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

import psycopg

from benchmarks.postgres_databases import LARGE, LONG, MANY, MIXED, VERY_MANY, Content, fill, make_dirty
from benchmarks.server_runs import PastJob, in_turn, run_job
from engine import Engine, Operation, Options, Request, ServerOptions
from engine.targets.postgres.running import monitor
from tests.postgres_server import NO_SERVER, PostgresServer, servers_found
from tui.cli import COLLECT_AFTER


@dataclass(frozen=True, slots=True)
class Case:
    """The same work, by a tool of PostgreSQL and by dbtend."""

    name: str
    content: Content
    tool: Sequence[str]
    operation: Operation
    server: ServerOptions


VACUUM: Final = Case("VACUUM ANALYZE", LARGE, ("vacuumdb", "--analyze"), Operation.VACUUM, ServerOptions(analyze=True))
REINDEX: Final = Case("REINDEX", LARGE, ("reindexdb",), Operation.REINDEX, ServerOptions(offline=True))
CASES: Final = {
    "vacuum": VACUUM,
    "reindex": REINDEX,
    "concurrently": Case(
        "REINDEX CONCURRENTLY", LARGE, ("reindexdb", "--concurrently"), Operation.REINDEX, ServerOptions()
    ),
    "vacuum-short": replace(VACUUM, name="VACUUM ANALYZE, short", content=MIXED),
    "reindex-short": replace(REINDEX, name="REINDEX, short", content=MIXED),
    "many": replace(VACUUM, name="VACUUM ANALYZE, tiny tables", content=MANY),
    "very-many": replace(VACUUM, name="VACUUM ANALYZE, very many tiny tables", content=VERY_MANY),
    "needed": Case("what is needed", MANY, ("vacuumdb", "--analyze"), Operation.OPTIMIZE, ServerOptions()),
}
NO_LOOKS: Final = 1e9
"""Seconds until the first look at the progress of a step."""


class Bench:
    """A server with the databases that are copied, each made when it is first asked for."""

    def __init__(self, server: PostgresServer, rounds: int) -> None:
        self.server, self.rounds = server, rounds
        self._made: set[str] = set()

    @contextmanager
    def a_copy(self, content: Content) -> Iterator[str]:
        """The name of a fresh copy, with rows that are dead since."""
        if content.name not in self._made:
            fill(self.server, content)
            self._made.add(content.name)
        with psycopg.connect(self.server.url(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE copy TEMPLATE {content.name} STRATEGY file_copy")
            try:
                make_dirty(self.server, "copy", content)
                admin.execute("CHECKPOINT")
                yield "copy"
            finally:
                admin.execute("DROP DATABASE copy WITH (FORCE)")

    def by_tool(self, case: Case, jobs: int) -> float:
        program, *options = case.tool
        with self.a_copy(case.content) as name:
            where = ["-h", str(self.server.base), "-U", "postgres", name]
            command = [str(self.server.binaries / program), *options, "-j", str(jobs), *where]
            began = time.perf_counter()
            subprocess.run(command, env=self.server.environment, check=True, capture_output=True)
            return time.perf_counter() - began

    async def by_dbtend(self, case: Case, jobs: int) -> PastJob:
        with self.a_copy(case.content) as name, tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
            async with Engine.open(Path(directory) / "jobs.db", workers=1) as engine:
                return await self.run(engine, name, case, jobs)

    async def run(self, engine: Engine, name: str, case: Case, jobs: int, *, watched: bool = False) -> PastJob:
        """`watched`: record its progress."""
        options = Options(jobs=jobs, confirmed=True, server=case.server)
        request = Request(target=self.server.url(name), operations=(case.operation,), options=options)
        return await run_job(engine, request, watched=watched)


async def compare(bench: Bench, case: Case, jobs: int) -> None:
    theirs: list[float] = []
    ours: list[PastJob] = []

    async def tool() -> None:
        theirs.append(bench.by_tool(case, jobs))

    async def dbtend() -> None:
        ours.append(await bench.by_dbtend(case, jobs))

    await in_turn(bench.rounds, tool, dbtend)
    ratios = sorted(run.steps / other for run, other in zip(ours, theirs, strict=True))
    with_look = median(run.with_look / other for run, other in zip(ours, theirs, strict=True))
    whole = median(run.whole / other for run, other in zip(ours, theirs, strict=True))
    print(
        f"{case.name}, {jobs} at once: {case.tool[0]} {median(theirs):.2f} s,"
        f" dbtend {median(run.steps for run in ours):.2f} s: {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        f" | with the look before: {with_look:.2f}"
        f" | {median(run.whole for run in ours):.2f} s from submit to end: {whole:.2f}"
        f" | {len(ours[0].child.steps)} steps, {bench.rounds} pairs",
        flush=True,
    )


async def advice(bench: Bench) -> None:
    with bench.a_copy(MANY) as name, tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        async with Engine.open(Path(directory) / "jobs.db") as engine:
            took = []
            for _ in range(bench.rounds):
                began = time.perf_counter()
                await engine.advise(bench.server.url(name))
                took.append(time.perf_counter() - began)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"advice on {MANY.small:,} tables: {median(took):.2f} s | {most:.0f} MiB at most, all in this process so far")


async def polling(bench: Bench) -> None:
    looking: list[float] = []
    blind: list[float] = []

    async def with_looks() -> None:
        looking.append((await bench.by_dbtend(VACUUM, 1)).steps)

    async def without() -> None:
        with patch.object(monitor, "FIRST_POLL_AFTER", NO_LOOKS):
            blind.append((await bench.by_dbtend(VACUUM, 1)).steps)

    await in_turn(bench.rounds, with_looks, without)
    over = median(a / b for a, b in zip(looking, blind, strict=True)) - 1
    print(f"polling: {median(looking):.2f} s with looks, {median(blind):.2f} s without: {over:+.1%}", flush=True)


async def progress(bench: Bench, jobs: int) -> None:
    """The first run knows sizes only, the second what each step took in the first.

    What is stored is a quarter of a second old: in shorter runs that alone would be many points.
    """
    for name in ("vacuum", "reindex"):
        errors: tuple[list[float], list[float]] = [], []
        for _ in range(max(bench.rounds // 2, 1)):
            with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
                async with Engine.open(Path(directory) / "jobs.db", workers=1) as engine:
                    for found in errors:
                        with bench.a_copy(LONG) as copy:
                            run = await bench.run(engine, copy, CASES[name], jobs, watched=True)
                        found.append(run.points_off)
        first, second = map(median, errors)
        print(
            f"progress of {CASES[name].name}, {jobs} at once: off by {first:.1f} points on average in a first run,"
            f" by {second:.1f} with a history",
            flush=True,
        )


async def measure(bench: Bench, parts: Sequence[str], jobs: Sequence[int]) -> None:
    for part in parts:
        if part in CASES:
            for number in jobs:
                await compare(bench, CASES[part], number)
        elif part == "advice":
            await advice(bench)
        elif part == "polling":
            await polling(bench)
        else:
            await progress(bench, 2)


def main(arguments: Sequence[str] = ()) -> None:
    """With no arguments everything, in some minutes."""
    parts = [*CASES, "advice", "polling", "progress"]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.postgres", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all where none is named")
    parser.add_argument("--jobs", type=int, action="append", help="steps at once; may be repeated (1, 2 and 4)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(parts):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    found = servers_found()
    if not found:
        print(NO_SERVER)
        return
    gc.set_threshold(COLLECT_AFTER)  # as in a worker process
    server = PostgresServer(found[max(found)])
    try:
        server.start()
        print(f"PostgreSQL {max(found)}", flush=True)
        asyncio.run(measure(Bench(server, options.rounds), options.parts or parts, options.jobs or [1, 2, 4]))
    finally:
        server.discard()


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
