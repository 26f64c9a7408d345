"""Surveys of many targets: real files and servers, also damaged, missing, locked and silent ones."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Engine, Operation, Request
from engine.config.model import TargetEntry
from engine.domain.damage import Damage, DamageChange, DamageSource
from engine.domain.engines import EngineName
from engine.domain.job_outcomes import JobOutcome
from engine.domain.requests import OnDuplicate
from engine.domain.surveys import FleetLevel, LastJob, Survey, SurveyCause, SurveyReason, counts
from engine.domain.thresholds import DAY
from engine.engine import Engine as RealEngine
from engine.fleet import surveyor
from engine.fleet.expansion import expand
from engine.fleet.surveyor import Surveyor
from engine.inspection import inspector
from engine.store.protocol import NewJob
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now
from engine.targets import host_queue, resolve
from tests.black_hole import network_to
from tests.building import StoppedClock
from tests.engine.targets.sqlite.another_process import BEGINS_TO_WRITE, another_process
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer
from tests.scratch import on_another_file_system
from tests.sqlite_files import make_database, transaction

MANY = 300


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with RealEngine.open(tmp_path / "store" / "jobs.db", workers=1) as opened:
        yield opened


def entries(*words: object, **advice: float) -> list[TargetEntry]:
    return [TargetEntry(name=Path(str(w)).stem, url=str(w), advice=advice) for w in words]


async def surveys(engine: Engine, targets: Sequence[TargetEntry], *, refresh: bool = False) -> dict[str, Survey]:
    """By name."""
    return {one.entry.name: one.survey async for one in engine.survey(targets, refresh=refresh)}


def cause(survey: Survey) -> SurveyCause | None:
    return survey.reason.cause if survey.reason is not None else None


def many_files(directory: Path, number: int) -> list[Path]:
    directory.mkdir()
    first = directory / "t1.db"
    with closing(sqlite3.connect(first)) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        db.executemany("INSERT INTO t (a) VALUES (?)", [(f"row {n}",) for n in range(100)])
        db.commit()
    return [first, *(Path(shutil.copy(first, directory / f"t{n}.db")) for n in range(2, number + 1))]


def make_file(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


async def test_of_300_files_the_damaged_missing_locked_and_unreadable_say_so_and_the_others_are_well(
    engine: Engine, tmp_path: Path
) -> None:
    files = many_files(tmp_path / "tenants", MANY)
    overwrite(files[0], 16, b"\xff" * 84)  # the header says SQLite, and what follows is none
    overwrite(files[1], 100, b"\x07" * 500)  # the schema
    files[2].unlink()
    files[3].write_text("no database " * 100)
    with transaction(files[4], "EXCLUSIVE"):
        found = await surveys(engine, entries(*files))
    assert len(found) == MANY
    assert {
        name: (one.level.value, cause(one)) for name, one in found.items() if one.level is not FleetLevel.UNCHECKED
    } == {
        "t1": ("critical", SurveyCause.CANNOT_BE_READ),
        "t2": ("critical", SurveyCause.CANNOT_BE_READ),
        "t3": ("unreachable", SurveyCause.UNAVAILABLE),
        "t4": ("unreachable", SurveyCause.UNAVAILABLE),
        "t5": ("unknown", SurveyCause.LOCKED),
    }
    assert counts(one.level for one in found.values())[FleetLevel.UNCHECKED] == MANY - 5
    well = found["t6"]
    assert (well.size, cause(well)) == (files[5].stat().st_size, SurveyCause.NEVER_CHECKED)
    assert await engine.surveys([well.target]) == {well.target: well}


async def test_damage_on_record_is_critical_also_while_its_target_cannot_be_inspected(
    engine: Engine, tmp_path: Path
) -> None:
    (path,) = many_files(tmp_path / "tenants", 1)
    damage = Damage(source=DamageSource.MAP, found_at=1, text="page 3 is damaged", job=7)
    async with SqliteStore.open(tmp_path / "store" / "jobs.db") as store:
        await store.save_damage(inspector.canonical_url(str(path)), DamageChange(found=(damage,)))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        locked = (await surveys(engine, entries(path)))["t1"]
        assert (locked.level, [one.cause for one in locked.reasons]) == (
            FleetLevel.CRITICAL, [SurveyCause.DAMAGE, SurveyCause.LOCKED]
        )  # fmt: skip
        assert locked.reasons[0].facts == {"job": 7, "source": DamageSource.MAP}
    again = (await surveys(engine, entries(path)))["t1"]
    assert again.surveyed_at > locked.surveyed_at  # what was not inspected is surveyed again
    assert SurveyCause.LOCKED not in {one.cause for one in again.reasons}
    path.unlink()
    assert cause((await surveys(engine, entries(path)))["t1"]) is SurveyCause.GONE


async def test_a_survey_is_kept_until_its_file_changes_or_a_job_has_run(engine: Engine, tmp_path: Path) -> None:
    one, other = entries(*many_files(tmp_path / "tenants", 2))
    first = await surveys(engine, [one, other])
    assert await surveys(engine, [one, other]) == first
    with closing(sqlite3.connect(one.url)) as db:
        db.execute("INSERT INTO t (a) VALUES (1)")
        db.commit()
    (job,) = await engine.submit([Request(target=other.url, operations=(Operation.CHECK,))])
    await engine.wait([job.id])
    again = await surveys(engine, [one, other])
    assert again["t1"].surveyed_at > first["t1"].surveyed_at
    assert again["t2"].checked_at is not None
    assert cause(again["t2"]) is None
    assert (await surveys(engine, [one], refresh=True))["t1"].surveyed_at > again["t1"].surveyed_at


async def test_a_survey_is_not_kept_after_a_job_even_if_another_one_waits(tmp_path: Path) -> None:
    path, store = make_database(tmp_path / "sales.db"), tmp_path / "jobs.db"
    request = Request(target=str(path), operations=(Operation.CHECK,))
    async with RealEngine.open(store, workers=1) as engine:
        assert (await surveys(engine, entries(path)))["sales"].checked_at is None
        (job,) = await engine.submit([request])
        await engine.wait([job.id])
    async with RealEngine.open(store, workers=0) as engine:
        await engine.submit([request])
        assert (await surveys(engine, entries(path)))["sales"].checked_at is not None


async def test_the_figures_of_a_database_stay_while_it_does_not_answer(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "jobs.db") as store:
        (path,) = many_files(tmp_path / "tenants", 1)

        async def survey(time_limit: float) -> Survey:
            (found,) = [
                one async for one in Surveyor(store, now, time_limit=time_limit).survey(entries(path), refresh=True)
            ]
            return found.survey

        first = await survey(60)
        assert (first.size, first.figures_at) == (path.stat().st_size, None)
        for _ in range(2):
            silent = await survey(0)
            assert (silent.level, cause(silent)) == (FleetLevel.UNREACHABLE, SurveyCause.NO_ANSWER)
            assert (silent.size, silent.figures_at) == (first.size, first.surveyed_at)
            assert await store.surveys([silent.target]) == {silent.target: silent}
        with transaction(path, "EXCLUSIVE"):
            locked = await survey(60)
        assert (cause(locked), locked.size, locked.figures_at) == (SurveyCause.LOCKED, first.size, first.surveyed_at)
        assert (await survey(60)).figures_at is None


async def test_a_survey_is_as_old_as_the_begin_of_its_inspection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that ends during the inspection has ended after it."""
    path, clock = make_database(tmp_path / "sales.db"), StoppedClock()
    begun_at, real = clock.at, inspector.inspect_and_advise

    async def lasts(*args: object, **how: object) -> object:
        clock.at += 1_000
        return await real(*args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(inspector, "inspect_and_advise", lasts)
    async with SqliteStore.open(tmp_path / "jobs.db", clock=clock) as store:
        (found,) = [one.survey async for one in Surveyor(store, clock).survey(entries(path))]
    assert found.surveyed_at == begun_at


async def test_a_damaged_job_keeps_no_other_target_from_its_survey(tmp_path: Path) -> None:
    """Its own target is not opened: whether a journal beside it is stale cannot be told."""
    one, other = entries(*many_files(tmp_path / "tenants", 2))
    store = tmp_path / "jobs.db"
    async with RealEngine.open(store, workers=1) as engine:
        (job,) = await engine.submit([Request(target=one.url, operations=(Operation.CHECK,))])
        await engine.wait([job.id])
    with closing(sqlite3.connect(store)) as file:
        file.execute("UPDATE parent_job SET finished_at = -1")
        file.commit()
    async with RealEngine.open(store, workers=0) as engine:
        found = await surveys(engine, [one, other])
    assert {name: (survey.level.value, cause(survey)) for name, survey in found.items()} == {
        "t1": ("unknown", SurveyCause.REFUSED),
        "t2": ("unchecked", SurveyCause.NEVER_CHECKED),
    }


async def test_a_file_beside_a_stale_journal_is_not_opened(tmp_path: Path) -> None:
    """SQLite would apply the journal of the file that was overwritten to the new one."""
    path = make_database(tmp_path / "sales.db")
    journal = path.with_name("sales.db-journal")
    journal.write_bytes(b"x" * 512)
    os.utime(journal, ns=(1_000, 1_000))
    target = resolve(str(path))
    request = Request(target=target.url, operations=(Operation.REINDEX,))
    async with SqliteStore.open(tmp_path / "jobs.db") as store:
        await store.submit([NewJob(request=request, engine=EngineName.SQLITE, target_key="it")], OnDuplicate.REFUSE)
        await store.claim("dead")
        await store._rescue_from("dead", signal.SIGBUS)
        (found,) = [one.survey async for one in Surveyor(store, now).survey(entries(path))]
    assert (found.level, cause(found)) == (FleetLevel.UNKNOWN, SurveyCause.REFUSED)
    assert journal.read_bytes() == b"x" * 512


async def test_a_hot_journal_is_told_and_rolled_back_only_before_a_job(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with another_process(path, program=BEGINS_TO_WRITE) as pid:
        os.kill(pid, signal.SIGKILL)
    before = {file: file.read_bytes() for file in (path, Path(f"{path}-journal"))}
    (target,) = entries(path)
    async with SqliteStore.open(tmp_path / "store" / "jobs.db") as store:
        surveying = Surveyor(store, now)
        (found,) = [one.survey async for one in surveying.survey([target])]
        assert (found.level, cause(found)) == (FleetLevel.SOON, SurveyCause.HOT_JOURNAL)
        assert {file: file.read_bytes() for file in before} == before
        await surveying.advise(target, budget=1, server_wait=0)
        assert not Path(f"{path}-journal").exists()
        (found,) = [one.survey async for one in surveying.survey([target])]
        assert cause(found) is SurveyCause.NEVER_CHECKED


async def test_the_disk_of_a_link_is_that_of_the_file(engine: Engine, tmp_path: Path) -> None:
    with on_another_file_system(tmp_path) as there:
        (link := tmp_path / "sales.db").symlink_to(make_database(there / "sales.db"))
        found = (await surveys(engine, entries(link, disk_critical=2**60, disk_critical_share=1)))["sales"]
        disk = os.statvfs(there)
    facts = {reason.cause: reason.facts for reason in found.reasons}
    assert facts[SurveyCause.DISK_FULL]["size"] == disk.f_blocks * disk.f_frsize


def test_disks_that_hang_keep_no_other_file_waiting_and_no_process_alive(tmp_path: Path) -> None:
    """More of them than there are threads for all other work, some behind links that lie among healthy files."""
    healthy = many_files(tmp_path / "tenants", 20)
    for n in range(30):
        dead = tmp_path / f"dead{n % 3}"
        dead.mkdir(exist_ok=True)
        (tmp_path / "tenants" / f"link{n}.db").symlink_to(make_file(dead / f"d{n}.db"))
    program = """if True:
        import asyncio, os, sys, threading
        from pathlib import Path
        def hanging(real):
            def call(path, *args, **how):
                if isinstance(path, (str, Path)) and "/dead" in str(path):
                    threading.Event().wait()
                return real(path, *args, **how)
            return call
        os.stat, os.lstat = hanging(os.stat), hanging(os.lstat)
        from engine.config.model import TargetEntry
        from engine.fleet.surveyor import Surveyor
        from engine.store.sqlite.store import SqliteStore
        from engine.system.clock import now
        async def main():
            async with SqliteStore.open(Path(sys.argv[1])) as store:
                entries = [TargetEntry(name=Path(p).stem, url=p) for p in sys.argv[3:]]
                async for one in Surveyor(store, now, time_limit=float(sys.argv[2])).survey(entries):
                    print(one.entry.name, one.survey.level, one.survey.reason and one.survey.reason.cause, flush=True)
        asyncio.run(main())
    """
    links = sorted((tmp_path / "tenants").glob("link*"))
    behind = [tmp_path / f"dead{n % 3}" / f"d{n}.db" for n in range(30)]

    def start(time_limit: float) -> subprocess.Popen[str]:
        line = [sys.executable, "-c", program, str(tmp_path / "jobs.db"), str(time_limit)]
        return subprocess.Popen([*line, *map(str, (*links, *behind, *healthy))], stdout=subprocess.PIPE, text=True)

    with start(600) as patient:
        assert patient.stdout is not None
        first = [patient.stdout.readline().split(" ", 1)[0] for _ in healthy]
        patient.kill()
    assert [name for name in first if not name.startswith("t")] == []
    with start(5) as done:
        assert done.stdout is not None
        found = [line.rstrip().split(" ", 1) for line in done.stdout]
    assert done.returncode == 0
    assert {said for name, said in found if name.startswith("t")} == {"unchecked never_checked"}
    assert {said for name, said in found if not name.startswith("t")} == {"unreachable no_answer"}
    assert len(found) == 80


async def test_other_thresholds_make_another_survey(engine: Engine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    assert (await surveys(engine, entries(path)))["sales"].level is FleetLevel.UNCHECKED
    found = (await surveys(engine, entries(path, reclaim_soon=1_000)))["sales"]
    assert (found.level, cause(found)) == (FleetLevel.SOON, SurveyCause.RECLAIMABLE)
    assert found.reclaimable > 1_000
    advice = {one.operation: one.level for one in await engine.advise(str(path), limits=entries(path)[0].thresholds)}
    assert advice[Operation.VACUUM] == "none"


async def test_damage_that_a_check_found_is_critical_until_it_is_gone(engine: Engine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    overwrite(path, 3 * 4096, b"\x07" * 4096)
    (job,) = await engine.submit([Request(target=str(path), operations=(Operation.CHECK,))])
    await engine.wait([job.id])
    found = (await surveys(engine, entries(path)))["sales"]
    assert (found.level, cause(found), found.checked_at) == (FleetLevel.CRITICAL, SurveyCause.DAMAGE, None)
    assert found.reason is not None
    assert found.reason.facts == {"job": job.id}
    last = (await engine.last_jobs([found.target]))[found.target]
    assert last is not None
    assert last.id == job.id
    make_database(tmp_path / "restored.db").replace(path)
    (job,) = await engine.submit([Request(target=str(path), operations=(Operation.CHECK,))])
    await engine.wait([job.id])
    assert (await surveys(engine, entries(path)))["sales"].level is FleetLevel.SMALL


async def test_what_cannot_be_surveyed_is_asked_again(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "sales.db"
    assert (await surveys(engine, entries(path)))["sales"].level is FleetLevel.UNREACHABLE
    make_database(path)
    assert (await surveys(engine, entries(path)))["sales"].level is FleetLevel.UNCHECKED


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> Inspected:
    """Counts the inspections of a test."""
    counted = Inspected(inspector.inspect_and_advise)
    monkeypatch.setattr(inspector, "inspect_and_advise", counted)
    return counted


class Inspected:
    def __init__(self, real: Callable[..., Awaitable[object]]) -> None:
        self._real = real
        self.running = self.most = 0
        self.all_ended = asyncio.Event()
        self.hangs_after: int | None = None
        """How many inspections end; those after them never do."""
        self.together: asyncio.Barrier | None = None
        """Each waits until so many have begun."""

    async def __call__(self, *args: object, **how: object) -> object:
        self.running += 1
        self.most = max(self.most, self.running)
        self.all_ended.clear()
        try:
            if self.hangs_after is not None:
                self.hangs_after -= 1
                if self.hangs_after < 0:
                    await asyncio.Event().wait()
            if self.together is not None:
                await self.together.wait()
            return await self._real(*args, **how)
        finally:
            self.running -= 1
            if not self.running:
                self.all_ended.set()


async def test_no_more_than_a_few_are_surveyed_at_once(engine: Engine, tmp_path: Path, inspected: Inspected) -> None:
    inspected.together = asyncio.Barrier(surveyor.AT_ONCE)
    await surveys(engine, entries(*many_files(tmp_path / "tenants", 5 * surveyor.AT_ONCE)))
    assert inspected.most == surveyor.AT_ONCE


async def test_who_stops_listening_leaves_nothing_behind(engine: Engine, tmp_path: Path, inspected: Inspected) -> None:
    files = many_files(tmp_path / "tenants", 20)
    inspected.hangs_after = 1
    async with SqliteStore.open(tmp_path / "jobs.db") as store:
        async with aclosing(Surveyor(store, now, time_limit=600.0).survey(entries(*files))) as found:
            async for _ in found:
                break
        async with asyncio.timeout(60):
            await inspected.all_ended.wait()
    inspected.hangs_after = None
    assert len(await surveys(engine, entries(*files))) == 20


async def test_an_engine_that_changes_nothing_surveys_and_keeps_nothing(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    async with RealEngine.open(tmp_path / "none.db", read_only=True) as engine:
        found = (await surveys(engine, entries(path)))["sales"]
        assert found.level is FleetLevel.UNCHECKED
        assert await engine.surveys([found.target]) == {}
    assert not (tmp_path / "none.db").exists()


# Servers


@pytest.fixture(scope="session")
def databases(postgres: PostgresServer) -> Iterator[list[Database]]:
    """8 databases on one server, one of them with bloat and old rows."""
    with new_database(postgres) as template:
        template("CREATE TABLE item (id int PRIMARY KEY, note text)", "INSERT INTO item VALUES (1, 'a')", "ANALYZE")
        template.admin.close()
        names = [f"fleet_{n}" for n in range(1, 9)]
        with new_database(postgres) as admin:
            for name in names:
                admin(f"CREATE DATABASE {name} TEMPLATE {template.name} STRATEGY file_copy")
            made = [Database(postgres, name) for name in names]
            for one in made:
                one.admin.close()
            try:
                yield made
            finally:
                admin(*[f"DROP DATABASE {name} WITH (FORCE)" for name in names])
        template.reconnect()


async def test_8_databases_of_a_server_are_surveyed_two_at_a_time(
    engine: Engine, databases: list[Database], inspected: Inspected
) -> None:
    url = databases[0].server.url("*")
    targets = (await expand([TargetEntry(name="db1", url=url)], exclude=["postgres", "dbtend_*", "template*"])).targets
    wanted = [target for target in targets if target.name.startswith("fleet_")]
    assert len(wanted) == 8
    found = await surveys(engine, wanted)
    assert {one.level for one in found.values()} == {FleetLevel.UNCHECKED}
    assert inspected.most == host_queue.PER_HOST
    one = found["fleet_7"]
    assert one.size is not None
    assert one.size > 1_000_000
    assert one.version


async def test_small_tables_of_a_database_are_not_urgent_and_large_ones_are(engine: Engine, database: Database) -> None:
    database("CREATE TABLE small AS SELECT generate_series(1, 1000) AS a")
    target = [TargetEntry(name="shop", url=database.url)]
    found = (await surveys(engine, target))["shop"]
    assert (found.level, cause(found)) == (FleetLevel.UNCHECKED, SurveyCause.NEVER_CHECKED)
    strict = [TargetEntry(name="shop", url=database.url, advice={"small": 1_000})]
    found = (await surveys(engine, strict))["shop"]
    assert (found.level, cause(found)) == (FleetLevel.NOW, SurveyCause.STATISTICS)


async def test_a_database_near_wraparound_is_critical(engine: Engine, database: Database) -> None:
    database("CREATE TABLE item (id int)")
    near = [TargetEntry(name="shop", url=database.url, advice={"age_critical": 1e-9})]
    found = (await surveys(engine, near))["shop"]
    assert (found.level, cause(found)) == (FleetLevel.CRITICAL, SurveyCause.XID_AGE)


async def test_a_table_is_as_large_as_its_toast(engine: Engine, database: Database) -> None:
    database(
        "CREATE TABLE doc (id int, body text) WITH (autovacuum_enabled = off)",
        "ALTER TABLE doc ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO doc SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 5000) AS i",
        "DELETE FROM doc WHERE id % 2 = 0",
        "SELECT pg_stat_force_next_flush()",
    )
    survey = (await surveys(engine, [TargetEntry(name="doc", url=database.url)]))["doc"]
    assert survey.level is FleetLevel.NOW
    assert survey.reasons[0].cause is SurveyCause.DEAD_ROWS


async def test_a_database_that_does_not_exist_is_unreachable(engine: Engine, postgres: PostgresServer) -> None:
    found = (await surveys(engine, [TargetEntry(name="none", url=postgres.url("no_such_database"))]))["none"]
    assert (found.level, cause(found)) == (FleetLevel.UNREACHABLE, SurveyCause.UNAVAILABLE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops packets for a test")
async def test_a_server_that_does_not_answer_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Its databases are not waited for one after the other: each would take the whole limit."""
    files = many_files(tmp_path / "tenants", 20)
    with socket.create_server(("127.0.0.1", 0)) as nowhere:
        port = nowhere.getsockname()[1]
        async with network_to(port) as network, SqliteStore.open(tmp_path / "jobs.db") as store:
            network.drop_everything()
            silent = [
                TargetEntry(name=f"db{n}", url=f"postgresql://a@127.0.0.1:{network.port}/db{n}") for n in range(30)
            ]
            order: list[str] = []
            levels: dict[str, Survey] = {}
            async with asyncio.timeout(60):
                async for one in Surveyor(store, now, time_limit=3.0).survey([*silent, *entries(*files)]):
                    order.append(one.entry.name)
                    levels[one.entry.name] = one.survey
    assert len(levels) == 50
    assert all(name.startswith("t") for name in order[:10])
    assert {one.level for name, one in levels.items() if name.startswith("t")} == {FleetLevel.UNCHECKED}
    assert {cause(one) for name, one in levels.items() if name.startswith("db")} == {SurveyCause.NO_ANSWER}
    reason = levels["db29"].reason
    assert reason is not None
    assert reason.facts == {"seconds": 3.0}


async def test_a_host_that_answers_late_is_no_answer_and_the_next_survey_finds_it(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = [TargetEntry(name="shop", url=database.url)]
    async with SqliteStore.open(tmp_path / "jobs.db") as store:
        hasty = [one async for one in Surveyor(store, now, time_limit=0.0).survey(target)]
        assert hasty[0].survey.level is FleetLevel.UNREACHABLE
        patient = [one async for one in Surveyor(store, now, time_limit=30.0).survey(target)]
        assert patient[0].survey.level is FleetLevel.UNCHECKED


def test_a_survey_is_fresh_for_an_hour() -> None:
    survey = Survey(target="a", engine="sqlite", surveyed_at=10**15, level=FleetLevel.UNCHECKED)  # type: ignore[arg-type]
    ended = LastJob(7, JobOutcome.PENDING, None, 10**15 - 1)
    for last_job in (None, ended):
        assert surveyor.is_fresh(survey, last_job, 10**15 + 60_000_000)
        assert surveyor.is_fresh(survey, last_job, 10**15)
    for at in (10**15, 10**15 + 1):
        assert not surveyor.is_fresh(survey, replace(ended, ran_until=at), 10**15 + 60_000_000)
    assert not surveyor.is_fresh(survey, None, 10**15 + round(DAY * 1e6))
    assert not surveyor.is_fresh(survey, None, 10**15 - 1)  # the clock was set back
    for cause_, is_fresh in ((SurveyCause.NOT_MEASURED, True), (SurveyCause.LOCKED, False)):
        unknown = replace(survey, level=FleetLevel.UNKNOWN, reasons=(SurveyReason(FleetLevel.UNKNOWN, cause_),))
        assert surveyor.is_fresh(unknown, None, 10**15) is is_fresh
