"""Operations that lock everybody out are asked for twice: by name, and by a yes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from engine import Request, look
from engine.errors import UsageError
from tui.commands import output
from tui.commands.naming import name_of, named
from tui.text import plain


def confirmed(asked: Sequence[Request]) -> list[Request]:
    """The requests, where somebody says yes to each that needs it. Raises UsageError: a no, or nobody to ask."""
    return [_confirmed(request) for request in asked]


def _confirmed(request: Request) -> Request:
    needs = look.needs_yes(request)
    if not needs or request.options.confirmed:
        return request
    name = name_of(request.target)
    said = "; ".join(f"{operation} {what}" for operation, what in needs)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"operation {needs[0][0]}", needs[0][1], "say that you want it: --yes")
    output.notice(f"on {named(request.target)}, {plain(said)}")
    print(f"Type {name} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != name:
        raise UsageError(f"operation {needs[0][0]}", "was not confirmed", "nothing was done")
    return replace(request, options=replace(request.options, confirmed=True))
