"""Maintenance of PostgreSQL against its own tools, vacuumdb and reindexdb: python -m benchmarks.postgres [ROUNDS]

Each round gives each side a fresh copy of the same database, in turns; what counts is the ratio within a round.
Of dbtend it is a job on an engine in this process, from its submit to its end, with everything that is stored of it.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from engine import Engine, Operation, Options, Request, ServerOptions, Status
from tests.postgres_server import NO_SERVER, PostgresServer, servers_found

JOBS = 2
BIG_ROWS = 1_000_000
SMALL_TABLES = 200


@dataclass(frozen=True, slots=True)
class Trial:
    """The same work, by a tool of PostgreSQL and by dbtend."""

    name: str
    tool: Sequence[str]
    operation: Operation
    server: ServerOptions


TRIALS = (
    Trial("VACUUM ANALYZE", ("vacuumdb", "--analyze"), Operation.VACUUM, ServerOptions(analyze=True)),
    Trial("REINDEX", ("reindexdb",), Operation.REINDEX, ServerOptions(offline=True)),
    Trial("REINDEX CONCURRENTLY", ("reindexdb", "--concurrently"), Operation.REINDEX, ServerOptions()),
    Trial("what is needed", ("vacuumdb", "--analyze"), Operation.OPTIMIZE, ServerOptions()),
)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 5
    found = servers_found()
    if not found:
        print(NO_SERVER)
        return
    server = PostgresServer(found[max(found)])
    try:
        server.start()
        _fill(server)
        print(f"PostgreSQL {max(found)}, {JOBS} at once, {rounds} rounds, medians")
        for trial in TRIALS:
            print(_result(server, trial, rounds), flush=True)
    finally:
        server.discard()


def _fill(server: PostgresServer) -> None:
    """One large table with five indexes and many small ones; a quarter of the rows of the large one is dead."""
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE base")
    with psycopg.connect(server.url("base"), autocommit=True) as base:
        base.execute("CREATE TABLE big (id int PRIMARY KEY, a int, b int, c text, d text)")
        base.execute(
            "INSERT INTO big SELECT g, g % 1000, g / 7, 'name ' || g, md5(g::text)"
            f" FROM generate_series(1, {BIG_ROWS}) AS g"
        )
        for column in "abcd":
            base.execute(f"CREATE INDEX ON big ({column})")
        for number in range(SMALL_TABLES):
            base.execute(f"CREATE TABLE small{number} (id int PRIMARY KEY, note text)")
            base.execute(f"INSERT INTO small{number} SELECT g, 'note ' || g FROM generate_series(1, 500) AS g")
            base.execute(f"CREATE INDEX ON small{number} (note)")
        base.execute("VACUUM ANALYZE")
        base.execute("DELETE FROM big WHERE id % 4 = 0")


def _result(server: PostgresServer, trial: Trial, rounds: int) -> str:
    theirs: list[float] = []
    ours: list[float] = []
    for number in range(rounds):
        sides: list[tuple[list[float], Callable[[str], float]]] = [
            (theirs, lambda name: _by_tool(server, trial, name)),
            (ours, lambda name: asyncio.run(_by_dbtend(server, trial, name))),
        ]
        for times, run in sides if number % 2 else reversed(sides):
            times.append(_on_a_copy(server, run))
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return (
        f"{trial.name:22} {trial.tool[0]:10} {statistics.median(theirs):6.2f} s"
        f"  dbtend {statistics.median(ours):6.2f} s  ratio {ratio:.2f}"
    )


def _on_a_copy(server: PostgresServer, run: Callable[[str], float]) -> float:
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE copy TEMPLATE base")
        try:
            # A copy begins without counters; what was deleted must be known to it, as it is to a server that runs.
            with psycopg.connect(server.url("copy"), autocommit=True) as copy:
                copy.execute(f"DELETE FROM big WHERE id % 4 = 1 AND id < {BIG_ROWS // 2}")
                copy.execute("SELECT pg_stat_force_next_flush()")
            admin.execute("CHECKPOINT")
            return run("copy")
        finally:
            admin.execute("DROP DATABASE copy WITH (FORCE)")


def _by_tool(server: PostgresServer, trial: Trial, name: str) -> float:
    program, *options = trial.tool
    where = ["-h", str(server.base), "-U", "postgres", name]
    command = [str(server.binaries / program), *options, "-j", str(JOBS), *where]
    began = time.perf_counter()
    subprocess.run(command, env=server.environment, check=True, capture_output=True)
    return time.perf_counter() - began


async def _by_dbtend(server: PostgresServer, trial: Trial, name: str) -> float:
    options = Options(jobs=JOBS, confirmed=True, server=trial.server)
    request = Request(target=server.url(name), operations=(trial.operation,), options=options)
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        async with Engine.open(Path(directory) / "jobs.db", workers=1) as engine:
            began = time.perf_counter()
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
            took = time.perf_counter() - began
    assert job.status is Status.COMPLETED, job.children[0].error
    return took


if __name__ == "__main__":
    main()
