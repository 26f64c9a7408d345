"""The footer and the help page, from the table of actions."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions import ACTIONS, BY_ID, Place
from tui.views.line import Line, Role, Span, line, wrapped


def footer_line(ids: Sequence[str], width: int) -> Line:
    """The keys of these actions. Where they do not fit, those before the last two give way from the right."""
    actions = [BY_ID[name] for name in ids]
    while len(actions) > 2 and sum(len(a.shown_keys[0]) + len(a.label) + 3 for a in actions) > width:
        del actions[-3]
    spans: list[Span] = []
    for action in actions:
        spans += [(f" {action.shown_keys[0]}", Role.KEY), (f" {action.label} ", Role.TEXT)]
    return Line(tuple(spans))


def help_document(width: int) -> list[Line]:
    """All actions, grouped by where they work."""
    lines: list[Line] = []
    key_width = max(len(" ".join(action.shown_keys)) for action in ACTIONS)
    for place in Place:
        lines += [line((place.value, Role.HEADING))]
        for action in ACTIONS:
            if action.place is place:
                keys = f"  {' '.join(action.shown_keys):<{key_width}}  "
                text = wrapped(action.help, width - len(keys))
                lines += [line((keys, Role.KEY), *text[0].spans)]
                lines += [line(" " * len(keys), *more.spans) for more in text[1:]]
        lines.append(line())
    return lines + [
        text
        for sentence in (
            "Jobs are done by a worker process of their own: leaving the console, or losing the line, stops nothing.",
            "A job is written #42, its second operation #42.2.",
        )
        for text in wrapped(sentence, width, Role.DIM)
    ]
