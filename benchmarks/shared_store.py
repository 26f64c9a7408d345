"""The shared store, beside procrastinate alone and the embedded store: python -m benchmarks.shared_store [PART...]

All are durable, on one disk: fsync is on. Jobs do nothing, on 64 targets; procrastinate keeps them apart by its locks.
All processes have done others before, so that their connections have planned what they ask. Each is measured in turn;
medians count, and the medians of the ratios of pairs. Each line comes when it is known.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from procrastinate.schema import SchemaManager

from benchmarks.engine_throughput import engine_throughput
from benchmarks.idle import cpu_seconds
from benchmarks.shared_history import fill, history_pages
from engine.domain.engines import EngineName
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation, Request
from engine.store.postgres.store import PostgresStore
from engine.store.protocol import NewJob
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer, servers_found
from tests.shared_stores import copied_store, make_template

TARGETS = 64
WARM_UP = 20
PROCRASTINATE_WITHIN = 30
"""Seconds for the jobs of procrastinate: the next of a lock that was let go may wait for its poll."""
PROCESSES = (1, 2, 4)
SETTINGS = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "autovacuum=on", "max_connections=100")
WORKER = """
import asyncio, sys
from engine.domain.claims import Outcome
from engine.domain.jobs import JobType
from engine.domain.statuses import Reason, Status
from engine.execution.processor import Hosting, JobProcessor
from engine.execution.supervision import supervising
from engine.domain.statuses import Status
from engine.store.postgres.store import PostgresStore
from engine.system.clock import now

class Worker:
    async def execute(self, claim, reporter, cancel):
        if claim.recovering is not None:
            return Outcome(status=Status.CANCELLED, reason=claim.recovering)
        if "waits" in claim.target:
            await cancel.wait()
            return Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER)
        return Outcome(status=Status.COMPLETED)

async def main():
    async with PostgresStore.open(sys.argv[1], what="store") as store, supervising(store):
        async with store.hosting_workers() as owner:
            processor = JobProcessor(
                store, {JobType.OPERATION: Worker()}, Hosting(owner=owner, concurrency=8), now)
            async with processor.running():
                print("up", flush=True)
                await asyncio.Event().wait()

asyncio.run(main())
"""
PROCRASTINATE = """
import asyncio, logging, sys, procrastinate
logging.disable(logging.CRITICAL)

async def main():
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1], min_size=1, max_size=4))
    @app.task(name="noop")
    async def noop():
        pass
    async with app.open_async():
        print("up", flush=True)
        while True:
            try:
                await app.run_worker_async(
                    concurrency=8, install_signal_handlers=False, fetch_job_polling_interval=1)
            except procrastinate.exceptions.ConnectorException:
                pass  # another one was faster with a lock: its worker ends

