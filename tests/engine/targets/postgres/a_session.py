"""What tests of operations on PostgreSQL share."""

from __future__ import annotations

import asyncio

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.step_execution import StepResult
from tests.engine.targets.stepwise import Stepwise
from tests.postgres_databases import Database


async def first_step(session: Stepwise, operation: Operation, *objects: str) -> PlannedStep:
    return (await session.plan(operation, Options(objects=objects))).steps[0]


def step_of(plan: OperationPlan, name: str) -> PgStep:
    """What a table would be done by alone."""
    steps = [step for step in plan.steps if isinstance(step, PgStep)]
    return next(one for step in steps for one in step.members or (step,) if one.object == name)


async def until(database: Database, query: str) -> None:
    """Let everything go on until this is true on the server."""
    await asyncio.to_thread(database.wait_for, query)


def statuses(results: dict[str, StepResult]) -> set[Status]:
    return {result.status for result in results.values()}
