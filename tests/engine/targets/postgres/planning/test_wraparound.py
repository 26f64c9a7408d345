"""A server that is about to run out of transaction ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine
from engine.domain.advice import CRITICAL, TargetHistory
from engine.domain.requests import Operation, Options, Request, ServerOptions
from engine.domain.statuses import Status
from engine.targets.postgres.planning.steps import PgStep
from tests.engine.targets.server_session import connected
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer

JUMP = 1_700_000_000


@pytest.fixture
def old(postgres: PostgresServer) -> Iterator[Database]:
    """A table that is young, and one like all others of a server that has few transaction ids left."""
    server = PostgresServer(postgres.binaries, ["autovacuum_freeze_max_age=2000000000"])  # else it begins by itself
    try:
        server.start()
        with new_database(server) as database:
            database("CREATE TABLE young (id int PRIMARY KEY)", "CREATE TABLE oldest (id int PRIMARY KEY)")
            database(*(f"INSERT INTO {name} SELECT generate_series(1, 5000)" for name in ("young", "oldest")))
            database.admin.close()
            server.stop()
            server.skip_transaction_ids(JUMP)
            server.start()
            database.reconnect()
            database("VACUUM FREEZE young", "DELETE FROM oldest WHERE id % 2 = 0")
            yield database
    finally:
        server.discard()


async def test_the_oldest_tables_come_first_without_their_indexes_and_without_analyze(old: Database) -> None:
    async with connected(old.url) as session:
        (advice, _) = await session.advise(TargetHistory(now=0), budget=1.0)
        (vacuum,) = [one for one in advice if one.operation is Operation.VACUUM]
        assert vacuum.urgency == CRITICAL
        needed = (await session.plan(Operation.OPTIMIZE, Options())).steps
        ages = dict(old("SELECT oid::int8, age(relfrozenxid) FROM pg_class WHERE relkind = 'r'"))
        vacuumed = [step for step in needed if isinstance(step, PgStep) and "INDEX_CLEANUP OFF" in step.command]
        assert list(needed[: len(vacuumed)]) == vacuumed  # before all else
        of_steps = [ages[step.subject.oid] for step in vacuumed if step.subject is not None]
        assert of_steps == sorted(of_steps, reverse=True)  # also those that lack statistics
        assert len(of_steps) > 1
        plan = await session.plan(Operation.VACUUM, Options(server=ServerOptions(analyze=True)))
        assert "must become younger before the server refuses writes" in plan.warnings[0]
        first, *others = [step for step in plan.steps if step.object.startswith("public.")]
        assert (first.object, sorted(step.object for step in others)) == (
            "public.oldest",
            ["public.oldest", "public.young"],
        )
        assert "INDEX_CLEANUP OFF, TRUNCATE OFF" in first.command
        assert "ANALYZE" not in first.command
        with_analyze = "(VERBOSE, ANALYZE, SKIP_DATABASE_STATS)" if old.major >= 16 else "(VERBOSE, ANALYZE)"
        assert all(with_analyze in step.command for step in others)
        assert plan.estimate is not None


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.OPTIMIZE])
async def test_one_run_leaves_nothing_of_an_emergency(old: Database, operation: Operation, tmp_path: Path) -> None:
    old("CREATE EXTENSION pgstattuple")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([Request(target=old.url, operations=(operation,))])
        (job,) = await engine.wait([job.id])
        (child,) = job.children
        assert child.status is Status.COMPLETED
        assert child.after is not None
        first, second = [step for step in child.steps if step.object == "public.oldest"]
        assert (first.done, second.done) == ((), ("public.oldest",))  # a retry begins again before the second
        tables = {step.object for step in child.steps} - {"database"}
        assert child.after["steps_completed"] == len(tables)
        found = await engine.advise(old.url)
    covered = {Operation.VACUUM} if operation is Operation.VACUUM else set(Operation) - {Operation.CHECK}
    assert not [one for one in found if one.is_urgent and one.operation in covered]
    assert old.value("SELECT tuple_count FROM pgstattuple('oldest_pkey')") == 2500
