"""The list of commands: what can be done here and now, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from typing import Final

from rich.cells import cell_len

from engine import JobId
from engine.domain.frozen import frozen
from tui.console.actions import ACTIONS, BY_ID, Action, Place, barred
from tui.console.keymap import shown_keys, with_keys
from tui.console.views.line import Line, Role, fit, line, wrapped
from tui.presentation.text import cells


class Kind(StrEnum):
    """What a command does."""

    ACTION = "action"
    THEME = "theme"
    REFRESH = "refresh"
    JOB = "job"
    ELSEWHERE = "elsewhere"
    """Nothing: it cannot be done here and now, and the help says why."""


@frozen
class Command:
    """Something that can be chosen; `value` is an action's id, a theme, seconds, or a job."""

    kind: Kind
    value: str
    name: str
    help: str
    keys: str = ""


REFRESH_RATES: Final = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two looks at running jobs."""
_UNNAMED: Final = frozenset({Place.LIST, Place.PALETTE, Place.QUESTION, Place.TYPED})
"""Where keys only move, or only answer."""
_WORKS: Final = {
    "run": "once an operation is chosen on a target that can be opened",
    "plan": "once an operation is chosen on a target that can be opened",
    "examine": "on a target or an operation",
    "sample": "while there is no target",
    "cancel": "on a job that is not over",
    "retry": "on a job that is over",
    "pin": "on a job that is not pinned",
    "unpin": "on a job that is pinned",
    "find-next": "in a page in which a text was found",
    "find-previous": "in a page in which a text was found",
    "submit": "in a plan of which something can run",
    "pause": "while work is not paused",
    "resume": "while work is paused",
    "copy": "where there is something to copy",
}
"""Where or when an action can be taken, as far as its place does not tell."""


def commands(
    bound: Collection[str],
    can: Callable[[str], bool],
    *,
    themes: Iterable[str],
    theme: str,
    refresh: float,
    is_barred: Callable[[str], bool] = lambda _: False,
) -> list[Command]:
    """All that can be done now, what the footer names first, in the order of the help; and what only elsewhere.

    Args:
        bound: the ids of the actions that have a key here.
        can: whether one of them can be taken as things are.
        theme: the one in force; `refresh` likewise, in seconds.
        is_barred: whether the console does not do it, whatever it is on.
    """
    named = [action for action in ACTIONS if action.place not in _UNNAMED and action.id != "palette"]
    here = {action.id for action in named if (action.same_key_as or action.id) in bound and can(action.id)}
    actions = [
        Command(Kind.ACTION, action.id, action.id, action.help, " ".join(shown_keys(action.id)))
        for action in named
        if action.id in here
    ]
    elsewhere = [
        Command(Kind.ELSEWHERE, action.id, action.id, _why_not(action, is_barred=is_barred(action.id)))
        for action in named
        if action.id not in here and action.place is not Place.ENTRY
    ]
    looks = [Command(Kind.THEME, name, f"theme {name}", _in_force(name == theme)) for name in themes]
    rates = [
        Command(Kind.REFRESH, str(rate), f"refresh {rate:g} s", _in_force(rate == refresh) or _EVERY.format(rate))
        for rate in REFRESH_RATES
    ]
    return [*sorted(actions, key=lambda command: not BY_ID[command.value].label), *looks, *rates, *elsewhere]


_EVERY: Final = "Look at running jobs every {:g} s"


def _in_force(is_so: bool) -> str:
    return "in force" if is_so else ""


def _why_not(action: Action, *, is_barred: bool) -> str:
    if is_barred:
        return with_keys(barred(action.id))
    place = action.place.value
    return f"{action.id} works {_WORKS.get(action.id, place[0].lower() + place[1:])}."


def matching(known: Sequence[Command], typed: str) -> list[Command]:
    """Those whose name holds every word that was typed, or else name and explanation; a job by its number.

    What can be done only elsewhere is found by its name alone, and only where nothing else has such a name: who types
    a name means no other command.
    """
    words = typed.lower().split()
    ranked = [(rank, command) for command in known if (rank := _rank(command, words)) is not None]
    by_name = [one for one in ranked if one[0] < _BY_HELP]
    here = [one for one in by_name if one[1].kind is not Kind.ELSEWHERE]
    by_help = [one for one in ranked if one[1].kind is not Kind.ELSEWHERE]
    found = [command for _, command in sorted(here or by_name or by_help, key=lambda one: one[0])]
    if job := _job(typed):
        found.insert(0, Command(Kind.JOB, str(job), f"#{job}", "Open this job"))
    return found


_BY_HELP: Final = 2


def _rank(command: Command, words: Sequence[str]) -> int | None:
    """0 where the name, or that of a pane, begins so, 1 where the name holds all words, 2 with the help; else None."""
    name, said = command.name.lower(), f"{command.name} {command.help}".lower()
    if name.startswith(" ".join(words)) or command.help.lower().startswith(" ".join(["to the", *words])):
        return 0
    if all(word in name for word in words):
        return 1
    return _BY_HELP if all(word in said for word in words) else None


def _job(typed: str) -> JobId | None:
    try:
        return JobId.parse(typed.strip())
    except ValueError:
        return None


def palette_rows(found: Sequence[Command], width: int) -> list[Line]:
    """Name, what it does, its keys at the right."""
    if not found:
        return wrapped("There is no such command.", width, Role.DIM)
    name_width = min(max(cells(command.name) for command in found), 24)
    rows = []
    for command in found:
        if command.kind is Kind.ELSEWHERE:
            rows += wrapped(command.help, width, Role.DIM)
            continue
        keys = f" {command.keys}" if command.keys else ""
        room = width - name_width - 2 - cell_len(keys)
        rows.append(
            line(
                (fit(command.name, name_width) + "  ", Role.STRONG),
                (fit(command.help, room), Role.DIM),
                (keys, Role.KEY),
                key=(command.kind, command.value),
            )
        )
    return rows
