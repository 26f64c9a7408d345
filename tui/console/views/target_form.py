"""The parts of a target's form that are lines of text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine import Operation
from tui.console.target_entry import FieldMessage
from tui.console.views.line import Line, Role, line, wrapped


def said_line(said: FieldMessage, width: int, *, submitted: bool) -> list[Line]:
    """What is said below a field. `submitted`: somebody meant it to be complete."""
    if said.is_unfinished and not submitted:
        return [Line()]
    role = Role.FAILED if said.is_wrong else Role.WARNING if said.is_doubtful else Role.DIM
    return wrapped(said.text, width, role) if said.text else [Line()]


def choice_rows(offered: Sequence[Operation], chosen: Collection[Operation], columns: int) -> list[Line]:
    """A checkbox for each operation."""
    return [
        line(("[x] " if operation in chosen else "[ ] ", Role.KEY), operation.value.ljust(columns - 4), key=operation)
        for operation in offered
    ]
