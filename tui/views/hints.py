"""What is said where there is nothing to show yet, and what to do about it."""

from __future__ import annotations

from tui.text import counted
from tui.views.line import Line, Role, wrapped
from tui.views.lists import TargetState


def no_target(width: int) -> list[Line]:
    return [
        *wrapped("No target yet.", width),
        *wrapped("Leave with q and give a path: dbtend FILE. Or look around with dbtend demo.", width, Role.DIM),
    ]


def target_trouble(state: TargetState | None, width: int) -> list[Line]:
    """In place of the operations of a target that is not there, not looked at yet, or cannot be opened."""
    if state is None:
        return []
    if state.error is None:
        return wrapped("Looking at it ...", width, Role.DIM)
    error = state.error
    return [
        *wrapped(f"{state.entry.name}: {error.why}", width, Role.FAILED),
        *(wrapped(error.hint, width) if error.hint else []),
    ]


def go_on_question(number: int) -> tuple[str, str]:
    """What is asked where as many jobs are open and nobody works on them, and what follows from a no."""
    are, them, they_start = ("is", "it", "it starts") if number == 1 else ("are", "them", "they start")
    return (
        f"{counted(number, 'job')} {are} left from earlier and no worker is up. Go on with {them} now?",
        f"No leaves {them} waiting: {they_start} with the next job that is run here. "
        "Cancel with c what should not run.",
    )


def no_jobs(width: int) -> list[Line]:
    return [
        *wrapped("No job yet.", width),
        *wrapped("Choose operations at the left, then press r to see what they would do.", width, Role.DIM),
    ]


def no_history(words: str, width: int) -> list[Line]:
    """In place of the history where nothing is found; `words`: the filter in force."""
    if not words:
        return [
            *wrapped("No job yet.", width),
            *wrapped("Go back with esc, choose operations and press r.", width, Role.DIM),
        ]
    return [
        *wrapped(f"No job matches {words}", width),
        *wrapped("Change the filter with /, or clear it with esc.", width, Role.DIM),
    ]
