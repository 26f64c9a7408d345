"""Asks for the name of the target before a request that locks other sessions out runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

from engine import Request
from engine.domain.errors import (
    ServerStartingError,
    ServerUnavailableError,
    TargetBusyError,
    TooManyConnectionsError,
    UsageError,
)
from engine.inspection import inspector
from tui.commands import output
from tui.commands.naming import label_of, name_of
from tui.presentation.risk import confirmation_needed, is_production, risks
from tui.presentation.text import plain, sentences


def confirmed(asked: Sequence[Request]) -> list[Request]:
    """The requests, each confirmed if it needs that. Raises UsageError without a confirmation or a terminal."""
    return [_confirmed(request) for request in asked]


def _confirmed(request: Request) -> Request:
    if request.options.confirmed:
        return request
    name, why = name_of(request.target), _reasons(request)
    if not why:
        return request
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(name, f"needs confirmation: {'. '.join(why)}", "there is no terminal to ask at: give --yes")
    output.notice(f"on {name}: {plain(sentences(why))}")
    print(f"Type {name} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != name:
        raise UsageError(name, "was not typed: nothing was done", "run it again, or give --yes")
    return replace(request, options=replace(request.options, confirmed=True))


def _reasons(request: Request) -> list[str]:
    """Why it needs a confirmation, without a final stop. Raises what submitting it would."""
    label = label_of(request.target)
    if not is_production(label):
        return confirmation_needed(inspector.needs_confirmation(request))
    name = name_of(request.target)
    try:
        return risks(asyncio.run(inspector.plan(request)), name, label)
    except (TargetBusyError, ServerUnavailableError) as error:
        return [f"{name} is labelled {label}. {_state(error)}, so it is unknown what this blocks"]


def _state(error: TargetBusyError | ServerUnavailableError) -> str:
    """Why it cannot be planned now, in a few words."""
    if isinstance(error, ServerUnavailableError):
        return "It does not answer"
    return f"Its {error.state}" if isinstance(error, ServerStartingError | TooManyConnectionsError) else "It is locked"
