"""Each kind of wait on real files and servers: a cancel, SIGTERM, the time limit and the end of a window end it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.attack.directories import attack_directory
from engine import Engine, Status
from engine.domain.errors import DbtendError
from engine.domain.jobs import JobId
from tests import mysql_databases, mysql_server
from tests.mysql_replicas import Replica, replica_of
from tests.mysql_server import MySqlServer
from tests.postgres_databases import new_database
from tests.postgres_server import PostgresServer, servers_found, servers_unpacked
from tests.sqlite_files import make_database

DBTEND: Final = (sys.executable, "-c", "from tui.cli import entry; entry()", "run")
ENDS_WITHIN: Final = 90.0
"""Seconds from what should end it to the end of its process."""
ENDINGS: Final = ("cancel", "SIGTERM", "limit", "window")
LIMIT: Final = ("--time-limit", "3s", "--stop-at-limit")
HOUR: Final = ("--lock-timeout", "3600")
EXIT_CODES: Final = frozenset({0, 1, 3, 5, 130})
_DEFECT: Final = re.compile(r"internal error|Traceback|ResourceWarning")

SLOW_DISK: Final = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>
ssize_t pread64(int file, void *to, size_t count, off64_t at) {
    usleep(2000);
    return ((ssize_t (*)(int, void *, size_t, off64_t)) dlsym(RTLD_NEXT, "pread64"))(file, to, count, at);
}
ssize_t pwrite64(int file, const void *from, size_t count, off64_t at) {
    usleep(5000);
    return ((ssize_t (*)(int, const void *, size_t, off64_t)) dlsym(RTLD_NEXT, "pwrite64"))(file, from, count, at);
}
int fdatasync(int file) {
    usleep(500000);
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(file);
}
int fsync(int file) {
    usleep(500000);
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(file);
}
"""
"""Makes reads, writes and syncs of SQLite as slow as on a disk that has too much to do."""

Waiting = AbstractContextManager[tuple[Sequence[str], Callable[[], object]]]
"""What to call `run` with, and what happens once its job runs."""


