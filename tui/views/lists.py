"""The lists at the left of the main screen: targets, and the operations of the chosen one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from engine import Operation, OperationInfo, Status, TargetInfo
from engine.config import TargetEntry
from engine.errors import DbtendError
from tui.text import GLYPH, plain, size
from tui.views.line import Line, Role, Span, both_ends, fit, wrapped


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target and what is known of it: nothing yet, a look at it, or why it cannot be opened."""

    entry: TargetEntry
    info: TargetInfo | None = None
    error: DbtendError | None = None


def target_rows(states: Collection[TargetState], current: int, width: int) -> list[Line]:
    """A line for each target; for one that cannot be opened a second line says why."""
    rows: list[Line] = []
    for number, state in enumerate(states):
        here = number == current
        label = f" {plain(state.entry.label)}" if state.entry.label else ""
        left: tuple[Span, ...] = (
            ("> " if here else "  ", Role.STRONG),
            (plain(state.entry.name), Role.STRONG if here else Role.TEXT),
            (label, Role.WARNING),
        )
        rows.append(Line(both_ends(left, _target_word(state), width).spans, number))
        if state.error:
            rows += [Line(((fit(f"  {plain(state.error.why)}", width), Role.DIM),), number)]
    return rows


def _target_word(state: TargetState) -> tuple[Span, ...]:
    if state.error is not None:
        return ((f" {GLYPH[Status.FAILED]} no access", Role.FAILED),)
    if state.info is None:
        return ((" …", Role.DIM),)
    value = state.info.facts.get("size")
    return ((" " + size(value if isinstance(value, (int, float)) else None), Role.DIM),)


def operation_rows(
    offered: Sequence[OperationInfo],
    chosen: Collection[Operation],
    under_cursor: Hashable,
    *,
    width: int,
    height: int,
) -> list[Line]:
    """A checkbox for each operation, with what it does and whom it blocks.

    Where that is higher than `height`, only the one under the cursor is described, below the checkboxes.
    """
    items = [(_checkbox(info, chosen, width), _described(info, width, indent=4)) for info in offered]
    rows = [row for checkbox, described in items for row in (checkbox, *described)]
    if len(rows) <= height or not offered:
        return rows
    current = next((info for info in offered if info.operation == under_cursor), offered[0])
    described = [Line(row.spans) for row in _described(current, width, indent=0)]
    return [*(checkbox for checkbox, _ in items), Line(), *described]


def _checkbox(info: OperationInfo, chosen: Collection[Operation], width: int) -> Line:
    mark = "[x] " if info.operation in chosen else "[ ] "
    return Line(((mark, Role.KEY), (fit(info.operation.value, width - 4), Role.STRONG)), info.operation)


def _described(info: OperationInfo, width: int, *, indent: int) -> list[Line]:
    key = info.operation
    return [
        *wrapped(info.summary, width, Role.DIM, indent=indent, key=key),
        *wrapped(info.lock, width, Role.DIM, indent=indent, key=key),
    ]
