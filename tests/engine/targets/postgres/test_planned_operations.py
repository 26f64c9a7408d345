"""A session keeps nothing between calls: each planned operation has its own plan and results."""

from __future__ import annotations

from engine.domain.requests import Operation, Options, ServerOptions
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.step_execution import StepContext
from tests.postgres_databases import Database


async def test_operations_of_one_session_know_nothing_of_each_other(database: Database) -> None:
    database("CREATE EXTENSION amcheck", "CREATE TABLE item (a int PRIMARY KEY)")
    server = ServerOptions(schemas=("public",))
    async with resolve(database.url).connect(lock_timeout=0) as session:
        check = await session.plan(Operation.CHECK, Options(server=server))
        full = await session.plan(Operation.VACUUM_FULL, Options(server=server))
        with database.session("LOCK TABLE item IN ACCESS SHARE MODE"):
            assert await full.find_blockers(has_window=False)
            assert await check.find_blockers(has_window=False) == ""
        for step in check.plan.steps:
            assert (await check.execute(step, StepContext())).status is Status.COMPLETED
        assert (await check.facts())["complete"] is True
        assert "steps_completed" not in {**await full.facts(), **await session.facts()}
        results = [await full.execute(step, StepContext()) for step in full.plan.steps]
        assert {result.status for result in results} == {Status.COMPLETED}
        assert (await full.facts())["steps_completed"] == 1
        assert "complete" not in await full.facts()
