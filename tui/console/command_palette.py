"""The list of commands: what is offered on a screen, and what is done once something of it is chosen."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from textual.app import App

from engine import JobId
from engine.domain.errors import DbtendError, JobNotFoundError
from tui.console.actions import BY_ID
from tui.console.screens.base import ConsoleScreen
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
    choose_theme: Callable[[str], Awaitable[None]],
    look_every: Callable[[float], None],
) -> None:
    """Offer everything that can be done here and now, or what of it is called as `typed`."""
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
        if not (typed and command.value == "theme")  # which has led here
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
                look_every(float(command.value))
            case Kind.JOB:
                await _open_job(app, context, JobId.parse(command.value))

    app.push_screen(context.screens.palette(known, typed), do)


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
        context.tell(f"There is no job {job}.", Role.WARNING)
