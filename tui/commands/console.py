"""Opening the console: `dbtend [TARGET...]`. Textual is imported here and nowhere else on the command line."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from difflib import get_close_matches
from pathlib import Path

from engine import Engine
from engine.config import ConsoleConfig, TargetEntry
from engine.errors import StoreBusyError, UsageError
from tui.commands.arguments import COMMANDS
from tui.commands.exit_codes import OK
from tui.commands.settings import Settings, target_entries
from tui.worker_process import DetachedWorker


def console(args: argparse.Namespace, settings: Settings) -> int:
    config = settings.config()
    refuse_mistyped_command(args.words, {entry.name for entry in config.targets})
    targets = target_entries(args.words or [entry.name for entry in config.targets], config)
    worker = DetachedWorker(settings.store, config_path=settings.given_config)
    read_only = settings.read_only or config.console.read_only
    open_console(settings.store, targets, config.console, worker, mouse=not args.no_mouse, read_only=read_only)
    return OK


def refuse_mistyped_command(words: Iterable[str], names: Collection[str]) -> None:
    """Raise UsageError where a word can only be meant as a command: no target is called like this."""
    for word in words:
        if word in names or ":" in word or "=" in word or Path(word).exists():
            continue
        close = get_close_matches(word, [*COMMANDS, *names], 1)
        if close or not set(word) & set("/."):
            meant = [f"dbtend {name}" if name in COMMANDS else name for name in close]
            hint = f"did you mean {meant[0]}?" if meant else "give a path, or see dbtend --help for the commands"
            raise UsageError(repr(word), "is no command, no file and no target of the config file", hint)


FIRST_PATIENCE = 0.3
"""Seconds to wait for a store that is locked, until that is shown."""


def open_console(
    store: Path,
    targets: Sequence[TargetEntry],
    config: ConsoleConfig,
    worker: DetachedWorker,
    *,
    mouse: bool,
    read_only: bool = False,
) -> None:
    """Raises UsageError where there is no terminal that could show it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("console", "needs a terminal", "without one use dbtend run, plan, history; see dbtend --help")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError("console", "this terminal cannot show it (TERM=dumb)", "use dbtend run, plan, history instead")
    gc.disable()  # it would look again and again at what an import makes, which stays
    from tui.app import DbtendApp

    gc.freeze()
    gc.enable()

    async def run() -> None:
        async with AsyncExitStack() as stack:

            async def attempt() -> Engine:
                opening = Engine.open(store, read_only=read_only, patience=FIRST_PATIENCE)
                return await stack.enter_async_context(opening)

            engine = await _opened(store, attempt, config, mouse=mouse)
            if engine is None:
                return
            app = DbtendApp(engine, targets, ensure_worker=worker.ensure, config=config)
            await app.run_async(mouse=mouse)

    asyncio.run(run())


async def _opened(
    store: Path, attempt: Callable[[], Awaitable[Engine]], config: ConsoleConfig, *, mouse: bool
) -> Engine | None:
    """The engine, as soon as it can be had; None where somebody did not want to wait. Raises StoreError."""
    try:
        return await attempt()
    except StoreBusyError:
        from tui.waiting_app import WaitingApp

        waiting = WaitingApp(store, attempt, theme=config.theme)
        engine = await waiting.run_async(mouse=mouse)
        if waiting.error is not None:
            raise waiting.error from None
        return engine
