"""Runs of dbtend on a server, with their times and progress, for the benchmarks beside a server's own tools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine import ChildJob, Engine, Request, Status, remaining
from engine.system.clock import now


@dataclass(frozen=True, slots=True)
class PastJob:
    """Seconds of one run. `reported`: the fractions of its progress, each with its time in microseconds."""

    steps: float
    with_look: float
    """Of the steps, and of the inspection before them."""
    whole: float
    child: ChildJob
    reported: Sequence[tuple[int, float, float | None]]
    """Each with the seconds left, if told."""

    @property
    def points_off(self) -> float:
        """How far percent and elapsed share were apart on average, in points."""
        if not self.reported:
            raise RuntimeError("the run was too short: it reported no progress")
        began, ended = self.child.started_at or 0, self.child.finished_at or 0
        return 100 * fmean(abs(share - (at - began) / (ended - began)) for at, share, _ in self.reported)

    @property
    def left_off(self) -> float | None:
        """How far off the time left was at half time, in percent of the whole time; None if it was not told."""
        began, ended = self.child.started_at or 0, self.child.finished_at or 0
        half = (began + ended) / 2
        at, _, left = min(self.reported, key=lambda one: abs(one[0] - half), default=(0, 0.0, None))
        return None if left is None else 100 * abs((at - began + 1e6 * left) / (ended - began) - 1)


async def run_job(engine: Engine, request: Request, *, watched: bool = False) -> PastJob:
    """Run one operation. `watched`: record its progress."""
    reported: list[tuple[int, float, float | None]] = []
    began = time.perf_counter()
    (job,) = await engine.submit([request])
    watching = asyncio.create_task(_watch(engine, job.id, reported)) if watched else None
    (job,) = await engine.wait([job.id])
    whole = time.perf_counter() - began
    if watching is not None:
        watching.cancel()
    (child,) = job.children
    if job.status is not Status.COMPLETED:
        raise RuntimeError(f"{child.operation} {job.status}: {child.error}")
    ended = max(step.finished_at or 0 for step in child.steps)
    began_steps = min(step.started_at for step in child.steps)
    assert child.started_at is not None
    return PastJob((ended - began_steps) / 1e6, (ended - child.started_at) / 1e6, whole, child, reported)


async def _watch(engine: Engine, job: int, reported: list[tuple[int, float, float | None]]) -> None:
    """Record what the store says of the first child, ten times a second."""
    while True:
        (seen,) = await engine.jobs([job])
        child = seen.children[0]
        if child.status is Status.RUNNING and child.progress.fraction is not None:
            reported.append((now(), child.progress.fraction, remaining(child, now())))
        await asyncio.sleep(0.1)


async def in_turn(rounds: int, *sides: Callable[[], Awaitable[None]]) -> None:
    """Each side once a round; who is first changes."""
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            await side()
