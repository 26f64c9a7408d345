"""A session for tests that execute the steps of a plan one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options
from engine.domain.steps import Facts
from engine.targets.mysql.session import MySqlSession
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.postgres.session import PostgresSession
from engine.targets.session import PlannedOperation, Session
from engine.targets.sqlite.session import SqliteSession
from engine.targets.step_execution import StepContext, StepResult


class Stepwise:
    """`execute`, `facts` and the others are those of the operation that was planned last."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._planned: PlannedOperation | None = None
        self._begin_with_facts = False

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> OperationPlan:
        self._planned = await self.session.plan(operation, options, past)
        if self._begin_with_facts:
            await self._planned.facts()
        return self._planned.plan

    @property
    def planned(self) -> PlannedOperation:
        if self._planned is None:
            plan = OperationPlan(operation=Operation.ANALYZE)
            if isinstance(self.session, SqliteSession):
                self._planned = self.session.running(plan)
            else:
                assert isinstance(self.session, PostgresSession | MySqlSession)
                self._planned = self.session.running(plan, Options())
        return self._planned

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        return await self.planned.execute(step, context)

    async def facts(self, operation: Operation | None = None, cancel: asyncio.Event | None = None) -> Facts:
        """Before a plan: those of `operation`, which the next plan is for."""
        if operation is not None and (self._planned is None or self._planned.plan.operation is not operation):
            self._begin_with_facts = True
            return await (await self.session.plan(operation, Options())).facts()
        return await (self.session.facts() if operation is None else self.planned.facts(cancel))

    async def retry_cleanup(self, cancel: asyncio.Event) -> Collection[str]:
        return await self.planned.retry_cleanup(cancel)

    async def find_blockers(self, *, has_window: bool) -> str:
        return await self.planned.find_blockers(has_window=has_window)

    async def close(self) -> None:
        assert isinstance(self.session, SqliteSession)
        await self.session.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planned if hasattr(self._planned, name) else self.session, name)


@asynccontextmanager
async def stepwise(connecting: AbstractAsyncContextManager[Session]) -> AsyncIterator[Stepwise]:
    async with connecting as session:
        yield Stepwise(session)
