"""What is said where there is nothing to show yet, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine import Level
from engine.domain.advice import worst
from engine.domain.errors import DbtendError, PasswordNeededError, TargetBusyError, TargetUnavailableError
from engine.domain.humanize import listed
from tui.console.keymap import key_of, with_keys
from tui.console.views.line import Line, Role, line, wrapped
from tui.console.views.lists import TargetState
from tui.presentation.text import counted, plain

_SEEN_AGAIN: Final = "Once it can be opened, that is seen here by itself."
_LOOKED_AT_AGAIN: Final = "It is looked at again by itself."
_RUN_FIRST: Final = "Go back with {back}, choose operations and press {run}."

MOST_TOLD: Final = 2
"""So many reasons are given for what was not looked at."""


def no_target(width: int) -> list[Line]:
    return wrapped("None yet.", width, Role.DIM) if width else []


def welcome(width: int) -> list[Line]:
    """In place of the operations where there is no target at all: what to do first."""
    if not width:  # not laid out yet
        return []
    lines = [*wrapped("Welcome! There is no database to tend yet.", width), Line()]
    for key, does in (
        (key_of("add"), "add a database of yours"),
        (key_of("sample"), "build a sample database and try things out on it, for this session only"),
        (key_of("quit"), "leave, and name a database: dbtend FILE"),
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
        *(wrapped(with_keys("Or press {test} to type it."), width) if isinstance(error, PasswordNeededError) else []),
        *(wrapped("It was there before: was it moved, or its disk unmounted?", width) if is_gone else []),
        *wrapped(_SEEN_AGAIN if not isinstance(error, TargetBusyError) else _LOOKED_AT_AGAIN, width, Role.DIM),
    ]


def nothing_to_run(state: TargetState | None, *, is_being_built: bool) -> str:
    """Why there is no plan to show; `is_being_built`: a sample is."""
    if state is None:
        if is_being_built:
            return "Nothing to run yet: the sample database is being built."
        return with_keys("Nothing to run: there is no database yet. {add} adds one.")
    if isinstance(state.error, TargetBusyError):
        return f"{plain(state.entry.name)} is locked: it is looked at again by itself, until it is free."
    if state.info is None:
        return f"Nothing to run: {plain(state.entry.name)} cannot be opened. Choose another target."
    return with_keys("Nothing to run: choose an operation in Operations ({pane-2}) with {choose}.")


def why_nothing(state: TargetState) -> str:
    """Why nothing is to run on a target of which nothing is chosen."""
    if state.error is not None:
        return f"{state.error.why} ({state.error.hint})" if state.error.hint else state.error.why
    if state.info is None or state.advice is None:
        return "it has not been looked at yet: go back and come again in a moment"
    known = "is known to be needed" if worst(state.advice) is Level.UNKNOWN else "is needed"
    found = listed([one.operation for one in state.advice if one.needs_manual_fix])
    first = f" before what {found} found is put right" if found else ""
    return f"nothing {known}{first}, and nothing was chosen"


def go_on_question(number: int) -> tuple[str, str]:
    """What is asked where as many jobs are open and nobody works on them, and what follows from a no."""
    are, them, they_start = ("is", "it", "it starts") if number == 1 else ("are", "them", "they start")
    return (
        f"{counted(number, 'job')} {are} left from earlier and no worker is up. Go on with {them} now?",
        f"No leaves {them} waiting: {they_start} with the next job that is run here. "
        f"Cancel with {key_of('cancel')} what should not run.",
    )


def examining(state: TargetState, number: int) -> str:
    """What is said where somebody wants a look at everything; `number`: at so many targets."""
    what = plain(state.entry.name) if number == 1 else counted(number, "target")
    blocks = state.info is not None and state.info.facts.get("journal_mode", "wal") != "wal"
    wait = " Who writes to it waits meanwhile." if blocks and number == 1 else ""
    return f"Looking at all of {what}, however long that takes; {key_of('examine')} again ends it.{wait}"


def examined(looks: Iterable[tuple[TargetState, DbtendError | None]]) -> str:
    """What is said after a look at everything, at each of these targets; an error: why it could not be looked at."""
    unseen = [
        f"{plain(state.entry.name)}: {plain(why)}"
        for state, error in looks
        for why in ([error.why] if error is not None else _unknown(state))
    ]
    if not unseen:
        return "Everything was looked at."
    more = f" And {len(unseen) - MOST_TOLD} more." if len(unseen) > MOST_TOLD else ""
    return f"Not everything could be looked at. {'. '.join(unseen[:MOST_TOLD])}.{more}"


def _unknown(state: TargetState) -> list[str]:
    """What is not known all the same, each reason once."""
    unknown = [one for one in state.advice or () if one.level is Level.UNKNOWN and one.inspection_can_tell]
    return list(dict.fromkeys(one.reason for one in unknown))


def no_jobs(width: int, *, read_only: bool, has_target: bool) -> list[Line]:
    shows = "{plan}" if read_only else "{run}"
    how = f"Choose in Operations ({{pane-2}}), then press {shows} to see what they would do."
    return [
        *wrapped("No job yet.", width),
        *(
            wrapped(with_keys(how), width, Role.DIM) if has_target else []
        ),  # without one, a welcome says what comes first
    ]


def no_history(words: str, width: int, *, rather: str, read_only: bool) -> list[Line]:
    """In place of the history where nothing is found; `words`: the filter in force, `rather`: what may be meant."""
    if words:
        meant = f"Words alone are looked for in errors. Did you mean {rather}?" if rather else ""
        return [
            *wrapped(f"No job matches {words}", width),
            *(wrapped(meant, width) if meant else []),
            *wrapped(with_keys("Change the filter with {filter}, or clear it with {back}."), width, Role.DIM),
        ]
    return [
        *wrapped("No job yet.", width),
        *([] if read_only else wrapped(with_keys(_RUN_FIRST), width, Role.DIM)),
    ]
