"""Sizes of tables and indexes are measured beside the steps, and delay none of them."""

from __future__ import annotations

import asyncio

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import server_target
from engine.targets.step_execution import StepContext
from tests.engine.targets.server_session import connected
from tests.postgres_databases import Database


async def test_one_that_is_locked_holds_up_no_other(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_target, "READING_LOCK_TIMEOUT", 600.0)
    for name in ("one", "other"):
        database(f"CREATE TABLE {name} AS SELECT generate_series(1, 1000) AS id", f"DELETE FROM {name}")
    async with connected(database.url) as session:
        steps = (await session.plan(Operation.VACUUM, Options(objects=("one", "other")))).steps
        step = next(step for step in steps if step.object == "public.one")
        with database.session("LOCK TABLE other IN ACCESS EXCLUSIVE MODE"):
            async with asyncio.timeout(20):
                result = await session.execute(step, StepContext())
        # That nobody waited was set for those looks only.
        assert await session._reader.rows("SHOW lock_timeout", row=(str,)) == [("10min",)]
    assert result.status is Status.COMPLETED
    assert result.effect is not None
    assert {"size", "size_before"} <= result.effect.keys()
