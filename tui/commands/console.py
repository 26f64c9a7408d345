"""Opening the console: `dbtend [TARGET...]`. Textual is imported here and nowhere else on the command line."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine import Engine, StoreLocation
from engine.config.config_file import ConfigFile
from engine.config.model import ConsoleConfig, TargetEntry
from engine.domain.errors import StoreBusyError, UsageError
from engine.domain.lazy_import import lazy
from engine.domain.spelling import closest
from engine.fleet.expansion import may_name_databases, patterns_of_all_databases
from tui.commands.arguments import COMMANDS
from tui.commands.settings import Settings
from tui.commands.targets import expanded, target_entries
from tui.console.saved_targets import SavedTargets
from tui.presentation.canonical_urls import canonical
from tui.presentation.exit_codes import OK
from tui.workers.detached import DetachedWorker

if TYPE_CHECKING:
    from tui.commands import diagnostics
    from tui.console import waiting_app
    from tui.console.app import DbtendApp
    from tui.presentation.health_check import Check
else:
    waiting_app = lazy("tui.console.waiting_app", "only a locked store needs it")
    diagnostics = lazy("tui.commands.diagnostics", "only the doctor screen needs it")


def console(args: argparse.Namespace, settings: Settings) -> int:
    gc.disable()  # what the config file says stays, too
    config = settings.config()
    refuse_mistyped_command(args.words, {entry.name for entry in config.targets})
    entries = target_entries(args.words or [entry.name for entry in config.targets], config)
    if args.all_databases:
        entries = patterns_of_all_databases(entries)
    targets = _known_targets(entries, args, settings.store)
    worker = DetachedWorker(settings.store, config_path=settings.given_config)
    settings = replace(settings, read_only=settings.read_only or config.console.read_only)
    mouse = config.console.mouse and not args.no_mouse
    saved = SavedTargets(ConfigFile(settings.config_path), config, reserved=COMMANDS)
    for entry in targets:
        saved.urls.of(entry.url)  # off the event loop
    open_console(settings, targets, config.console, worker, mouse=mouse, saved=saved)
    return OK


def _known_targets(entries: Sequence[TargetEntry], args: argparse.Namespace, store: StoreLocation) -> list[TargetEntry]:
    """The targets that need no server to be listed, and the patterns that do: the console lists those itself."""
    on_servers = [entry for entry in entries if may_name_databases(entry.url)]
    others = [entry for entry in entries if not may_name_databases(entry.url)]
    patterns = [replace(entry, exclude=(*entry.exclude, *(args.exclude or ()))) for entry in on_servers]
    if not others:
        return patterns
    found = expanded(others, args, store, are_all=not patterns)
    return [*found.targets, *(one.entry for one in found.unlisted), *patterns]


def refuse_mistyped_command(words: Iterable[str], names: Collection[str]) -> None:
    """Raise UsageError where a word can only be meant as a command: no target is called like this."""
    for word in words:
        if word in names or ":" in word or "=" in word or Path(word).exists():
            continue
        close = closest(word, [*COMMANDS, *names])
        if close or not set(word) & set("/."):
            meant = f"dbtend {close}" if close in COMMANDS else close
            hint = f"did you mean {meant}?" if meant else "give a path, or see dbtend --help for the commands"
            raise UsageError(repr(word), "is no command, no file and no target of the config file", hint)


AT_ONCE = 0.03
"""Seconds within which a server nearby has let in who opens a store: then nothing is shown before."""
COLLECT_OLDER_AFTER: Final = (5, 2)
"""A screen that was left is collected with the oldest: with Python's 10 and 10 there would be tens of MiB of them."""
FIRST_PATIENCE = 0.3
"""Seconds to wait for a store that is locked, until that is shown."""


def open_console(
    settings: Settings,
    targets: Sequence[TargetEntry],
    config: ConsoleConfig,
    worker: DetachedWorker,
    *,
    mouse: bool,
    saved: SavedTargets | None = None,
) -> None:
    """`saved`: the targets of the config file; None where nothing is to be kept.

    Raises UsageError where there is no terminal that could show it, ConfigError for keys or a theme that cannot be.
    """
    _require_terminal()
    with _uncollected():
        from tui.console.app import DbtendApp
        from tui.console.settings import apply_console_settings

    apply_console_settings(config, settings.config_path)

    async def run(*, early: bool) -> bool:
        """`early`: the screen does not wait for a server. Whether it must open the store again, to read only."""
        async with AsyncExitStack() as stack:

            async def attempt() -> Engine:
                opening = Engine.open(
                    settings.store,
                    config=settings.config_path,
                    read_only=settings.read_only,
                    early=early,
                    timeout=FIRST_PATIENCE,
                )
                return await stack.enter_async_context(opening)

            engine = await _opened(settings.store, attempt, config, mouse=mouse)
            if engine is None:
                return False
            opening = asyncio.ensure_future(engine.opened())
            stack.callback(opening.cancel)
            await asyncio.wait({opening}, timeout=AT_ONCE)
            if opening.done() and not opening.result() and not engine.read_only:
                return True
            app = DbtendApp(
                engine,
                targets,
                ensure_worker=worker.ensure,
                worker_lacks=lambda url: worker.lacks(canonical(url)),
                saved=saved,
                config=config,
                examine=lambda: _examine(settings, targets),
                copies=settings.store.path.with_name("copied.txt"),
            )
            leaving = asyncio.ensure_future(_leave_unless_open(app, opening))
            stack.callback(leaving.cancel)
            await app.run_async(mouse=mouse)
            return opening.done() and not opening.result() and not engine.read_only

    if asyncio.run(run(early=settings.store.is_shared)):
        asyncio.run(run(early=False))


def _require_terminal() -> None:
    """Raises UsageError where there is no terminal that could show the console."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("console", "needs a terminal", "without one use dbtend run, plan, history; see dbtend --help")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError("console", "this terminal cannot show it (TERM=dumb)", "use dbtend run, plan, history instead")


@contextmanager
def _uncollected() -> Iterator[None]:
    """What an import makes inside stays: garbage collection leaves it alone, and looks at old objects less often."""
    gc.disable()
    yield
    gc.freeze()
    gc.set_threshold(gc.get_threshold()[0], *COLLECT_OLDER_AFTER)
    gc.enable()


async def _leave_unless_open(app: DbtendApp, opening: asyncio.Future[bool]) -> None:
    """End the console where the store cannot be opened, or may be looked at only."""
    await asyncio.wait({opening})
    while not app.is_running:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(AT_ONCE)
    if opening.cancelled():
        return
    if opening.exception() is not None or not (opening.result() or app.context.engine.read_only):
        app.exit()


async def _examine(settings: Settings, targets: Sequence[TargetEntry]) -> list[Check]:
    return await diagnostics.examine(settings, lambda _: targets)


async def _opened(
    store: StoreLocation, attempt: Callable[[], Awaitable[Engine]], config: ConsoleConfig, *, mouse: bool
) -> Engine | None:
    """The engine, once its store can be opened; None if the user did not want to wait. Raises StoreError."""
    try:
        return await attempt()
    except StoreBusyError:
        if store.is_shared:
            raise
        waiting = waiting_app.WaitingApp(store.path, attempt, theme=config.theme)
        engine = await waiting.run_async(mouse=mouse)
        if waiting.error is not None:
            raise waiting.error from None
        return engine
