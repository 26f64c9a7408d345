"""Workers of a shared store on several hosts, while processes, sessions, links and the server fail at random."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from engine.domain.errors import StoreError
from engine.domain.requests import OnDuplicate, Operation, Request
from engine.store.postgres.store import PostgresStore
from engine.submission.manager import DatabaseMaintenanceManager
from engine.system.clock import now
from engine.targets import resolve
from tests.chaos.checker import Finding, Kind, Record, judge, record_of, rescues
from tests.chaos.instruments import DIRECTORY
from tests.chaos.trace import Trace, What
from tests.network_hosts import NETWORK, Host, free_port, network_hosts
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store, make_template, name_in
from tests.sqlite_files import content, integrity, make_database

ROOT = Path(__file__).parents[2]
TICK = 0.02
CALM = 90.0
"""Seconds within which everything must have come to its end when nothing fails any more."""
GETS_ON_WITHIN = 5.0
OPEN_AT_MOST = 16
ON_FILES = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX)
ON_SERVERS = (Operation.VACUUM, Operation.ANALYZE)
SESSIONS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'dbtend%%' AND backend_type = 'client backend' AND pid %% %s = 0"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStorm:
    seed: int
    mishaps: int
    pause: float = 0.35
    """Mean seconds between two mishaps."""
    long_cuts: int = 1
    """How often a link is down for so long that its host is dead to the server."""
    crashes: int = 1
    """How often the server is stopped, in one way or the other."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    findings: Sequence[Finding]
    counts: Mapping[str, int]
    output: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs: the name of its host, the URL of the store there, and the command that is given its own."""

    host: str
    url: str
    within: Sequence[str] = ()


class Workers:
    """One process at each place; whoever is gone is replaced."""

    def __init__(self, places: Sequence[Place], trace: Trace) -> None:
        self._places, self._trace = places, trace
        home = trace.directory
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_CONFIG_HOME": str(home / "config-home"),
            "XDG_STATE_HOME": str(home / "state-home"),
            DIRECTORY: str(home),
        }
        self.running = [self._started(place) for place in places]
        self.ended: Counter[int] = Counter()

    def _started(self, place: Place) -> subprocess.Popen[bytes]:
        command = [*place.within, sys.executable, "-m", "tests.chaos.shared_worker", place.url, place.host]
        with (self._trace.directory / "output").open("ab") as output:
            return subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def replace_ended(self) -> None:
        for at, process in enumerate(self.running):
            if process.poll() is not None:
                self._trace.tell(What.KILLED, pid=process.pid)  # by itself, perhaps
                self.ended[process.returncode] += 1
                self.running[at] = self._started(self._places[at])

    def began(self) -> Counter[int]:
        """By process, how often it has begun something."""
        return Counter(line.pid for line in self._trace.told() if line.what is What.BEGAN)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        self._trace.tell(What.KILLED, pid=process.pid)
        process.kill()

    def kill_all(self) -> None:
        for process in self.running:
            self.kill(process)
            process.wait()


async def rage(storm: SharedStorm, binaries: Path, directory: Path) -> Aftermath:
    """Let the storm rage, then let everything come to its end; what is wrong after that."""
    chance, trace = random.Random(storm.seed), Trace(directory)
    with network_hosts(3) as hosts, _server(binaries, port := free_port()) as server, _server(binaries) as other:
        await asyncio.to_thread(make_template, server)
        files = {
            f"h{number}": [make_database(directory / f"h{number}-{at}.db", rows=500) for at in range(2)]
            for number in range(len(hosts))
        }
        contents = {path: content(path) for paths in files.values() for path in paths}
        databases = [a_database(other, f"d{number}") for number in range(2)]
        with copied_store(server) as url, ExitStack() as stack:
            with as_admin(server.url()) as admin:
                admin.execute(f"ALTER DATABASE {name_in(url)} RESET ALL")  # nobody is dead right after a start
            urls = [f"postgresql://postgres@{host.server}:{port}/{name_in(url)}" for host in hosts]
            places = [Place(f"h{at}", urls[at], host.command) for at, host in enumerate(hosts)]
            workers = Workers([*places, places[0]], trace)  # one more than hosts
            stack.callback(workers.kill_all)
            submitting = asyncio.create_task(submit(url, files, databases, trace, chance.getrandbits(32)))
            await _Mishaps(storm, chance, workers, hosts, server, url).happen()
            submitting.cancel()
            await asyncio.wait({submitting})
            async with PostgresStore.open(url, what="the store", host="judge") as store:
                await until_all_is_over(store, workers)
                record = await record_of(store)
        lines = trace.told()
        counts = Counter(line.what.value for line in lines) + Counter(rescued=rescues(record))
        counts += Counter({f"exit code {code}": number for code, number in workers.ended.items()})
        findings = [*judge(record, lines), *gaps(record), *changed_content(contents)]
        return Aftermath(findings, counts, (directory / "output").read_text())


@contextmanager
def _server(binaries: Path, port: int = 0) -> Iterator[PostgresServer]:
    server = PostgresServer(binaries, ["synchronous_commit=on", "max_connections=100"])  # a crash loses nothing
    try:
        if port:
            server.listen_to(NETWORK, port)
        server.start()
        yield server
    finally:
        server.discard()


def a_database(server: PostgresServer, name: str) -> str:
    with as_admin(server.url()) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with as_admin(server.url(name)) as admin:
        admin.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
    return server.url(name)


async def submit(
    url: str, files: Mapping[str, Sequence[Path]], databases: Sequence[str], trace: Trace, seed: int
) -> None:
    """From one host after the other, until cancelled; what fails is tried again."""
    chance = random.Random(seed)
    while True:
        with suppress(StoreError):
            host = chance.choice([*files])
            async with PostgresStore.open(url, what="the store", host=host) as store:
                for _ in range(10):
                    await _submit_one(store, files[host], databases, trace, chance)
        await asyncio.sleep(0.1)


async def _submit_one(
    store: PostgresStore, files: Sequence[Path], databases: Sequence[str], trace: Trace, chance: random.Random
) -> None:
    if len(await store.open_jobs()) > OPEN_AT_MOST:
        await asyncio.sleep(0.1)
        return
    at_server = chance.random() < 0.4
    target = chance.choice(databases) if at_server else str(chance.choice(files))
    operations = chance.sample(ON_SERVERS if at_server else ON_FILES, chance.choice((1, 2)))
    manager = DatabaseMaintenanceManager(store, resolve, own=None, clock=now)
    ids = await manager.submit([Request(target=target, operations=tuple(operations))], OnDuplicate.ADD)
    trace.tell(What.SUBMITTED, job=ids[0], target=store._stored(resolve(target).url))
    if chance.random() < 0.1:
        await store.cancel_all(ids)
    await asyncio.sleep(chance.uniform(0, 0.2))


class _Mishaps:
    def __init__(
        self,
        storm: SharedStorm,
        chance: random.Random,
        workers: Workers,
        hosts: Sequence[Host],
        server: PostgresServer,
        url: str,
    ) -> None:
        self._storm, self._chance = storm, chance
        self._workers, self._hosts, self._server, self._url = workers, hosts, server, url
        self._healing: list[asyncio.Task[None]] = []

    async def happen(self) -> None:
        storm, chance = self._storm, self._chance
        every = max(storm.mishaps // (storm.long_cuts + storm.crashes + 1), 1)
        rare = [self._cut_long] * storm.long_cuts + [self._restart] * storm.crashes
        chance.shuffle(rare)
        for number in range(storm.mishaps):
            self._workers.replace_ended()
            if rare and number % every == every - 1:
                await rare.pop()()
            else:
                await chance.choices([self._kill, self._stop, self._end_sessions, self._cut], [4, 3, 2, 1])[0]()
            await self._something_goes_on(chance.uniform(0.5, 1.5) * storm.pause)
        for healing in self._healing:
            await healing

    async def _something_goes_on(self, seconds: float) -> None:
        """For so long, and until a worker has got on with something, unless none can."""
        begin, seen = time.monotonic(), self._workers.began()
        while (passed := time.monotonic() - begin) < seconds or (
            passed < GETS_ON_WITHIN and self._workers.began() == seen
        ):
            await asyncio.sleep(TICK)
            self._workers.replace_ended()

    def _victim(self) -> subprocess.Popen[bytes]:
        """One that has begun something, if there is one."""
        began = self._workers.began()
        at_work = [process for process in self._workers.running if process.pid in began]
        return self._chance.choice(at_work or self._workers.running)

    async def _kill(self) -> None:
        self._workers.kill(self._victim())

    async def _stop(self) -> None:
        """For a moment; with its session ended, others take over what it ran."""
        process, seconds = self._victim(), self._chance.uniform(0.2, 2.5)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)
        if self._chance.random() < 0.5:
            await self._at_server("SELECT pg_terminate_backend(session) FROM dbtend.worker WHERE pid = %s", process.pid)
        self._healing.append(asyncio.create_task(self._go_on(process, seconds)))

    async def _go_on(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        await asyncio.sleep(seconds)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)

    async def _end_sessions(self) -> None:
        await self._at_server(SESSIONS, self._chance.choice((1, 2, 3)))

    async def _at_server(self, statement: str, value: int) -> None:
        def run() -> None:
            with suppress(psycopg.Error), as_admin(self._url) as admin:
                admin.execute(statement.encode(), (value,))

        await asyncio.to_thread(run)

    async def _cut(self) -> None:
        self._begin_cut(self._chance.uniform(0.3, 3))

    async def _cut_long(self) -> None:
        self._begin_cut(17)

    def _begin_cut(self, seconds: float) -> None:
        host = self._chance.choice(self._hosts)
        host.cut()
        self._healing.append(asyncio.create_task(self._join(host, seconds)))

    async def _join(self, host: Host, seconds: float) -> None:
        await asyncio.sleep(seconds)
        host.join()

    async def _restart(self) -> None:
        await asyncio.to_thread(self._server.stop, self._chance.choice((signal.SIGINT, signal.SIGQUIT)))
        await asyncio.sleep(self._chance.uniform(0, 1))
        await asyncio.to_thread(self._server.start)


async def until_all_is_over(store: PostgresStore, workers: Workers) -> None:
    """But not for ever: what is open then is a finding."""
    end = time.monotonic() + CALM
    while time.monotonic() < end and await store.has_open_jobs():
        workers.replace_ended()
        await asyncio.sleep(0.05)


def gaps(record: Record) -> Iterator[Finding]:
    numbers = [change.seq for change in record.changes]
    if numbers != list(range(1, len(numbers) + 1)):
        yield Finding(Kind.TRANSITION, f"{len(numbers)} changes have numbers up to {max(numbers)}")


def changed_content(contents: Mapping[Path, Mapping[str, str]]) -> Iterator[Finding]:
    for path, before in contents.items():
        if (complaints := integrity(path)) or content(path) != before:
            yield Finding(Kind.CONTENT, f"{path.name} {complaints}")
