"""What is said where there is nothing to show yet, and what to do about it."""

from __future__ import annotations

from typing import Final

from engine.errors import TargetBusyError
from tui.keymap import key_of, with_keys
from tui.text import counted, plain
from tui.views.line import Line, Role, wrapped
from tui.views.lists import TargetState

_GIVE_ONE: Final = "Leave with {quit} and give a path: dbtend FILE. Or look around with dbtend demo."
_RUN_FIRST: Final = "Go back with {back}, choose operations and press {run}."


def no_target(width: int) -> list[Line]:
    return [
        *wrapped("No target yet.", width),
        *wrapped(
            with_keys(_GIVE_ONE),
            width,
            Role.DIM,
        ),
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
        *(wrapped("It is looked at again by itself.", width, Role.DIM) if isinstance(error, TargetBusyError) else []),
    ]


def nothing_to_run(state: TargetState | None) -> str:
    """Why there is no plan to show."""
    if state is not None and isinstance(state.error, TargetBusyError):
        return f"{plain(state.entry.name)} is locked: it is looked at again by itself, until it is free."
    return "Nothing to run: choose a target that can be opened, and at least one operation."


def go_on_question(number: int) -> tuple[str, str]:
    """What is asked where as many jobs are open and nobody works on them, and what follows from a no."""
    are, them, they_start = ("is", "it", "it starts") if number == 1 else ("are", "them", "they start")
    return (
        f"{counted(number, 'job')} {are} left from earlier and no worker is up. Go on with {them} now?",
        f"No leaves {them} waiting: {they_start} with the next job that is run here. "
        f"Cancel with {key_of('cancel')} what should not run.",
    )


def no_jobs(width: int, *, read_only: bool) -> list[Line]:
    key = key_of("plan" if read_only else "run")
    return [
        *wrapped("No job yet.", width),
        *wrapped(f"Choose operations at the left, then press {key} to see what they would do.", width, Role.DIM),
    ]


def no_history(words: str, width: int, *, read_only: bool) -> list[Line]:
    """In place of the history where nothing is found; `words`: the filter in force."""
    if words:
        return [
            *wrapped(f"No job matches {words}", width),
            *wrapped(with_keys("Change the filter with {filter}, or clear it with {back}."), width, Role.DIM),
        ]
    return [
        *wrapped("No job yet.", width),
        *([] if read_only else wrapped(with_keys(_RUN_FIRST), width, Role.DIM)),
    ]
