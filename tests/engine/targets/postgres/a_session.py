"""What tests of operations on PostgreSQL share."""

from __future__ import annotations

import asyncio

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.step_execution import StepResult
from tests.engine.targets.stepwise import Stepwise
from tests.postgres_databases import OUR_SESSIONS, Database


async def first_step(session: Stepwise, operation: Operation, *objects: str) -> PlannedStep:
    return (await session.plan(operation, Options(objects=objects))).steps[0]


def step_of(plan: OperationPlan, name: str) -> PgStep:
    """What a table would be done by alone."""
    steps = [step for step in plan.steps if isinstance(step, PgStep)]
    return next(one for step in steps for one in step.members or (step,) if one.object == name)


async def until(database: Database, query: str) -> None:
    """Let everything go on until this is true on the server."""
    await asyncio.to_thread(database.wait_for, query)


def end_what_is_left(database: Database) -> None:
    """Of a lost client: before PostgreSQL 14 a server does not look for clients while a command runs."""
    if database.major < 14:
        assert database.end_sessions(f"{OUR_SESSIONS} AND state = 'active'") == 1


async def until_gone(database: Database) -> None:
    """Until the server has ended all sessions of a lost client."""
    end_what_is_left(database)
    await until(database, f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE {OUR_SESSIONS})")


def statuses(results: dict[str, StepResult]) -> set[Status]:
    return {result.status for result in results.values()}
