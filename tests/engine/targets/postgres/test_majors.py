"""Every major version that is supported: each operation, advice and progress, in short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options, ServerOptions
from engine.domain.statuses import Status
from engine.targets.postgres.planning.operation_specs import SPECS
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import first_step
from tests.engine.targets.server_session import Told, connected
from tests.postgres_databases import Database, new_database
from tests.postgres_server import NOT_UNPACKED, every_server, running_server

SUPPORTED = range(13, 20)
SHOP = (
    "CREATE EXTENSION amcheck",
    "CREATE TABLE item (id int PRIMARY KEY, note text) WITH (autovacuum_vacuum_threshold = 100)",
    "INSERT INTO item SELECT g, repeat('x', 50) FROM generate_series(1, 2000) AS g",
    "CLUSTER item USING item_pkey",
    "DELETE FROM item WHERE id % 2 = 0",
)


@pytest.fixture(params=SUPPORTED, ids=lambda major: f"pg{major}")
def of_each_major(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database on a server of each major version."""
    binaries = every_server().get(request.param)
    if binaries is None:
        pytest.skip(NOT_UNPACKED)
    with running_server(binaries) as server, new_database(server) as made:
        yield made


@pytest.mark.long
async def test_every_operation_runs_and_tells_how_far_it_is(of_each_major: Database) -> None:
    database = of_each_major
    database(*SHOP)
    database.make_slow()
    told = Told()
    async with connected(database.url, lock_timeout=30) as session:
        slow = await first_step(session, Operation.REINDEX, "public.slow_number")
        rebuilding = asyncio.create_task(session.execute(slow, StepContext(report=told)))
        await told.something.wait()
        database.let_go()
        assert (await rebuilding).status is Status.COMPLETED
        assert "building index: scanning table" in told.phases
        database.wait_for("SELECT n_dead_tup = 1000 FROM pg_stat_user_tables WHERE relname = 'item'")
        (advice, _) = await session.advise(TargetHistory(now=0), budget=1.0)
        assert "item: 1,000 dead rows" in next(one.reason for one in advice if one.operation is Operation.VACUUM)
        for operation in SPECS:
            planned = await session.plan(operation, Options(server=ServerOptions(analyze=True)))
            assert not planned.refused or operation is Operation.REPACK, planned.refused
            for step in planned.steps:
                result = await session.execute(step, StepContext())
                assert result.status is Status.COMPLETED, (step.command, result)
