"""What locks others out is asked for by the name of its target: operations that always ask, and production."""

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
from tui.presentation.text import plain


def confirmed(asked: Sequence[Request]) -> list[Request]:
    """The requests, where somebody says yes to each that needs it. Raises UsageError: a no, or nobody to ask."""
    return [_confirmed(request) for request in asked]


def _confirmed(request: Request) -> Request:
    if request.options.confirmed:
        return request
    name, why = name_of(request.target), " ".join(_reasons(request))
    if not why:
        return request
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(name, f"needs a yes: {why.removesuffix('.')}", "there is no terminal to ask at: give --yes")
    output.notice(f"on {name}: {plain(why)}")
    print(f"Type {name} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != name:
        raise UsageError(name, "was not typed, so nothing was done", "run it again, or give --yes")
    return replace(request, options=replace(request.options, confirmed=True))


def _reasons(request: Request) -> list[str]:
    """Why somebody has to say yes to it, a sentence each. Raises what submitting it would."""
    label = label_of(request.target)
    if not is_production(label):
        return confirmation_needed(inspector.needs_confirmation(request))
    name = name_of(request.target)
    try:
        return risks(asyncio.run(inspector.plan(request)), name, label)
    except (TargetBusyError, ServerUnavailableError) as error:
        return [f"{name} is labelled {label}. {_state(error)}, so whom this blocks is not known."]


def _state(error: TargetBusyError | ServerUnavailableError) -> str:
    """Why it cannot be planned just now, in a few words."""
    if isinstance(error, ServerUnavailableError):
        return "It does not answer"
    return f"Its {error.state}" if isinstance(error, ServerStartingError | TooManyConnectionsError) else "It is locked"
