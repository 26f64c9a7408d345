"""What a person should know of the store besides what was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from engine import Engine, ParentJob, Pause, WorkerProcess
from tui.commands.waiting import nothing_starts
from tui.text import counted


async def notices(engine: Engine) -> list[str]:
    """That nothing starts, or that there is nobody to start it."""
    return why_nothing_moves(await engine.open_jobs(), await engine.workers(), await engine.paused())


def why_nothing_moves(
    open_jobs: Sequence[ParentJob], workers: Sequence[WorkerProcess], pause: Pause | None
) -> list[str]:
    """A sentence where jobs are open that nobody carries out, or the store is paused."""
    if pause is not None:
        return [nothing_starts(pause)]
    if not open_jobs or any(process.alive for process in workers):
        return []
    verb = "waits" if len(open_jobs) == 1 else "wait"
    return [f"{counted(len(open_jobs), 'job')} {verb}, and no process carries out jobs (dbtend worker starts one)"]
