"""The footer and the help page, from the table of actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tui.console.actions import ACTIONS, BY_ID, Place
from tui.console.keymap import key_of, shown_keys
from tui.console.views.line import Line, Role, Span, line, wrapped

_STAY: Final = frozenset({"back", "help", "quit"})


def footer_line(ids: Sequence[str], width: int, *, typing: bool = False) -> Line:
    """The keys of these actions. Where they do not fit, they give way from the right, but the way out and help stay.

    `typing`: a key that is a character is text then, and another one is named or none.
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
"""The width from which on the help also names the ids of actions, which the config file takes."""


def help_document(width: int) -> list[Line]:
    """All actions, grouped by where they work."""
    lines: list[Line] = []
    key_width = max(len(" ".join(shown_keys(action.id))) for action in ACTIONS)
    id_width = max(len(action.id) for action in ACTIONS) + 2 if width >= _ID_FROM else 0
    for place in Place:
        lines += [line((place.value, Role.HEADING))]
        for action in ACTIONS:
            if action.place is place:
                keys = f"  {' '.join(shown_keys(action.id)):<{key_width}}  "
                name = f"{action.id:<{id_width}}" if id_width else ""
                indent = len(keys) + len(name)
                text = wrapped(action.help, width - indent)
                lines += [line((keys, Role.KEY), (name, Role.DIM), *text[0].spans)]
                lines += [line(" " * indent, *more.spans) for more in text[1:]]
        lines.append(line())
    return lines + [
        text
        for sentence in (
            "Jobs are done by a worker process of their own: leaving the console, or losing the line, stops nothing.",
            "A job is written #42, its second operation #42.2.",
            'Other keys: in the config file, below [console.keys], such as retry = "R". '
            f"{key_of('palette')} names what can be given another key.",
        )
        for text in wrapped(sentence, width, Role.DIM)
    ]
