"""A real standby that falls behind: no step begins until it has caught up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from engine import Engine
from engine.domain.advice import Advice, Level, TargetHistory, needed
from engine.domain.errors import TargetRefusedError
from engine.domain.jobs import JobId, ParentJob
from engine.domain.requests import Operation, Options, Request, ServerOptions
from engine.domain.statuses import Status
from engine.domain.steps import PAUSED
from engine.domain.surveys import FleetLevel
from engine.fleet.levels import judge
from engine.inspection import inspector
from engine.targets.postgres.running.throttling import throttled_by
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.postgres.test_limit_between_steps import VACUUM_WAITS
from tests.engine.targets.server_session import Told, connected, plan
from tests.engine.working import job_once
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer

MB = 1024 * 1024
STREAMING = "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL"


class Pair:
    """A primary, and its standby, which applies what it gets only when it is to."""

    def __init__(self, primary: Database, standby: PostgresServer) -> None:
        self.primary, self._standby = primary, standby

    @property
    def url_of_standby(self) -> str:
        return self._standby.url(self.primary.name)

    def catch_up(self) -> None:
        """Until the standby has all that is written now."""
        lsn = self.primary.value("SELECT pg_current_wal_insert_lsn()")  # some of it may not be written yet
        self.primary.wait_for(f"SELECT bool_and(replay_lsn >= '{lsn}') FROM pg_stat_replication")

    def stop_replay(self) -> None:
        self._on_standby("SELECT pg_wal_replay_pause()")

    def go_on_with_replay(self) -> None:
        self._on_standby("SELECT pg_wal_replay_resume()")

    def delay_replay(self, delay: str) -> None:
        self._on_standby(f"ALTER SYSTEM SET recovery_min_apply_delay = '{delay}'")
        self._on_standby("SELECT pg_reload_conf()")

    def write(self, megabytes: int) -> None:
        """So much has to be applied at least."""
        self.primary(f"INSERT INTO public.log SELECT repeat('x', 1000) FROM generate_series(1, {megabytes} * 1100)")

    def _on_standby(self, statement: str) -> None:
        with psycopg.connect(self._standby.url(), autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="module")
def primary_and_standby(postgres: PostgresServer) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    primary = PostgresServer(postgres.binaries)
    try:
        primary.start()
        standby = PostgresServer(postgres.binaries, ["wal_receiver_status_interval=1"], copy_of=primary)
        try:
            standby.start()
            yield primary, standby
        finally:
            standby.discard()
    finally:
        primary.discard()


@pytest.fixture
def pair(primary_and_standby: tuple[PostgresServer, PostgresServer]) -> Iterator[Pair]:
    primary, standby = primary_and_standby
    with new_database(primary) as database:
        database("CREATE TABLE public.log (line text)", "CREATE TABLE public.item (id int)")
        database.wait_for(STREAMING)
        both = Pair(database, standby)
        yield both
        both.go_on_with_replay()


async def test_no_step_begins_while_a_standby_is_behind_and_it_goes_on_by_itself(pair: Pair, tmp_path: Path) -> None:
    database = pair.primary
    pair.stop_replay()
    options = Options(objects=("item",), server=ServerOptions(max_lag=MB))
    request = Request(target=database.url, operations=(Operation.ANALYZE,), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        pair.write(2)
        (job,) = await engine.submit([request])
        job = await job_once(engine, job.id, lambda job: str(job.children[0].progress.phase).startswith(PAUSED))
        phase = job.children[0].progress.phase or ""
        assert re.fullmatch(rf"{PAUSED}: .* ([0-9]+kB|[2-9]MB) behind \(limit 1MB\)", phase)
        assert database.value("SELECT count(*) = 0 FROM pg_stat_user_tables WHERE analyze_count > 0")
        pair.go_on_with_replay()
        (job,) = await engine.wait([job.id])
    assert job.children[0].status is Status.COMPLETED
    assert [step.status for step in job.children[0].steps] == [Status.COMPLETED]


async def test_r32_a_standby_that_never_catches_up_does_not_keep_a_job_from_its_end(pair: Pair, tmp_path: Path) -> None:
    database = pair.primary
    if database.major < 16:
        pytest.skip("has no closing VACUUM")
    database("DROP TABLE public.log")
    options = Options(lock_timeout=60, server=ServerOptions(max_lag=MB, schemas=("public",)))
    request = Request(target=database.url, operations=(Operation.VACUUM, Operation.ANALYZE), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        with database.session("LOCK TABLE item"):
            (job,) = await engine.submit([request])
            await until(database, VACUUM_WAITS)
            pair.stop_replay()
            database("CREATE TABLE more AS SELECT repeat('x', 1000) FROM generate_series(1, 2200)")

        def is_held_up(job: ParentJob) -> bool:
            vacuum = job.children[0]
            last = vacuum.steps[-1].command if vacuum.steps else ""
            return last == "VACUUM (ONLY_DATABASE_STATS)" and str(vacuum.progress.phase).startswith(PAUSED)

        await job_once(engine, job.id, is_held_up)
        await engine.cancel(JobId(job.id))
        (job,) = await engine.wait([job.id])
    assert [child.status for child in job.children] == [Status.CANCELLED, Status.CANCELLED]


async def test_a_standby_that_falls_behind_meanwhile_holds_up_the_next_step_only(pair: Pair) -> None:
    database = pair.primary
    server = ServerOptions(max_lag=MB, schemas=("public",))
    async with connected(database.url) as session:
        first, second = (await session.plan(Operation.VACUUM, Options(server=server))).steps[:2]
        told = Told()
        assert (await session.execute(first, StepContext())).status is Status.COMPLETED
        pair.stop_replay()
        pair.write(12)
        waiting = asyncio.create_task(session.execute(second, StepContext(report=told)))
        await asyncio.wait_for(told.something.wait(), 30)
        assert "(limit 1MB)" in told.phases[0]
        pair.go_on_with_replay()
        assert (await waiting).status is Status.COMPLETED


async def test_a_role_that_cannot_see_the_lag_is_refused_rather_than_not_held_up(pair: Pair) -> None:
    database = pair.primary
    database("CREATE ROLE joe LOGIN", "ALTER TABLE public.item OWNER TO joe")
    server = ServerOptions(max_lag=MB)
    url = database.as_user("joe")
    refused = (await plan(url, Operation.ANALYZE, server, objects=("item",))).refused
    assert str(refused).endswith(' superuser: GRANT pg_read_all_stats TO "joe";')
    database('GRANT pg_read_all_stats TO "joe"')
    assert (await plan(url, Operation.ANALYZE, server, objects=("item",))).steps


async def test_a_standby_that_keeps_up_holds_nobody_up(pair: Pair) -> None:
    pair.write(2)
    pair.primary.wait_for("SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication")
    async with connected(pair.primary.url) as session:
        assert await throttled_by(session._reader, ServerOptions(max_lag=MB)) == ""


async def test_a_standby_that_is_delayed_on_purpose_is_named_and_can_be_left_out(pair: Pair) -> None:
    database = pair.primary
    pair.delay_replay("1h")
    try:
        pair.write(1)  # waits at its commit, and what comes after it waits behind
        pair.write(2)
        database.wait_for("SELECT bool_and(flush_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication")
        name = database.value("SELECT application_name FROM pg_stat_replication")
        counted, ignored = ServerOptions(max_lag=MB), ServerOptions(max_lag=MB, ignored_standbys=(name,))
        (warning,) = (await plan(database.url, Operation.ANALYZE, counted, objects=("item",))).warnings
        assert f"--ignore-standby {name}" in warning
        assert (await plan(database.url, Operation.ANALYZE, ignored, objects=("item",))).warnings == ()
        async with connected(database.url) as session:
            assert f"--ignore-standby {name}" in await throttled_by(session._reader, counted)
            assert await throttled_by(session._reader, ignored) == ""
    finally:
        pair.delay_replay("0")


async def test_a_standby_that_is_not_connected_is_told_but_holds_nobody_up(pair: Pair) -> None:
    database, server = pair.primary, ServerOptions(max_lag=MB)
    database("SELECT pg_create_physical_replication_slot('away', true)")
    try:
        planned = await plan(database.url, Operation.ANALYZE, server, objects=("item",))
        (warning,) = planned.warnings
        assert re.search("slot away .*--max-lag", warning)
        assert re.search("[0-9]+[kM]B of WAL", warning)
        assert (await plan(database.url, Operation.ANALYZE, objects=("item",))).warnings == ()
        async with connected(database.url) as session:
            assert (await session.execute(planned.steps[0], StepContext())).status is Status.COMPLETED
    finally:
        database("SELECT pg_drop_replication_slot('away')")


async def test_what_a_database_needs_is_done_on_its_primary_and_not_on_the_standby(pair: Pair) -> None:
    primary = pair.primary
    primary(
        "CREATE EXTENSION amcheck",
        "INSERT INTO public.item SELECT generate_series(1, 1000)",
        "CREATE INDEX one ON public.item (id)",
        "CREATE INDEX two ON public.item (id)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.two'::regclass",
    )
    pair.catch_up()
    there, here = [await advice(url) for url in (primary.url, pair.url_of_standby)]
    for operation in (Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE):
        assert there[operation].is_needed
        assert (here[operation].level, here[operation].is_for_primary) == (Level.NONE, True)
        assert here[operation].facts["level_on_primary"] == there[operation].level
    assert here[Operation.VACUUM].is_for_primary  # a standby does not know
    assert here[Operation.VACUUM].facts["is_known"] is False
    assert here[Operation.CHECK].is_needed
    asked = Request(target=pair.url_of_standby, operations=tuple(here))
    only = needed(asked, [*here.values()])
    assert only is not None
    assert only.operations == (Operation.CHECK,)
    assert judge([*here.values()], TargetHistory(now=0)).level is FleetLevel.UNCHECKED


async def test_a_check_runs_on_a_standby_and_nothing_that_writes_is_planned_there(pair: Pair, tmp_path: Path) -> None:
    pair.primary("CREATE EXTENSION amcheck")
    pair.catch_up()
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([Request(target=pair.url_of_standby, operations=(Operation.CHECK,))])
        (job,) = await engine.wait([job.id])
    assert job.status is Status.COMPLETED
    for read_only in (False, True):
        with pytest.raises(TargetRefusedError, match="it is a standby"):
            await inspector.plan(
                Request(target=pair.url_of_standby, operations=(Operation.VACUUM,)), read_only=read_only
            )


async def advice(url: str) -> dict[Operation, Advice]:
    async with connected(url, writing=False) as session:
        found, _ = await session.advise(TargetHistory(now=0), budget=0.0)
    return {one.operation: one for one in found}
