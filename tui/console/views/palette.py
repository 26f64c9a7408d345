"""The command list: what can be done now, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from rich.cells import cell_len

from engine import JobId
from engine.domain.batches import BatchId
from engine.domain.frozen import frozen
from tui.console.actions import ACTIONS, BY_ID, Action, Place, barred
from tui.console.keymap import shown_keys, with_keys
from tui.console.views.line import Line, Role, fit, line, named_column, wrapped
from tui.presentation.text import cells, plain


class Kind(StrEnum):
    ACTION = "action"
    THEME = "theme"
    REFRESH = "refresh"
    JOB = "job"
    BATCH = "batch"
    TARGET = "target"
    ELSEWHERE = "elsewhere"
    """Nothing: it cannot be done now; its help says why."""


@frozen
class Command:
    """A command; `value` is the id of an action, a theme, seconds, a job, or the number of a batch or a target."""

    kind: Kind
    value: str
    name: str
    help: str
    keys: str = ""
    alias: str = ""
    """Another name that it is found by."""


REFRESH_RATES: Final = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two reads of running jobs."""
_UNNAMED: Final = frozenset({Place.LIST, Place.PALETTE, Place.QUESTION, Place.TYPED})
"""Places whose keys only move or answer."""
_WORKS: Final = {
    "run": "when an operation is selected on a target that can be opened",
    "plan": "when an operation is selected on a target that can be opened",
    "examine": "on a target or an operation",
    "map": "on a SQLite file that can be opened",
    "sample": "while there is no target",
    "cancel": "on a waiting or running job",
    "retry": "on a job that has ended",
    "pin": "on a job that is not pinned",
    "unpin": "on a job that is pinned",
    "find-next": "on a page with matches",
    "find-previous": "on a page with matches",
    "submit": "in a plan in which something can run",
    "pause": "while work is not paused",
    "resume": "while work is paused",
    "copy": "if there is something to copy",
}
"""When an action works, if its place does not say so."""


def commands(
    bound: Collection[str],
    can: Callable[[str], bool],
    *,
    themes: Iterable[str],
    theme: str,
    refresh: float,
    is_barred: Callable[[str], bool] = lambda _: False,
) -> list[Command]:
    """All commands that work now, those of the footer first, in the order of the help; then the others.

    Args:
        bound: the ids of the actions with a key on this screen.
        can: whether an action works now.
        theme: the current one; `refresh` likewise, in seconds.
        is_barred: whether the console is read-only and the action is not.
    """
    named = [action for action in ACTIONS if action.place not in _UNNAMED and action.id != "palette"]
    here = {action.id for action in named if (action.same_key_as or action.id) in bound and can(action.id)}
    actions = [
        Command(
            Kind.ACTION, action.id, action.id, action.help, " ".join(shown_keys(action.id)), _ALIASES.get(action.id, "")
        )
        for action in named
        if action.id in here
    ]
    elsewhere = [
        Command(Kind.ELSEWHERE, action.id, action.id, _why_not(action, is_barred=is_barred(action.id)))
        for action in named
        if action.id not in here and action.place is not Place.ENTRY
    ]
    theme_commands = [Command(Kind.THEME, name, f"theme {name}", _in_force(name == theme)) for name in themes]
    rates = [
        Command(Kind.REFRESH, str(rate), f"refresh {rate:g} s", _in_force(rate == refresh) or _EVERY.format(rate))
        for rate in REFRESH_RATES
    ]
    return [*sorted(actions, key=lambda command: not BY_ID[command.value].label), *theme_commands, *rates, *elsewhere]


_ALIASES: Final = {
    "pane-1": "targets",
    "pane-2": "operations",
    "pane-3": "jobs",
    "pane-4": "detail",
    "suspend": "shell",
}
_EVERY: Final = "Refresh running jobs every {:g} s"


def _in_force(is_so: bool) -> str:
    return "current" if is_so else ""


def _why_not(action: Action, *, is_barred: bool) -> str:
    if is_barred:
        return with_keys(barred(action.id))
    place = action.place.value
    return f"{action.id} works {_WORKS.get(action.id, place[0].lower() + place[1:])}."


def matching(known: Sequence[Command], typed: str) -> list[Command]:
    """Commands whose name contains every typed word, or else name and help; a job or a batch by its number.

    A command that does not work now is found by its name only, and only if no other command matches by name.
    """
    words = typed.lower().split()
    ranked = [(rank, command) for command in known if (rank := _rank(command, words)) is not None]
    by_name = [one for one in ranked if one[0] < _BY_HELP]
    here = [one for one in by_name if one[1].kind is not Kind.ELSEWHERE]
    by_help = [one for one in ranked if one[1].kind is not Kind.ELSEWHERE]
    found = [command for _, command in sorted(here or by_name or by_help, key=lambda one: one[0])]
    if job := _job(typed):
        found.insert(0, Command(Kind.JOB, str(job), f"#{job}", "Open this job"))
    if batch := _batch(typed):
        found.insert(0, Command(Kind.BATCH, str(batch.number), str(batch), "Open this batch in the history"))
    return found


def targets_named(names: Mapping[int, str], typed: str) -> list[Command]:
    """Commands that go to the targets whose name contains the typed text: the whole name first, then its beginning.

    `names`: by number.
    """
    wanted = typed.strip().casefold()
    if not wanted:
        return []
    found = [(number, name, name.casefold()) for number, name in names.items() if wanted in name.casefold()]
    found.sort(key=lambda one: (one[2] != wanted, not one[2].startswith(wanted)))
    return [Command(Kind.TARGET, str(number), plain(name), "Go to this target") for number, name, _ in found[:TARGETS]]


def with_targets(commands: Sequence[Command], targets: Sequence[Command], typed: str) -> list[Command]:
    """A target of this name, commands with the text in their name, other targets, commands that mention the text."""
    wanted = typed.strip().casefold()
    exact = [one for one in targets if one.name.casefold() == wanted]
    others = [one for one in targets if one not in exact]
    named = [one for one in commands if wanted in one.name.casefold()]
    return [*exact, *named, *others, *(one for one in commands if one not in named)]


TARGETS: Final = 12
"""Targets that the list offers, at most."""
_BY_HELP: Final = 2


def _rank(command: Command, words: Sequence[str]) -> int | None:
    """0: name or alias begins with the words; 1: the name contains them; 2: name and help do; None: no match."""
    name, text, typed = command.name.lower(), f"{command.name} {command.help}".lower(), " ".join(words)
    if name.startswith(typed) or (command.alias and command.alias.startswith(typed)):
        return 0
    if all(word in name for word in words):
        return 1
    return _BY_HELP if all(word in text for word in words) else None


def _job(typed: str) -> JobId | None:
    try:
        return JobId.parse(typed.strip())
    except ValueError:
        return None


def _batch(typed: str) -> BatchId | None:
    try:
        return BatchId.parse(typed.strip())
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
                *named_column(command.name, name_width),
                "  ",
                (fit(command.help, room), Role.DIM),
                (keys, Role.KEY),
                key=(command.kind, command.value),
            )
        )
    return rows
