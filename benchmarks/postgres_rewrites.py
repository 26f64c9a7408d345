"""Rewrites of a table under pgbench: python -m benchmarks.postgres_rewrites [--scale N] [--rounds N]

vacuum-full and repack of dbtend on PostgreSQL 19, and pg_repack by its own client on 18, each on a fresh copy of a
pgbench database whose largest table is half dead space. pgbench has two clients, from before the rewrite until after.
Told are the seconds of the rewrite, the longest transaction of pgbench, and whether the content is right: what its
tables say of the sums must agree, and amcheck must find each row in each index.

A release candidate of 19 is taken for a released version here: pgbench has no long values.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

import psycopg

from benchmarks.server_runs import run_job
from engine import Engine, Operation, Options, Request, ServerOptions
from engine.targets.postgres.planning import repack_steps
from tests.postgres_server import NOT_UNPACKED, PostgresServer, running_server, servers_unpacked

SECONDS: Final = 30
"""Of pgbench."""
TABLE: Final = "public.pgbench_accounts"
CONTENT: Final = """
SELECT (SELECT count(*) FROM pgbench_accounts), (SELECT sum(abalance) FROM pgbench_accounts)
    = (SELECT sum(delta) FROM pgbench_history) AND (SELECT sum(abalance) FROM pgbench_accounts)
    = (SELECT sum(bbalance) FROM pgbench_branches)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    seconds: float
    longest: float
    """Seconds of a transaction."""
    usual: float
    before: int
    after: int
    """Bytes of table and indexes."""


def fill(server: PostgresServer, scale: int) -> None:
    """A database `bench` to copy."""
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE bench")
    where = ["-h", str(server.base), "-U", "postgres", "bench"]
    pgbench = str(server.binaries / "pgbench")
    command = [pgbench, "--initialize", "--quiet", f"--scale={scale}", *where]
    subprocess.run(command, env=server.environment, check=True, capture_output=True)
    with psycopg.connect(server.url("bench"), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION amcheck")
        admin.execute("UPDATE pgbench_accounts SET filler = filler")
        admin.execute("VACUUM ANALYZE pgbench_accounts")


async def rewrite_under_load(server: PostgresServer, rewrite: Callable[[str], Awaitable[None]]) -> Outcome:
    with psycopg.connect(server.url(), autocommit=True) as admin, tempfile.TemporaryDirectory() as directory:
        admin.execute("CREATE DATABASE copy TEMPLATE bench")
        with psycopg.connect(server.url("copy"), autocommit=True) as copy:
            before = _size(copy)
            (rows,) = copy.execute("SELECT count(*) FROM pgbench_accounts").fetchone() or (0,)
            load = [
                str(server.binaries / "pgbench"), "--client=2", "--jobs=2", f"--time={SECONDS}", "--log", "--no-vacuum",
                "-h", str(server.base), "-U", "postgres", "copy",
            ]  # fmt: skip
            loading = await asyncio.create_subprocess_exec(
                *load, cwd=directory, env=server.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            await asyncio.sleep(2)
            began = time.perf_counter()
            await rewrite("copy")
            took = time.perf_counter() - began
            if loading.returncode is not None:
                raise RuntimeError(f"the rewrite took longer than the {SECONDS} s of pgbench: give a smaller --scale")
            if await loading.wait() != 0:
                raise RuntimeError("a transaction of pgbench failed")
            if copy.execute(CONTENT).fetchone() != (rows, True):
                raise RuntimeError("the content is wrong")
            copy.execute(
                "SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid = 'pgbench_accounts'::regclass"
            )
            after = _size(copy)
        admin.execute("DROP DATABASE copy WITH (FORCE)")
        latencies = _latencies(Path(directory))
    return Outcome(took, max(latencies), median(latencies), before, after)


def _latencies(directory: Path) -> list[float]:
    """Seconds of each transaction that pgbench has logged there."""
    return [int(line.split()[2]) / 1e6 for log in directory.iterdir() for line in log.read_text().splitlines()]


def _size(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_total_relation_size('pgbench_accounts')").fetchone()
    assert row is not None
    return int(row[0])


async def by_dbtend(server: PostgresServer, operation: Operation, name: str) -> None:
    waits = ServerOptions(snapshot_wait=SECONDS if operation is Operation.REPACK else None)
    options = Options(objects=(TABLE,), confirmed=True, server=waits)
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        async with Engine.open(Path(directory) / "jobs.db", workers=1) as engine:
            await run_job(engine, Request(target=server.url(name), operations=(operation,), options=options))


async def by_pg_repack(server: PostgresServer, name: str) -> None:
    where = ["-h", str(server.base), "-U", "postgres", "-d", name]
    command = [str(server.binaries / "pg_repack"), "--no-kill-backend", f"--table={TABLE}", *where]
    program = await asyncio.create_subprocess_exec(
        *command, env=server.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, said = await program.communicate()
    if program.returncode != 0:
        raise RuntimeError(said.decode())


async def measure(newest: PostgresServer, older: PostgresServer, scale: int, rounds: int) -> None:
    fill(newest, scale)
    fill(older, scale)
    with psycopg.connect(older.url("bench"), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION pg_repack")
    sides: dict[str, tuple[PostgresServer, Callable[[str], Awaitable[None]]]] = {
        "vacuum-full, 19": (newest, lambda name: by_dbtend(newest, Operation.VACUUM_FULL, name)),
        "repack, 19": (newest, lambda name: by_dbtend(newest, Operation.REPACK, name)),
        "pg_repack, 18": (older, lambda name: by_pg_repack(older, name)),
    }
    found: dict[str, list[Outcome]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (server, rewrite) in sides.items():
            found[name].append(await rewrite_under_load(server, rewrite))
    for name, runs in found.items():
        longest = sorted(run.longest for run in runs)
        print(
            f"{name}: {median(run.seconds for run in runs):.1f} s,"
            f" {runs[0].before / 1e6:.0f} -> {runs[0].after / 1e6:.0f} MB,"
            f" longest transaction {median(longest):.3f} s ({longest[0]:.3f} to {longest[-1]:.3f}),"
            f" usual {median(run.usual for run in runs) * 1000:.1f} ms, content equal, {len(runs)} runs",
            flush=True,
        )


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.postgres_rewrites",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", type=int, default=10, help="of pgbench: 100,000 rows each (10)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    found = servers_unpacked()
    if not {18, 19} <= found.keys():
        print(NOT_UNPACKED)
        return
    with ExitStack() as stack:
        stack.enter_context(patch.object(repack_steps, "is_unreleased", lambda version_text: False))
        newest, older = (stack.enter_context(running_server(found[major])) for major in (19, 18))
        asyncio.run(measure(newest, older, options.scale, options.rounds))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
