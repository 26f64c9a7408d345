"""Reports the progress of a statement, from counters that are sampled while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from engine.domain.jobs import ALMOST_ALL
from engine.system.background import in_background
from engine.targets.database_files import file_size
from engine.targets.progress import approach_end
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.running.progress import (
    CHECKING_COPY,
    COMPARING_COPY,
    Model,
    Sample,
    by_opcodes,
    has_moved,
    of_checkpoint,
    of_copy,
    of_exchange,
    of_reindex,
    of_vacuum,
)
from engine.targets.sqlite.system.machine import memory_touched, thread_io
from engine.targets.step_execution import StepContext, StepProgress

INTERVAL: Final = 0.1
"""Seconds between two samples; each costs some 0.1 ms."""
FIRST_INTERVAL: Final = 0.05
"""Seconds before the second sample."""
_SHORTEST_INTERVAL: Final = 0.02
"""Seconds before the third; the interval grows from here. It is shorter than that of reports, which else would tell the
sample before the last."""
COPYING: Final = frozenset({Method.VACUUM, Method.SWAP, Method.COPY, Method.CHECKPOINT})
"""Methods whose progress is measured by bytes, not by opcodes."""


@asynccontextmanager
async def progress_reports(
    connection: MeteredConnection,
    path: str,
    step: SqliteStep,
    context: StepContext,
    *,
    is_wal: bool,
    also: MeteredConnection | None = None,
) -> AsyncIterator[None]:
    """Report the progress of the statement on `connection` while inside. `also`: a second one."""
    side_file = path + ("-wal" if is_wal else "-journal")
    connections = [connection] if also is None else [connection, also]
    by_bytes = step.method in COPYING or step.volume
    first, sample = _byte_sampler(connection, side_file) if by_bytes else _opcode_sampler(*connections)
    syncs = step.method in {Method.VACUUM, Method.SWAP, Method.COPY}
    reporting = _report_samples(first, sample, model_of(step, is_wal=is_wal), context, syncs=syncs)
    async with in_background(reporting, "the progress of a step", after=FIRST_INTERVAL):
        yield


async def _report_samples(
    last: Sample, sample: Callable[[], Sample], model: Model, context: StepContext, *, syncs: bool
) -> None:
    """`syncs`: what does not move, once it has begun, is synced; anything else waits for a lock."""
    model.update(last)
    pause, waited, has_begun = _SHORTEST_INTERVAL, 0.0, False
    while True:
        before, last = last, sample()
        if has_moved(before, last) or (has_begun and syncs):
            has_begun = True
            context.report(model.update(replace(last, elapsed=last.elapsed - waited)))
        elif not has_begun:
            waited = last.elapsed  # for a lock, which is reported already
        pause = min(pause * 1.1, INTERVAL)
        await asyncio.sleep(pause)


@asynccontextmanager
async def reports_by_time(context: StepContext, phase: str, begin: float, seconds: float) -> AsyncIterator[None]:
    """While inside, report the rest of a step, from the share `begin` on, by the `seconds` that it should take."""
    clock = asyncio.get_running_loop().time

    async def report() -> None:
        since = clock()
        while True:
            share = approach_end((clock() - since) / seconds) if seconds else 0.0
            fraction = min(begin + (1 - begin) * share, ALMOST_ALL)
            context.report(StepProgress(fraction=fraction, phase=phase))
            await asyncio.sleep(FIRST_INTERVAL)

    async with in_background(report(), "the progress of a step"):
        yield


def _opcode_sampler(*connections: MeteredConnection) -> tuple[Sample, Callable[[], Sample]]:
    """The first sample, and what takes the others."""
    clock = asyncio.get_running_loop().time

    def opcodes() -> int:
        return sum(connection.opcodes for connection in connections)

    begin, before = clock(), opcodes()
    return Sample(elapsed=0.0, ticks=0), lambda: Sample(elapsed=clock() - begin, ticks=opcodes() - before)


def _byte_sampler(connection: MeteredConnection, side_file: str) -> tuple[Sample, Callable[[], Sample]]:
    """As `_opcode_sampler`."""
    first, opcodes = _opcode_sampler(connection)

    def counters() -> tuple[int | None, int | None, int | None]:
        read, written = thread_io(connection.thread) or (None, None)
        return read, written, memory_touched(connection.thread)

    before = counters()

    def since(sample: Sample, now: tuple[int | None, int | None, int | None]) -> Sample:
        read, written, touched = (
            None if old is None or new is None else new - old for old, new in zip(before, now, strict=True)
        )
        return replace(sample, read=read, written=written, touched=touched, side_file=file_size(side_file))

    return since(first, before), lambda: since(opcodes(), counters())


def model_of(step: SqliteStep, *, is_wal: bool) -> Model:
    """The progress model of a step."""
    match step.method:
        case Method.VACUUM:
            return of_vacuum(step.course, step.volume, step.copied, wal=is_wal, in_memory=step.in_memory)
        case Method.SWAP:
            return of_exchange(step.course)
        case Method.COPY:
            return of_copy(step.volume)
        case Method.COMPARE:
            return by_opcodes(step.course, COMPARING_COPY)
        case Method.COPY_CHECK:
            return by_opcodes(step.course, CHECKING_COPY)
        case Method.CHECKPOINT:
            return of_checkpoint(step.volume)
        case _ if step.volume:
            return of_reindex(step.course, step.volume)
        case _:
            return by_opcodes(step.course)
