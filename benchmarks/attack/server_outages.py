"""A server that is stopped, crashes, loses a process, refuses connections or is held up, in the middle of a job."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from benchmarks.attack.directories import attack_directory
from engine import Engine, Operation, Options, ParentJob, Request, ServerOptions, Status
from engine.targets.outage import TEMPORARY_ERRORS
from tests.postgres_server import PostgresServer, servers_found

TABLES = 12
OURS = "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^dbtend' AND backend_type = 'client backend'"
INVALID = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
FOLLOW_UP = "ONLY_DATABASE_STATS"
ENDS_WITHIN = 120.0


def attack(count: int, seed: int) -> Iterator[str]:
    """One job after the other on one server, each with a mishap of its own."""
    found = servers_found()
    if not found:
        return
    dice = random.Random(seed)
    server = PostgresServer(found[max(found)])
    try:
        server.start()
        with psycopg.connect(server.url(), autocommit=True) as admin:
            for number in range(TABLES):
                admin.execute(f"CREATE TABLE t{number} (a int, b text)")
                admin.execute(f"INSERT INTO t{number} SELECT g, md5(g::text) FROM generate_series(1, 20000) AS g")
                admin.execute(f"CREATE INDEX i{number} ON t{number} (b)")
            admin.execute("CHECKPOINT")
        for number in range(count):
            for fault in asyncio.run(_one(server, dice)):
                yield f"job {number}, seed {seed}: {fault}"
    finally:
        server.discard()


async def _one(server: PostgresServer, dice: random.Random) -> list[str]:
    operation = dice.choice((Operation.REINDEX, Operation.ANALYZE, Operation.VACUUM))
    options = Options(
        jobs=dice.choice((1, 3)),
        time_limit=dice.choice((None, None, 2.0)),
        server=ServerOptions(
            schemas=("public",),
            server_wait=dice.choice((1.0, 60.0)),
            snapshot_wait=5.0 if operation is Operation.REINDEX else None,
        ),
    )
    request = Request(target=server.url(), operations=(operation,), options=options)
    mishap = dice.choice(("fast", "immediate", "backend", "terminate", "snapshot", "none"))
    with attack_directory() as directory:
        async with Engine.open(Path(directory) / "jobs.db", workers=1) as engine:
            (job,) = await _submitted(engine, request)
            await asyncio.sleep(dice.random() * 1.5)
            await asyncio.to_thread(_mishap, server, mishap, dice.random() * 3)
            try:
                async with asyncio.timeout(ENDS_WITHIN):
                    (job,) = await engine.wait([job.id])
            except TimeoutError:
                return [f"{mishap}: {operation} does not end"]
    return [f"{mishap}: {fault}" for fault in _faults(job, server)]


async def _submitted(engine: Engine, request: Request) -> Sequence[ParentJob]:
    """Once the server has recovered from the mishap before."""
    async with asyncio.timeout(ENDS_WITHIN):
        while True:
            try:
                return await engine.submit([request])
            except TEMPORARY_ERRORS:
                await asyncio.sleep(0.1)


def _mishap(server: PostgresServer, kind: str, lasts: float) -> None:
    if kind in {"fast", "immediate"}:
        server.stop(signal.SIGINT if kind == "fast" else signal.SIGQUIT)
        time.sleep(lasts)
        server.start()
        return
    with psycopg.connect(server.url(), autocommit=True) as admin:
        pids = [pid for (pid,) in admin.execute(OURS).fetchall()]
        if kind == "terminate" and pids:
            admin.execute("SELECT pg_terminate_backend(%s)", [pids[-1]])
        elif kind == "backend" and pids:
            os.kill(pids[-1], signal.SIGKILL)
        elif kind == "snapshot":
            admin.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            admin.execute("SELECT count(*) FROM t0")
            time.sleep(lasts)


def _faults(job: ParentJob, server: PostgresServer) -> Iterator[str]:
    (child,) = job.children
    steps = {step.number: step for step in child.steps}
    if any(step.status is Status.RUNNING for step in steps.values()):
        yield "a step of a job that is over is said to run"
    if "internal error" in str(child.error):
        yield str(child.error)
    if child.is_complete and any(step.status is not Status.COMPLETED for step in steps.values()):
        yield "it is complete, and steps of it are not"
    if child.is_partly_completed and not child.left:
        yield "it is done in part, and nothing is left"
    work = [step for step in steps.values() if FOLLOW_UP not in step.command]  # only work counts as left
    left = sum(step.status is Status.SKIPPED and step.reason is not None for step in work)
    if child.left < left:
        yield f"{left} steps are not begun, and {child.left} are left"
    said = " ".join((*child.warnings, *(line.message for line in child.log), str(child.error)))
    for name in _removed_leftovers(server):
        base = name.partition("_cc")[0]
        if name not in said and f"unfinished copy of public.{base} is left" not in said:
            yield f"{name} is left over, and no message names it"


def _removed_leftovers(server: PostgresServer) -> list[str]:
    """The invalid indexes, which are removed. A server that lost a process may end a new connection, too."""
    give_up, found = time.monotonic() + ENDS_WITHIN, list[str]()
    while True:
        try:
            with psycopg.connect(server.url(), autocommit=True) as admin:
                for (name,) in admin.execute(INVALID).fetchall():
                    admin.execute(f"DROP INDEX {name}")
                    found.append(name)
                return found
        except psycopg.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
