"""What tests of operations on PostgreSQL share."""

from __future__ import annotations

import asyncio

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets.plans import PlannedStep
from engine.targets.step_execution import StepResult
from tests.engine.targets.stepwise import Stepwise
from tests.postgres_databases import Database


async def first_step(session: Stepwise, operation: Operation, *objects: str) -> PlannedStep:
    return (await session.plan(operation, Options(objects=objects))).steps[0]


async def until(database: Database, query: str) -> None:
    """Let everything go on until this is true on the server."""
    await asyncio.to_thread(database.wait_for, query)


def statuses(results: dict[str, StepResult]) -> set[Status]:
    return {result.status for result in results.values()}
