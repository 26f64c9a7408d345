"""Reports the progress of a statement, from counters that are sampled while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.running.progress import Model, Sample, by_opcodes, of_checkpoint, of_copy, of_vacuum
from engine.targets.sqlite.system.files import file_size
from engine.targets.sqlite.system.machine import memory_touched, thread_io
from engine.targets.step_execution import StepContext

INTERVAL: Final = 0.1
"""Seconds between two samples; each costs some 0.1 ms."""
FIRST_INTERVAL: Final = 0.05
"""Seconds before the second sample; the interval grows from here."""
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
    sample = _byte_sampler(connection, side_file) if step.method in COPYING else _opcode_sampler(*connections)
    sampler = asyncio.create_task(_report_samples(sample, model_of(step, is_wal=is_wal), context))
    try:
        yield
    finally:
        sampler.cancel()
        await asyncio.wait({sampler})


async def _report_samples(sample: Callable[[], Sample], model: Model, context: StepContext) -> None:
    last, pause = sample(), FIRST_INTERVAL
    model.update(last)
    while True:
        await asyncio.sleep(pause)
        pause = min(pause * 1.1, INTERVAL)
        if (last.ticks, last.written) == ((last := sample()).ticks, last.written):
            continue  # it waits, and the lock it waits for is reported already
        context.report(model.update(last))


def _opcode_sampler(*connections: MeteredConnection) -> Callable[[], Sample]:
    clock = asyncio.get_running_loop().time

    def opcodes() -> int:
        return sum(connection.opcodes for connection in connections)

    begin, before = clock(), opcodes()
    return lambda: Sample(elapsed=clock() - begin, ticks=opcodes() - before)


def _byte_sampler(connection: MeteredConnection, side_file: str) -> Callable[[], Sample]:
    opcodes = _opcode_sampler(connection)
    thread = connection.thread
    read, written = thread_io(thread) or (None, None)
    touched = memory_touched(thread)

    def sample() -> Sample:
        read_now, written_now = thread_io(thread) or (None, None)
        return replace(
            opcodes(),
            read=_since(read, read_now),
            written=_since(written, written_now),
            touched=_since(touched, memory_touched(thread)),
            side_file=file_size(side_file),
        )

    return sample


def model_of(step: SqliteStep, *, is_wal: bool) -> Model:
    """The progress model of a step."""
    match step.method:
        case Method.VACUUM:
            return of_vacuum(step.volume, step.copied, wal=is_wal, in_memory=step.in_memory)
        case Method.COPY | Method.SWAP:
            return of_copy(step.volume)
        case Method.CHECKPOINT:
            return of_checkpoint(step.volume)
        case _:
            return by_opcodes(step.course)


def _since(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before
