"""Operations on databases of real servers, planned and executed as a worker does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine.domain.requests import Operation, Options, ServerOptions
from engine.targets import resolve
from engine.targets.plans import OperationPlan
from engine.targets.step_execution import StepContext, StepProgress, StepResult
from tests.engine.targets.stepwise import Stepwise


@asynccontextmanager
async def connected(
    url: str, lock_timeout: float = 1, *, name: str = "test 1/1", writing: bool = True
) -> AsyncIterator[Stepwise]:
    async with resolve(url).connect(lock_timeout=lock_timeout, writing=writing, name=name) as session:
        yield Stepwise(session)


async def plan(url: str, operation: Operation, server: ServerOptions | None = None, **options: Any) -> OperationPlan:
    async with connected(url) as session:
        return await session.plan(operation, Options(server=server or ServerOptions(), **options))


async def run(
    url: str, operation: Operation, server: ServerOptions | None = None, lock_timeout: float = 1, **options: Any
) -> dict[str, StepResult]:
    """Plan and execute, step by step; the results by object."""
    async with connected(url, lock_timeout) as session:
        planned = await session.plan(operation, Options(server=server or ServerOptions(), **options))
        assert (planned.refused, planned.not_needed) == (None, None)
        return {step.object: await session.execute(step, StepContext()) for step in planned.steps}


class Told:
    """What a step reported."""

    def __init__(self) -> None:
        self.all: list[StepProgress] = []
        self.something = asyncio.Event()
        """Set with the first phase."""

    def __call__(self, progress: StepProgress) -> None:
        self.all.append(progress)
        if progress.phase:
            self.something.set()

    @property
    def phases(self) -> list[str]:
        return [progress.phase for progress in self.all if progress.phase]
