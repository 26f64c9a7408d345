"""Windows that close when a test says so, in the middle of a real operation."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.targets.postgres.running.operation import PostgresOperation
from engine.targets.sqlite.running.operation import SqliteOperation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from engine.domain.time_limits import Window
    from engine.targets.plans import PlannedStep
    from engine.targets.step_execution import StepContext, StepResult


@contextmanager
def night_closing_after(steps: int, close: Callable[[], None]) -> Iterator[list[tuple[str, str]]]:
    """The windows of all operations close together when so many steps have ended in all; `close` moves the clock.

    Yields the file name of the database and the object of each step that ran, in their order.
    """
    ran: list[tuple[str, str]] = []
    windows: list[Window] = []
    execute = SqliteOperation.execute

    async def execute_and_close(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        ran.append((Path(self._path).name, step.object))
        windows.append(context.window)
        result = await execute(self, step, context)
        if len(ran) >= steps:
            close()
            for window in windows:
                window.closed.set()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteOperation, "execute", execute_and_close)
        yield ran


@contextmanager
def window_closing_after(steps: int) -> Iterator[list[str]]:
    """The window of each operation closes when the commands of so many of its steps have ended.

    Yields the objects of all steps that ran, in their order.
    """
    ran: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in (SqliteOperation, PostgresOperation):
            patch.setattr(kind, "execute", _closing(kind.execute, steps, ran))
        yield ran


def _closing(
    execute: Callable[[Any, PlannedStep, StepContext], Awaitable[StepResult]], steps: int, ran: list[str]
) -> Callable[[Any, PlannedStep, StepContext], Awaitable[StepResult]]:
    ended: dict[object, set[str]] = {}

    async def execute_and_close(self: object, step: PlannedStep, context: StepContext) -> StepResult:
        ran.append(step.object)

        def close() -> None:
            ended.setdefault(self, set()).add(step.command)
            if len(ended[self]) >= steps:
                context.window.closed.set()

        def command_finished() -> None:
            close()
            context.command_finished()

        result = await execute(self, step, replace(context, command_finished=command_finished))
        close()
        return result

    return execute_and_close