def attack(count: int, seed: int) -> Iterator[str]:
    """All kinds of waits in turn; each is ended in all ways, one after the other.

    `seed`: which portion of so many jobs: most of the time is spent waiting, so several portions can run at once.
    """
    with ExitStack() as stack:
        kinds = {**_on_files(), **_on_postgres(stack), **_on_mysql(stack)}
        for number in range(seed * count, (seed + 1) * count):
            delay = random.Random(number).random() * 3
            kind, ending = list(kinds)[number % len(kinds)], ENDINGS[number // len(kinds) % len(ENDINGS)]
            with attack_directory() as home, kinds[kind](Path(home)) as (argv, once_it_runs):
                for fault in asyncio.run(_ended(Path(home), argv, once_it_runs, ending, delay)):
                    yield f"{kind}, {ending}, job {number}: {fault}"


async def _ended(
    home: Path, argv: Sequence[str], once_it_runs: Callable[[], object], ending: str, delay: float
) -> list[str]:
    """The faults of its end."""
    store = home / "jobs.db"
    closes = datetime.now(UTC) + timedelta(seconds=75)  # full minutes count
    limits = {"limit": LIMIT, "window": ("--until", f"{closes:%H:%M}")}.get(ending, ())
    command = [*DBTEND, *argv, "--grace", "1", "--store", str(store), *limits]
    with tempfile.TemporaryFile() as said:
        environment = os.environ | {"TZ": "UTC"}
        process = subprocess.Popen(  # noqa: ASYNC220
            command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=environment
        )
        try:
            if await _runs(store, process):
                await asyncio.sleep(delay)
                await asyncio.to_thread(once_it_runs)
                await asyncio.sleep(delay)
                await _end(store, process, ending)
            left = max((closes - datetime.now(UTC)).total_seconds(), 0.0) if ending == "window" else 0.0
            code = await asyncio.to_thread(process.wait, left + ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        text = os.pread(said.fileno(), 1_000_000, 0).decode(errors="replace")
    if code is None:
        return [f"it does not end: {text[-300:]!r}"]
    faults = [f"it ends with {code}: {text[-300:]!r}"] if code not in EXIT_CODES else []
    if defect := _DEFECT.search(text):
        faults.append(text[max(defect.start() - 100, 0) : defect.end() + 300])
    async with Engine.open(store, workers=0) as engine:
        job = await engine.job(1)
    return faults + [f"{child.operation} is {child.status}" for child in job.children if not child.status.is_final]


async def _runs(store: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until its job runs. False: the process has ended before."""
    while process.poll() is None:
        if store.exists():  # noqa: ASYNC240
            with suppress(DbtendError, sqlite3.Error):
                async with Engine.open(store, workers=0) as engine:
                    if any(child.status is Status.RUNNING for child in (await engine.job(1)).children):
                        return True
        await asyncio.sleep(0.1)
    return False


async def _end(store: Path, process: subprocess.Popen[bytes], ending: str) -> None:
    if ending == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    elif ending == "cancel":
        async with Engine.open(store, workers=0) as engine:
            await engine.cancel(JobId(1))


def _nothing() -> None:
    pass


def _on_files() -> dict[str, Callable[[Path], Waiting]]:
    @contextmanager
    def locked(home: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
        path = make_database(home / "sales.db")
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield (str(path), "--op", "vacuum", *HOUR), _nothing
            other.execute("ROLLBACK")
        other.close()

    @contextmanager
    def in_work(home: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
        path = make_database(home / "sales.db")
        with path.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            yield (str(path), "--op", "analyze", *HOUR), _nothing

    @contextmanager
    def slow(home: Path, *operations: str) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
        path = make_database(home / "sales.db", rows=20_000)
        source, library = home / "slow.c", home / "slow.so"
        source.write_text(SLOW_DISK)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60)
        os.environ["LD_PRELOAD"] = str(library)
        try:
            yield (str(path), *operations, *HOUR), _nothing
        finally:
            del os.environ["LD_PRELOAD"]

    return {
        "locked file": locked,
        "file in work": in_work,
        "backup": lambda home: slow(home, "--op", "backup", "--verify"),
        "slow disk": lambda home: slow(home, "--op", "check", "--op", "reindex", "--op", "analyze"),
    }


def _on_postgres(stack: ExitStack) -> dict[str, Callable[[Path], Waiting]]:
    if not (found := servers_found()):
        return {}
    binaries = servers_unpacked().get(18, found[max(found)])
    primary = PostgresServer(binaries)
    stack.callback(primary.discard)
    primary.start()
    standby = PostgresServer(binaries, ["wal_receiver_status_interval=1"], copy_of=primary)
    stack.callback(standby.discard)
    standby.start()

    def replay(does: str) -> None:
        with psycopg.connect(standby.url(), autocommit=True) as connection:
            connection.execute(f"SELECT pg_wal_replay_{does}()")

    @contextmanager
    def waiting(
        home: Path, *argv: str, locks: Sequence[str] = (), once_it_runs: Callable[[], object] = _nothing
    ) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
        with new_database(primary) as database:
            database("CREATE TABLE item AS SELECT g AS id FROM generate_series(1, 1000) AS g")
            database("ALTER TABLE item ADD PRIMARY KEY (id)", "CREATE TABLE other (id int)")
            if "repack" in argv:
                database("CREATE EXTENSION pg_repack")
            with suppress(psycopg.OperationalError), database.session(*locks):  # the server may be stopped
                yield (database.url, *argv, "--schema", "public"), once_it_runs
            database.reconnect()

    @contextmanager
    def lag(home: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
        replay("pause")
        with waiting(home, "--op", "vacuum", "--analyze", "--max-lag", "1kB") as found:
            yield found
        replay("resume")

    @contextmanager
    def outage(home: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
        gone = partial(primary.stop, signal.SIGQUIT)
        lock = ("LOCK TABLE item",)
        argv = ("--op", "vacuum", "--server-wait", "1h", *HOUR)
        with waiting(home, *argv, locks=lock, once_it_runs=gone) as found:
            yield found
            primary.start()

    @contextmanager
    def repack(home: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
        os.environ["PATH"] = f"{binaries}{os.pathsep}{before}"
        with waiting(home, "--op", "repack", "--snapshot-wait", "1h", locks=("SELECT FROM other",)) as found:
            yield found
        os.environ["PATH"] = before

    before = os.environ["PATH"]
    kinds: dict[str, Callable[[Path], Waiting]] = {
        "lag": lag,
        "load": lambda home: waiting(home, "--op", "analyze", "--pause-while", "SELECT true"),
        "lock": lambda home: waiting(home, "--op", "vacuum", *HOUR, locks=("LOCK TABLE item",)),
        "snapshot": lambda home: waiting(
            home, "--op", "reindex", "--snapshot-wait", "1h", locks=("LOCK TABLE item IN ROW EXCLUSIVE MODE",)
        ),
        "follow-up": lambda home: waiting(
            home, "--op", "vacuum", *HOUR, locks=("LOCK TABLE pg_database IN SHARE MODE",)
        ),
        "server away": outage,
    }
    return {**kinds, "pg_repack": repack} if (binaries / "pg_repack").exists() else kinds


def _on_mysql(stack: ExitStack) -> dict[str, Callable[[Path], Waiting]]:
    kinds: dict[str, Callable[[Path], Waiting]] = {}
    for flavor, program in mysql_server.servers_found().items():
        server = stack.enter_context(mysql_server.running_server(flavor, program))
        kinds[f"lock on {flavor}"] = partial(_locked_on_mysql, server)
        kinds[f"load on {flavor}"] = partial(_loaded_mysql, server)
        kinds[f"repair on {flavor}"] = partial(_repair_on_mysql, server)
        source = MySqlServer(flavor, program)
        stack.callback(source.discard)
        replica = stack.enter_context(replica_of(source))
        kinds[f"stopped replica of {flavor}"] = partial(_late_replica, replica, replica.stop_applying)
        kinds[f"delayed replica of {flavor}"] = partial(_late_replica, replica, partial(replica.set_delay, 3600))
    return kinds


@contextmanager
def _late_replica(
    replica: Replica, be_late: Callable[[], None], _: Path
) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
    with mysql_databases.new_database(replica.source) as database:
        database("CREATE TABLE item (id int PRIMARY KEY)")
        replica.follow(database)
        be_late()
        database("INSERT INTO item VALUES (1)")
        yield (replica.url(replica.source, database.name), "--op", "analyze", "--max-delay", "1"), _nothing
        replica.set_delay(0)


@contextmanager
def _repair_on_mysql(server: MySqlServer, _: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
    with mysql_databases.new_database(server) as database:
        database("CREATE TABLE item (id int PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO item VALUES (1)")
        with database.session("LOCK TABLES item READ"):
            yield (database.url, "--op", "repair", "--object", "item", "--yes", *HOUR), _nothing


@contextmanager
def _locked_on_mysql(server: MySqlServer, _: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
    with mysql_databases.new_database(server) as database:
        database("CREATE TABLE item (id int PRIMARY KEY)", "INSERT INTO item VALUES (1)")
        with database.session("LOCK TABLES item WRITE"):
            yield (database.url, "--op", "rebuild", "--yes", *HOUR), _nothing


@contextmanager
def _loaded_mysql(server: MySqlServer, _: Path) -> Iterator[tuple[Sequence[str], Callable[[], object]]]:
    with mysql_databases.new_database(server) as database:
        database("CREATE TABLE item (id int PRIMARY KEY)")
        yield (database.url, "--op", "analyze", "--pause-while", "SELECT 1"), _nothing