asyncio.run(main())
"""
DEFER = """SELECT procrastinate_defer_jobs_v1((SELECT array_agg(
    ROW('any', 'noop', 0, 't' || n %% %s, NULL, '{}'::jsonb, NULL)::procrastinate_job_to_defer_v1)
    FROM generate_series(1, %s) AS n))"""
RAN = """SELECT
    extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded') - min(at) FILTER (WHERE type = 'started'))::float8,
    count(*) FILTER (WHERE type = 'succeeded') FROM procrastinate_events"""


def new_job(target: object, *operations: Operation) -> NewJob:
    request = Request(target=f"sqlite:///bench/{target}.db", operations=operations or (Operation.VACUUM,))
    return NewJob(request=request, engine=EngineName.SQLITE, target_key=f"bench {target}")


def told(values: Sequence[float], unit: str = "ms") -> str:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered):.1f}, p99 {p99:.1f} {unit} (n={len(ordered)})"


@contextmanager
def processes(script: str, url: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
        time.sleep(1)  # until it listens
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@asynccontextmanager
async def a_store(server: PostgresServer) -> AsyncIterator[tuple[PostgresStore, psycopg.Connection[Any], str]]:
    with copied_store(server) as url, as_admin(url) as admin:
        admin.execute("SET search_path = dbtend")
        async with PostgresStore.open(url, what="store") as store:
            yield store, admin, url


async def until_over(store: PostgresStore) -> None:
    while await store.has_open_jobs():  # noqa: ASYNC110 - so it is asked
        await asyncio.sleep(0.02)


class Rate(NamedTuple):
    """How fast jobs were done."""

    a_second: float
    at_work: float
    """Milliseconds of a processor for each, of the processes and the server."""


async def shared_rate(server: PostgresServer, options: argparse.Namespace, count: int) -> Rate:
    async with a_store(server) as (store, admin, url):
        with processes(WORKER, url, count) as workers:

            async def run(jobs: int) -> float:
                """Returns the seconds that the jobs took."""
                after = newest_parent(admin)
                await store.pause("benchmark")
                await store.submit([new_job(number % TARGETS) for number in range(jobs)], OnDuplicate.ADD)
                await store.resume()
                await until_over(store)
                query = "SELECT (max(finished_at) - min(started_at)) / 1e6::float8 FROM child_job WHERE parent_id > %s"
                ((seconds,),) = admin.execute(query, (after,)).fetchall()
                return float(seconds)

            if options.warm_up:
                await run(options.warm_up)
            before = processor_time(admin, workers)
            seconds = await run(options.jobs)
            used = processor_time(admin, workers) - before
    return Rate(options.jobs / seconds, used / options.jobs * 1e3)


def procrastinate_rate(server: PostgresServer, options: argparse.Namespace, count: int) -> Rate:
    """The rate of the jobs that were done in time."""
    with as_admin(server.url()) as admin:
        admin.execute("DROP DATABASE IF EXISTS alone WITH (FORCE)")
        admin.execute("CREATE DATABASE alone")
    with as_admin(server.url("alone")) as admin:
        admin.execute(SchemaManager.get_schema().encode())
        with processes(PROCRASTINATE, server.url("alone"), count) as workers:

            def run(jobs: int) -> tuple[float, int]:
                """Returns the seconds that the jobs took, and the number of those that were done."""
                admin.execute("TRUNCATE procrastinate_events")
                admin.execute(DEFER.encode(), (TARGETS, jobs))
                end, done, seconds = time.monotonic() + PROCRASTINATE_WITHIN, 0, 0.0
                while done < jobs and time.monotonic() < end:
                    time.sleep(0.1)
                    ((seconds, done),) = admin.execute(RAN).fetchall()
                return float(seconds), done

            if options.warm_up:
                run(options.warm_up)
            before = processor_time(admin, workers)
            seconds, done = run(options.jobs)
            used = processor_time(admin, workers) - before
    return Rate(done / seconds, used / done * 1e3)


def processor_time(admin: psycopg.Connection[Any], workers: Sequence[subprocess.Popen[str]]) -> float:
    """Seconds that these processes and those of the server have run so far."""
    used = 0.0
    for pid in [worker.pid for worker in workers] + [
        pid for (pid,) in admin.execute("SELECT pid FROM pg_stat_activity")
    ]:
        with suppress(FileNotFoundError):
            used += cpu_seconds(pid)
    return used


async def latencies(server: PostgresServer, options: argparse.Namespace) -> AsyncIterator[str]:
    probes = options.probes
    async with a_store(server) as (store, admin, url):
        with processes(WORKER, url, 2) as workers:

            def asked(query: str) -> str:
                """In milliseconds."""
                return told([value for (value,) in admin.execute(query.encode()).fetchall() if value is not None])

            for number in range(WARM_UP):  # each process has planned each statement
                await store.submit([new_job(number, Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.ADD)
            await until_over(store)
            after = newest_parent(admin)
            calls = []
            for number in range(probes):
                begin = time.perf_counter()
                await store.submit([new_job(number % TARGETS)], OnDuplicate.ADD)
                calls.append((time.perf_counter() - begin) * 1e3)
                await asyncio.sleep(0.03)
            await until_over(store)
            yield f"a submit: {told(calls)}"
            yield "submit to start: " + asked(
                f"""SELECT (c.started_at - p.created_at) / 1e3::float8 FROM parent_job AS p
                JOIN child_job AS c ON parent_id = id WHERE id > {after}"""
            )
            after = newest_parent(admin)
            for number in range(probes // 2):
                await store.submit([new_job(number, Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.ADD)
                await asyncio.sleep(0.03)
            await until_over(store)
            yield "end to next child: " + asked(
                f"""SELECT (b.started_at - a.finished_at) / 1e3::float8 FROM child_job AS a JOIN child_job AS b
                ON a.parent_id = b.parent_id AND a.ordinal = 1 AND b.ordinal = 2 WHERE a.parent_id > {after}"""
            )
            after = newest_parent(admin)
            await store.submit([new_job("one")] * (probes // 2), OnDuplicate.ADD)
            await until_over(store)
            yield "target freed to next job: " + asked(
                f"""SELECT (lead(started_at) OVER (ORDER BY started_at) - finished_at) / 1e3::float8 FROM child_job
                WHERE parent_id > {after}"""
            )
            yield f"cancel: {told([await cancel(store, number) for number in range(probes // 2)])}"
            yield f"event seen by another store: {told(await events_seen(url, store, probes))}"
            yield f"rescue: {told([await rescue(store, admin, url) for _ in range(max(probes // 20, 3))])}"
            assert all(process.poll() is None for process in workers)


def newest_parent(admin: psycopg.Connection[Any]) -> int:
    ((newest,),) = admin.execute("SELECT coalesce(max(id), 0) FROM parent_job").fetchall()
    return int(newest)


async def running(store: PostgresStore, target: str) -> int:
    (parent_id,) = await store.submit([new_job(target)], OnDuplicate.ADD)
    while (await store.job(parent_id)).children[0].started_at is None:  # noqa: ASYNC110 - so it is asked
        await asyncio.sleep(0.005)
    return parent_id


async def cancel(store: PostgresStore, number: int) -> float:
    parent_id = await running(store, f"waits{number}")
    begin = time.perf_counter()
    await store.request_cancel(JobId(parent_id))
    seen = store.last_change()
    while not (await store.job(parent_id)).status.is_final:
        await store.next_change(seen)
        seen = store.last_change()
    return (time.perf_counter() - begin) * 1e3


async def events_seen(url: str, store: PostgresStore, probes: int) -> list[float]:
    """Milliseconds from the commit of a write, as its caller sees it, until another store knows of it."""
    found = []
    async with PostgresStore.open(url, what="store") as other:
        for number in range(probes):
            seen = other.last_change()
            noticed = asyncio.create_task(other.next_change(seen))
            await asyncio.sleep(0)
            begin = time.perf_counter()
            await (store.pause("b") if number % 2 == 0 else store.resume())
            await noticed
            found.append((time.perf_counter() - begin) * 1e3)
        await store.resume()
    return found


async def rescue(store: PostgresStore, admin: psycopg.Connection[Any], url: str) -> float:
    """Milliseconds from the kill until the store has its child back."""
    with processes(WORKER, url, 1) as (victim,):
        while True:
            parent_id = await running(store, "waits_for_rescue")
            ((pid,),) = admin.execute("SELECT pid FROM child_job WHERE parent_id = %s", (parent_id,)).fetchall()
            if pid == victim.pid:
                break
            await cancel_running(store, parent_id)
        killed_at = time.time()
        victim.kill()
        lost: list[Any] = []
        while not lost:
            query = "SELECT finished_at FROM attempt WHERE parent_id = %s"
            lost = admin.execute(query, (parent_id,)).fetchall()
            await asyncio.sleep(0.005)
        await cancel_running(store, parent_id)
    return float(lost[0][0] / 1e3 - killed_at * 1e3)


async def cancel_running(store: PostgresStore, parent_id: int) -> None:
    await store.request_cancel(JobId(parent_id))
    while not (await store.job(parent_id)).status.is_final:  # noqa: ASYNC110 - so it is asked
        await asyncio.sleep(0.005)


async def idle(server: PostgresServer, seconds: float) -> str:
    """By process: the shares of a core of itself and of its sessions, queries a second, connections."""
    async with a_store(server) as (_, admin, url):
        commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        sessions = (
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'dbtend%' AND datname = current_database()"
        )
        others = {pid for (pid,) in admin.execute(sessions)}
        with processes(WORKER, url, 2) as workers:
            await asyncio.sleep(5)
            backends = {pid for (pid,) in admin.execute(sessions)} - others

            def used() -> tuple[float, float, int]:
                ((number,),) = admin.execute(commits).fetchall()
                own = sum(cpu_seconds(process.pid) for process in workers)
                return own, sum(map(cpu_seconds, backends)), number

            before = used()
            await asyncio.sleep(seconds)
            own, at_server, queries = (b - a for a, b in zip(before, used(), strict=True))
    each = seconds * len(workers)
    return (
        f"{own / each:.2%} of a core, and {at_server / each:.2%} at the server; {queries / each:.1f} queries a second; "
        f"{len(backends) / len(workers):.1f} connections"
    )


async def throughput(server: PostgresServer, options: argparse.Namespace) -> AsyncIterator[str]:
    for count in PROCESSES:
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(await shared_rate(server, options, count))
            theirs.append(await asyncio.to_thread(procrastinate_rate, server, options, count))
        ratios = [shared.a_second / alone.a_second for shared, alone in zip(ours, theirs, strict=True)]
        yield (
            f"jobs a second, {count} processes: {rate(ours)}; procrastinate alone, with locks: {rate(theirs)};"
            f" ratio {statistics.median(ratios):.2f} {[round(ratio, 2) for ratio in ratios]}"
        )
    embedded = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as directory:
            embedded.append(await engine_throughput(Path(directory), options.jobs))
    yield f"jobs a second, embedded store, 1 process: {statistics.median(embedded):.0f}"


def rate(rates: Sequence[Rate]) -> str:
    a_second, at_work = (statistics.median(values) for values in zip(*rates, strict=True))
    return f"{a_second:.0f}, of a processor {at_work:.1f} ms each"


async def idle_use(server: PostgresServer, options: argparse.Namespace) -> AsyncIterator[str]:
    yield f"idle, per process: {await idle(server, options.idle)}"


async def history(server: PostgresServer, options: argparse.Namespace) -> AsyncIterator[str]:
    async with a_store(server) as (store, admin, _):
        begin = time.perf_counter()
        fill(admin, options.history)
        yield f"history: {options.history:,} parents made in {time.perf_counter() - begin:.0f} s"
        async for name, times, at_work in history_pages(store, options.history):
            yield f"history page of 50, {name}: {told(times)}; of a processor here: {told(at_work)}"


PARTS: Final[Mapping[str, Callable[[PostgresServer, argparse.Namespace], AsyncIterator[str]]]] = {
    "throughput": throughput,
    "latencies": latencies,
    "idle": idle_use,
    "history": history,
}


async def measure(server: PostgresServer, options: argparse.Namespace) -> None:
    print(f"{disk(server)}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    for name in options.parts or PARTS:
        begin = time.perf_counter()
        async for line in PARTS[name](server, options):
            print(line, flush=True)
        print(f"({name}: {time.perf_counter() - begin:.0f} s, load {os.getloadavg()[0]:.1f})", flush=True)


def disk(server: PostgresServer) -> str:
    """How long it takes the disk of the server to keep a page."""
    times = []
    with tempfile.TemporaryFile(dir=server.base) as file:
        for _ in range(100):
            file.write(b"x" * 8192)
            file.flush()
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin) * 1e3)
    return f"fdatasync {told(times)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--jobs", type=int, default=600)
    parser.add_argument(
        "--warm-up", type=int, default=600, metavar="JOBS", help="that all processes have done before; 0: none"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--probes", type=int, default=100)
    parser.add_argument("--idle", type=float, default=15.0, metavar="SECONDS")
    parser.add_argument("--history", type=int, default=1_000_000, metavar="PARENTS")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    found = servers_found()
    server = PostgresServer(found[max(found)], SETTINGS)
    try:
        server.start()
        make_template(server)
        asyncio.run(measure(server, options))
    finally:
        server.discard()


if __name__ == "__main__":
    main()
