"""Notices about the store that a person should see besides the result."""

from __future__ import annotations

from engine import Engine
from tui.commands.waiting import nothing_starts
from tui.presentation.text import counted


async def notices(engine: Engine) -> list[str]:
    """Says that jobs do not start, or that no worker process runs."""
    if pause := await engine.paused():
        return [nothing_starts(pause)]
    if any(process.alive for process in await engine.workers()):
        return []
    waiting = len(await engine.open_jobs())
    if not waiting:
        return []
    verb = "waits" if waiting == 1 else "wait"
    return [f"{counted(waiting, 'job')} {verb}, and no process carries out jobs (dbtend worker starts one)"]
