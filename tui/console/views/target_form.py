"""The text parts of the target form."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine import Operation
from tui.console.target_entry import FieldMessage
from tui.console.views.line import Line, Role, line, wrapped


def message_lines(message: FieldMessage, width: int, *, submitted: bool) -> list[Line]:
    """The message below a field. `submitted`: the user has tried to save."""
    if message.is_unfinished and not submitted:
        return [Line()]
    role = Role.FAILED if message.is_wrong else Role.WARNING if message.is_doubtful else Role.DIM
    return wrapped(message.text, width, role) if message.text else [Line()]


def choice_rows(offered: Sequence[Operation], chosen: Collection[Operation], columns: int) -> list[Line]:
    return [
        line(("[x] " if operation in chosen else "[ ] ", Role.KEY), operation.value.ljust(columns - 4), key=operation)
        for operation in offered
    ]
