"""Telling how far a statement is, from counters that are read while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from engine.targets.base import StepContext, StepProgress
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.running.progress import Model, Sample, by_opcodes, of_checkpoint, of_copy, of_vacuum
from engine.targets.sqlite.system.files import file_size
from engine.targets.sqlite.system.machine import anonymous_memory, temporary_bytes, thread_io

INTERVAL: Final = 0.1
"""Seconds between two samples; each costs some 0.1 ms."""
FIRST_INTERVAL: Final = 0.05
"""At first so many, growing."""
COPYING: Final = frozenset({Method.VACUUM, Method.COPY, Method.CHECKPOINT})
"""What is told by bytes, and not by opcodes."""


@asynccontextmanager
async def progress_told(
    connection: MeteredConnection, path: str, step: SqliteStep, context: StepContext, *, is_wal: bool
) -> AsyncIterator[None]:
    """Report the progress of what runs on `connection` while inside, or at least that it runs."""
    side_file = path + ("-wal" if is_wal else "-journal")
    look = _looking_at_bytes(connection, side_file) if step.method in COPYING else _looking_at_opcodes(connection)
    sampler = asyncio.create_task(_sample(look, model_of(step, is_wal=is_wal), context))
    try:
        yield
    finally:
        sampler.cancel()
        await asyncio.wait({sampler})


async def _sample(look: Callable[[], Sample], model: Model, context: StepContext) -> None:
    seen, pause = look(), FIRST_INTERVAL
    model.update(seen)
    while True:
        await asyncio.sleep(pause)
        pause = min(pause * 1.1, INTERVAL)
        if (seen.ticks, seen.written) == ((seen := look()).ticks, seen.written):
            continue  # it waits, and what for has been told
        estimate = model.update(seen)
        context.report(StepProgress(fraction=estimate.fraction, phase=estimate.phase))


def _looking_at_opcodes(connection: MeteredConnection) -> Callable[[], Sample]:
    clock = asyncio.get_running_loop().time
    begin, opcodes = clock(), connection.opcodes
    return lambda: Sample(elapsed=clock() - begin, ticks=connection.opcodes - opcodes)


def _looking_at_bytes(connection: MeteredConnection, side_file: str) -> Callable[[], Sample]:
    opcodes = _looking_at_opcodes(connection)
    read, written = thread_io(connection.thread) or (None, None)

    def look() -> Sample:
        read_now, written_now = thread_io(connection.thread) or (None, None)
        return replace(
            opcodes(),
            read=None if read is None or read_now is None else read_now - read,
            written=None if written is None or written_now is None else written_now - written,
            side_file=file_size(side_file),
            temporary=temporary_bytes(),
            memory=anonymous_memory(),
        )

    return look


def model_of(step: SqliteStep, *, is_wal: bool) -> Model:
    """How the progress of a step is told."""
    match step.method:
        case Method.VACUUM:
            return of_vacuum(step.volume, wal=is_wal, in_memory=step.in_memory)
        case Method.COPY:
            return of_copy(step.volume)
        case Method.CHECKPOINT:
            return of_checkpoint(step.volume)
        case _:
            return by_opcodes(step.course)
