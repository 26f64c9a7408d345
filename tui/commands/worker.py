"""`dbtend worker`: carries out jobs in the background until it is stopped, or idle for long enough."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from engine import Engine
from tui.commands.exit_codes import OK
from tui.commands.settings import Settings
from tui.commands.signals import stop_signals


def worker(args: argparse.Namespace, settings: Settings) -> int:
    workers = args.workers or settings.config().defaults.workers
    asyncio.run(_work(settings.store, workers, args.idle_exit))
    return OK


async def _work(store: Path, workers: int, idle_exit: float | None) -> None:
    with stop_signals("stopping safely; once more to leave at once") as stop:
        async with Engine.open(store, workers=workers) as engine:
            if idle_exit is None:
                await stop.wait()
                return
            stopping = asyncio.create_task(stop.wait())
            idle = asyncio.create_task(_idle(engine, idle_exit))
            try:
                await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
                if idle.done():
                    idle.result()
            finally:
                stopping.cancel()
                idle.cancel()


async def _idle(engine: Engine, seconds: float) -> None:
    """Return when no job has been open, and nothing has happened, for so long."""
    changes = engine.changes()
    following = asyncio.ensure_future(anext(changes))
    while True:
        done, _ = await asyncio.wait({following}, timeout=seconds)
        if done:
            following.result()
            following = asyncio.ensure_future(anext(changes))
        elif not await engine.open_jobs():
            following.cancel()
            await asyncio.wait({following})
            return
