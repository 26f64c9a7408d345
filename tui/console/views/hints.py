"""Hints: what to do where there is nothing to show or nothing to run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine import Level
from engine.domain.advice import highest_level
from engine.domain.errors import (
    DbtendError,
    HotJournalError,
    PasswordNeededError,
    TargetUnavailableError,
)
from engine.domain.humanize import listed
from tui.console.keymap import key_of, with_keys
from tui.console.views.line import Line, Role, hanging, wrapped
from tui.console.views.lists import TargetState
from tui.presentation.text import counted, plain

_RETRIED: Final = "Retried automatically."
_RUN_FIRST: Final = "Go back with {back}, select operations and press {run}."

MOST_REASONS: Final = 2
"""Reasons that the result of a full inspection names, at most."""

NO_SCHEDULES: Final = "There are no schedules: add a section [schedules.NAME] to the config file."


def no_target(width: int, *, filtered: bool) -> list[Line]:
    """In place of an empty list of targets; `filtered`: there are some."""
    return wrapped("No target matches." if filtered else "No targets yet.", width, Role.DIM) if width else []


def welcome(width: int) -> list[Line]:
    """In place of the operations while there is no target: what to do first."""
    if not width:  # not laid out yet
        return []
    lines = [*wrapped("Welcome! There is no database yet.", width), Line()]
    for key, does in (
        (key_of("add"), "add your database"),
        (key_of("sample"), "build a sample database to try things out, for this session only"),
        (key_of("quit"), "quit, and start again with a database: dbtend FILE"),
    ):
        lines += hanging([(f" {key}  ", Role.KEY)], does, width)
    return [*lines, Line(), *wrapped("Nothing runs before you have seen its plan.", width, Role.DIM)]


def building(path: str, width: int) -> list[Line]:
    """In the same place while a sample is built, for some seconds."""
    return [*wrapped("Building a sample database ...", width), Line(), *wrapped(path, width, Role.DIM)]


def target_trouble(state: TargetState | None, width: int, *, read_only: bool) -> list[Line]:
    """In place of the operations of a target that is missing, not inspected yet, or cannot be opened."""
    if state is None:
        return []
    if state.error is None:
        return wrapped("Inspecting ...", width, Role.DIM)
    error = state.error
    is_gone = state.last_info is not None and isinstance(error, TargetUnavailableError)
    can_roll_back = isinstance(error, HotJournalError) and not read_only
    return [
        *wrapped(f"{state.entry.name}: {error.why}", width, Role.FAILED),
        *(wrapped(f"{error.hint[0].upper()}{error.hint[1:]}.", width) if error.hint else []),
        *(wrapped(with_keys("Or press {test} to type it."), width) if isinstance(error, PasswordNeededError) else []),
        *(wrapped(with_keys("Or press {run} to plan a check: that rolls it back."), width) if can_roll_back else []),
        *(wrapped("It was available before: was it moved, or its disk unmounted?", width) if is_gone else []),
        *wrapped(_RETRIED, width, Role.DIM),
    ]


def elsewhere(host: str, width: int) -> list[Line]:
    """What runs on a file of another host."""
    return wrapped(with_keys(f"{{run}}: a worker on {plain(host)} runs what you choose, or what is needed"), width)


def nothing_to_run(state: TargetState | None, *, is_being_built: bool) -> str:
    """Why there is no plan to show; `is_being_built`: whether a sample is."""
    if state is None:
        if is_being_built:
            return "Nothing to run yet: the sample database is being built."
        return with_keys("Nothing to run: no database yet. {add} adds one.")
    if state.error is not None:
        return f"{plain(state.entry.name)}: {plain(state.error.why_and_hint)}"
    return with_keys("Nothing to run: select an operation in pane {pane-2} with {choose}.")


def why_nothing(state: TargetState) -> str:
    if state.error is not None:
        return state.error.why_and_hint
    if state.info is None or state.advice is None:
        return "not inspected yet: go back and try again in a moment"
    known = "is known to be needed" if highest_level(state.advice) is Level.UNKNOWN else "is needed"
    found = listed([one.operation for one in state.advice if one.needs_manual_fix])
    first = f" until you have repaired what {found} found" if found else ""
    return f"nothing {known}{first}, and no operation is chosen"


def go_on_question(number: int) -> tuple[str, str]:
    """The question about open jobs without a worker, and what a no means."""
    are, them, they_start = ("is", "it", "it starts") if number == 1 else ("are", "them", "they start")
    return (
        f"{counted(number, 'job')} from earlier {are} open and no worker is up. Start a worker for {them} now?",
        f"With no, {they_start} with the next job that you run here. "
        f"{key_of('cancel')} cancels a job that must not run.",
    )


def examining(state: TargetState, number: int) -> str:
    """Announces a full inspection of `number` targets, `state` the first of them."""
    what = plain(state.entry.name) if number == 1 else counted(number, "target")
    blocks = state.info is not None and state.info.facts.get("journal_mode", "wal") != "wal"
    wait = " Writers wait until it ends." if blocks and number == 1 else ""
    return f"Full inspection of {what}; {key_of('examine')} again stops it.{wait}"


def examined(looks: Iterable[tuple[TargetState, DbtendError | None]]) -> str:
    """The result of a full inspection of these targets, each with the error that prevented it."""
    unseen = [
        f"{plain(state.entry.name)}: {plain(why)}"
        for state, error in looks
        for why in ([error.why] if error is not None else _unknown(state))
    ]
    if not unseen:
        return "Full inspection finished."
    more = f" And {len(unseen) - MOST_REASONS:,} more." if len(unseen) > MOST_REASONS else ""
    return f"Full inspection incomplete. {'. '.join(unseen[:MOST_REASONS])}.{more}"


def _unknown(state: TargetState) -> list[str]:
    """Why advice is still unknown, each reason once."""
    unknown = [one for one in state.advice or () if one.level is Level.UNKNOWN and one.inspection_can_tell]
    return list(dict.fromkeys(one.reason for one in unknown))


def no_jobs(width: int, *, read_only: bool, has_target: bool) -> list[Line]:
    shows = "{plan}" if read_only else "{run}"
    how = f"Select operations in pane {{pane-2}}, then press {shows} to see the plan."
    return [
        *wrapped("No job yet.", width),
        *(wrapped(with_keys(how), width, Role.DIM) if has_target else []),  # without one, the welcome says what to do
    ]


def no_history(words: str, width: int, *, about_text: str, read_only: bool) -> list[Line]:
    """In place of an empty history.

    `words`: the active filter; `about_text`: what to say of its plain words, "" without such.
    """
    if words:
        return [
            *wrapped(f"No job matches {words}", width),
            *(wrapped(about_text, width) if about_text else []),
            *wrapped(with_keys("Change the filter with {filter}, or clear it with {back}."), width, Role.DIM),
        ]
    return [*wrapped("No job yet.", width), *([] if read_only else wrapped(with_keys(_RUN_FIRST), width, Role.DIM))]


def unmark_question(count: int, what: str) -> str:
    """What esc says first where something is marked. `what`: `target` or `job`."""
    return with_keys(f"{counted(count, what)} marked. {{back}} once more removes the marks.")


def unmarked(count: int, what: str) -> str:
    """What esc says that has removed marks. `what`: `target` or `job`."""
    return f"{counted(count, what)} unmarked."
