"""A server that is about to run out of transaction ids."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.domain.advice import CRITICAL, TargetHistory
from engine.domain.requests import Operation, Options, ServerOptions
from engine.domain.statuses import Status
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.step_execution import StepContext
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
            database("VACUUM FREEZE young")
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
        of_steps = [ages[step.subject.oid] for step in vacuumed if step.subject is not None]
        assert of_steps == sorted(of_steps, reverse=True)  # also those that lack statistics
        assert len(of_steps) > 1
        plan = await session.plan(Operation.VACUUM, Options(server=ServerOptions(analyze=True)))
        assert "must become younger before the server refuses writes" in plan.warnings[0]
        *first, last = [step for step in plan.steps if step.object.startswith("public.")]
        assert ([step.object for step in first], last.object) == (["public.oldest"], "public.young")
        assert "INDEX_CLEANUP OFF, TRUNCATE OFF" in first[0].command
        assert "ANALYZE" not in first[0].command
        assert "ANALYZE" in last.command
        assert plan.estimate is not None
        for step in plan.steps:
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        (advice, _) = await session.advise(TargetHistory(now=0), budget=1.0)
        assert CRITICAL not in {one.urgency for one in advice}
