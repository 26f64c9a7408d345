"""The command list: which commands a screen offers, and how the chosen one is run."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from textual.app import App

from engine import JobId
from engine.domain.batches import BatchId
from engine.domain.errors import DbtendError, JobNotFoundError
from tui.console.actions import BY_ID
from tui.console.console_screen import ConsoleScreen
from tui.console.theme import offered_themes
from tui.console.views.line import Role
from tui.console.views.palette import Command, Kind, commands
from tui.console.views.status import child_of

if TYPE_CHECKING:
    from tui.console.context import ConsoleContext


def offer(
    app: App[Any],
    screen: ConsoleScreen[None],
    typed: str,
    *,
    targets: Mapping[int, str],
    go_to_target: Callable[[int], None],
    choose_theme: Callable[[str], Awaitable[None]],
    refresh_every: Callable[[float], None],
) -> None:
    """Open the list of all commands that work now, filtered by `typed`.

    Args:
        targets: the names of the targets to go to, by number; `go_to_target` does it.
    """
    context = screen.context
    bound = {b.binding.id: (b.node, b.binding.action) for b in screen.active_bindings.values() if b.binding.id}
    known = [
        command
        for command in commands(
            bound,
            screen.can,
            themes=offered_themes(os.environ),
            theme=app.theme,
            refresh=context.feed.refresh,
            is_barred=context.is_barred,
        )
        if not (typed and command.value == "theme")  # this list was opened by it
    ]

    async def do(command: Command | None) -> None:
        if command is None:
            return
        match command.kind:
            case Kind.ACTION:
                node, call = bound[BY_ID[command.value].same_key_as or command.value]
                await app.run_action(call, node)
            case Kind.THEME:
                await choose_theme(command.value)
            case Kind.REFRESH:
                refresh_every(float(command.value))
            case Kind.JOB:
                await _open_job(app, context, JobId.parse(command.value))
            case Kind.BATCH:
                await _open_batch(app, context, int(command.value))
            case Kind.TARGET:
                go_to_target(int(command.value))

    app.push_screen(context.screens.palette(known, targets, typed), do)


async def _open_job(app: App[Any], context: ConsoleContext, job: JobId) -> None:
    try:
        parent = await context.engine.job(job.parent)
        is_there = job.ordinal is None or child_of(parent, job) is not None
    except JobNotFoundError:
        is_there = False
    except DbtendError as error:
        context.tell_error(error)
        return
    if is_there:
        app.push_screen(context.screens.job(job))
    else:
        context.tell(f"There is no job #{job}.", Role.WARNING)


async def _open_batch(app: App[Any], context: ConsoleContext, batch: int) -> None:
    try:
        await context.engine.batch(batch)
    except JobNotFoundError:
        context.tell(f"There is no batch {BatchId(batch)}.", Role.WARNING)
    except DbtendError as error:
        context.tell_error(error)
    else:
        app.push_screen(context.screens.history(filtering=False, words=f"batch:{batch}"))
