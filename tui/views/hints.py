"""What is said where there is nothing to show yet, and what to do about it."""

from __future__ import annotations

from engine.errors import TargetUnavailableError
from tui.text import counted
from tui.views.line import Line, Role, line, wrapped
from tui.views.lists import TargetState


def no_target(width: int) -> list[Line]:
    return wrapped("None yet.", width, Role.DIM) if width else []


def welcome(width: int) -> list[Line]:
    """In place of the operations where there is no target at all: what to do first."""
    if not width:  # not laid out yet
        return []
    lines = [*wrapped("Welcome! There is no database to tend yet.", width), Line()]
    for key, does in (
        ("A", "add a database of yours"),
        ("d", "build a sample database and try things out on it, for this session only"),
        ("q", "leave, and name a database: dbtend FILE"),
    ):
        first, *more = wrapped(does, width - 4)
        lines += [line((f" {key}  ", Role.KEY), *first.spans)]
        lines += [line("    ", *one.spans) for one in more]
    return [*lines, Line(), *wrapped("Nothing is changed before you have seen what would run.", width, Role.DIM)]


def building(path: str, width: int) -> list[Line]:
    """In the same place while a sample is built, which takes seconds."""
    return [*wrapped("Building a sample database ...", width), Line(), *wrapped(path, width, Role.DIM)]


def target_trouble(state: TargetState | None, width: int) -> list[Line]:
    """In place of the operations of a target that is not there, not looked at yet, or cannot be opened."""
    if state is None:
        return []
    if state.error is None:
        return wrapped("Looking at it ...", width, Role.DIM)
    error = state.error
    is_gone = state.was_there and isinstance(error, TargetUnavailableError)
    return [
        *wrapped(f"{state.entry.name}: {error.why}", width, Role.FAILED),
        *(wrapped(f"{error.hint[0].upper()}{error.hint[1:]}.", width) if error.hint else []),
        *(wrapped("It was there before: was it moved, or its disk unmounted?", width) if is_gone else []),
        *wrapped("Once it can be opened, that is seen here by itself.", width, Role.DIM),
    ]


def why_nothing(state: TargetState) -> str:
    """Why nothing is to run on a target of which nothing is chosen."""
    if state.error is not None:
        return f"{state.error.why} ({state.error.hint})" if state.error.hint else state.error.why
    if state.info is None or state.advice is None:
        return "it has not been looked at yet: go back and come again in a moment"
    return "nothing is needed, and nothing was chosen"


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
