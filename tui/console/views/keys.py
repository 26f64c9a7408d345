"""The footer and the help page, from the table of actions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from tui.console.actions import ACTIONS, BY_ID, Place
from tui.console.keymap import shown_keys
from tui.console.views.line import Line, Role, Span, hanging, line, wrapped

_STAY: Final = frozenset({"back", "help", "quit"})


def footer_line(ids: Sequence[str], width: int, *, typing: bool = False) -> Line:
    """The keys of these actions. Those that do not fit are dropped from the right; back, help and quit stay.

    `typing`: only keys that are no characters are named.
    """
    keys = {name: next((key for key in shown_keys(name) if not typing or len(key) > 1), "") for name in ids}
    actions = [BY_ID[name] for name in ids if keys[name]]
    while len(actions) > 2 and sum(len(keys[a.id]) + len(a.label) + 3 for a in actions) > width:
        others = [n for n, action in enumerate(actions) if action.id not in _STAY]
        if not others:
            break
        del actions[others[-1]]
    spans: list[Span] = []
    for action in actions:
        spans += [(f" {keys[action.id]}", Role.KEY), (f" {action.label} ", Role.TEXT)]
    return Line(tuple(spans))


_ID_FROM: Final = 100
"""From this width on the help also names the ids of actions, for the config file."""


def places_of(footer: Sequence[str]) -> Collection[Place]:
    """The places of a screen, by the actions of its footer."""
    places = {BY_ID[name].place for name in footer}
    return places | ({Place.EVERYWHERE} if Place.FORM in places else {Place.LIST, Place.EVERYWHERE})


def help_document(places: Collection[Place], width: int, *, read_only: bool = False, without: str = "") -> list[Line]:
    """The actions of these places, but for `without`. `read_only`: without those that write."""
    lines: list[Line] = []
    key_width = max(len(" ".join(shown_keys(action.id))) for action in ACTIONS)
    id_width = max(len(action.id) for action in ACTIONS) + 2 if width >= _ID_FROM else 0
    for place in (one for one in Place if one in places):
        actions = [
            one for one in ACTIONS if one.place is place and one.id != without and not (read_only and one.writes)
        ]
        if not actions:
            continue
        lines += [line((place.value, Role.HEADING))]
        for action in actions:
            keys = f"  {' '.join(shown_keys(action.id)):<{key_width}}  "
            name = f"{action.id:<{id_width}}" if id_width else ""
            lines += hanging([(keys, Role.KEY), (name, Role.DIM)], action.help, width)
        lines.append(line())
    return lines + [
        text
        for sentence in (
            "Jobs run in worker processes: they go on when you quit the console or lose the connection.",
            "#42 is a job, #42.2 its second operation.",
            'To change keys, add lines like retry = "R" below [console.keys] in the config file. '
            f"From {_ID_FROM} columns on, this page names the actions.",
        )
        for text in wrapped(sentence, width, Role.DIM)
    ]
