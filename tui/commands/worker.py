"""`dbtend worker`: carries out jobs in the background until it is stopped, or idle for long enough."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from engine import Engine
from tui.commands.exit_codes import OK
from tui.commands.settings import Settings
from tui.commands.signals import stop_signals
from tui.commands.tasks import first_of
from tui.worker_process import serving


def worker(args: argparse.Namespace, settings: Settings) -> int:
    workers = args.workers or settings.config().defaults.workers
    asyncio.run(_work(settings.store, workers, args.idle_exit))
    return OK


async def _work(store: Path, workers: int, idle_exit: float | None) -> None:
    with stop_signals() as stop:
        while not stop.is_set():
            async with Engine.open(store, workers=workers) as engine:
                with serving(store):
                    await first_of(stop.wait(), *([] if idle_exit is None else [_idle(engine, idle_exit)]))
                # From here on nobody relies on us, so what was submitted before is the last that is ours.
                if not await engine.open_jobs():
                    return


async def _idle(engine: Engine, seconds: float) -> None:
    """Return when no job has been open, and nothing has happened, for so long."""
    moved = asyncio.Event()

    async def follow() -> None:
        async for _ in engine.changes():
            moved.set()

    async def wait() -> None:
        while True:
            try:
                await asyncio.wait_for(moved.wait(), max(seconds, 0.1))
                moved.clear()
            except TimeoutError:
                if not await engine.open_jobs():
                    return

    await first_of(follow(), wait())
