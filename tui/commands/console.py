"""Opening the console: `dbtend [TARGET...]`. Textual is imported here and nowhere else on the command line."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from engine import Engine
from engine.config import ConsoleConfig, TargetEntry
from engine.config_file import ConfigFile
from engine.errors import UsageError
from tui.commands.arguments import COMMANDS
from tui.commands.exit_codes import OK
from tui.commands.settings import Settings, target_entries
from tui.saved_targets import SavedTargets
from tui.worker_process import DetachedWorker


def console(args: argparse.Namespace, settings: Settings) -> int:
    config = settings.config()
    refuse_mistyped_command(args.words, {entry.name for entry in config.targets})
    targets = target_entries(args.words or [entry.name for entry in config.targets], config)
    worker = DetachedWorker(settings.store, config_path=settings.given_config)
    saved = SavedTargets(ConfigFile(settings.config_path), config)
    open_console(settings.store, targets, config.console, worker, mouse=not args.no_mouse, saved=saved)
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


def open_console(
    store: Path,
    targets: Sequence[TargetEntry],
    config: ConsoleConfig,
    worker: DetachedWorker,
    *,
    mouse: bool,
    saved: SavedTargets | None = None,
) -> None:
    """`saved`: the targets of the config file; None where nothing is to be kept.

    Raises UsageError where there is no terminal that could show it.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("console", "needs a terminal", "without one use dbtend run, plan, history; see dbtend --help")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError("console", "this terminal cannot show it (TERM=dumb)", "use dbtend run, plan, history instead")
    gc.disable()  # it would look again and again at what an import makes, which stays
    from tui.app import DbtendApp

    gc.freeze()
    gc.enable()

    async def run() -> None:
        async with Engine.open(store) as engine:
            app = DbtendApp(engine, targets, ensure_worker=worker.ensure, saved=saved, config=config)
            await app.run_async(mouse=mouse)

    asyncio.run(run())
