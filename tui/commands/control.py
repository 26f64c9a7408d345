"""`dbtend pause` and `resume`: whether jobs start, in whatever process."""

from __future__ import annotations

import argparse

from engine import Engine, Pause, Status, StoreLocation
from engine.system.current_user import user_at_host
from tui.commands import output
from tui.commands.naming import command
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.waiting import paused
from tui.presentation import json_format
from tui.presentation.exit_codes import OK
from tui.presentation.text import counted


def pause(args: argparse.Namespace, settings: Settings) -> int:
    was_paused, now_paused, running = run_async(_pause(settings.store))
    if args.json:
        output.document(json_format.pause(now_paused))
    elif was_paused:
        output.line(f"already {paused(was_paused)}: {_running_text(running)}")
    else:
        output.line(f"paused: nothing new starts until {command('resume')}, {_running_text(running)}")
    return OK


async def _pause(store: StoreLocation) -> tuple[Pause | None, Pause | None, int]:
    async with Engine.open(store) as engine:
        was_paused = await engine.paused()
        await engine.pause(user_at_host())
        open_jobs = await engine.open_jobs()
        running = sum(any(child.status is Status.RUNNING for child in job.children) for job in open_jobs)
        return was_paused, await engine.paused(), running


def _running_text(running: int) -> str:
    return f"{counted(running, 'job')} {'runs' if running == 1 else 'run'} on" if running else "nothing runs"


def resume(args: argparse.Namespace, settings: Settings) -> int:
    was_paused, waiting = run_async(_resume(settings.store)) if settings.store.exists() else (None, 0)
    if args.json:
        output.document(json_format.pause(None))
    elif was_paused is None:
        output.line("not paused: jobs start as they come")
    else:
        output.line(f"resumed: jobs start again, {counted(waiting, 'job')} open")
    return OK


async def _resume(store: StoreLocation) -> tuple[Pause | None, int]:
    async with Engine.open(store) as engine:
        was_paused = await engine.paused()
        await engine.resume()
        return was_paused, len(await engine.open_jobs())
