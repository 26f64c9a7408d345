"""Views that read other views: SQLite compiles each at every mention, and cannot be interrupted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from engine.targets.sqlite.connection.names import folded

MOST: Final = 1_000
"""Compiled views within views that take no noticeable time. Ten that each read the previous one twice exceed it."""
_WORD: Final = re.compile(r'"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^]]*)]|((?:[\w$]|[^\0-\x7f])+)')


def views_in(name: str, views: Mapping[str, str]) -> int:
    """How many views SQLite compiles to read from the view `name`, at most; `MOST` where there are more.

    `views`: the definitions of all, by their folded names.
    """
    known: dict[str, int] = {}

    def number(one: str) -> int:
        if one not in known:
            known[one] = 0  # what stands on itself is refused by SQLite
            known[one] = min(MOST, 1 + sum(map(number, _mentioned(one, views))))
        return known[one]

    try:
        return number(folded(name)) if folded(name) in views else 0
    except RecursionError:
        return MOST


def _mentioned(view: str, views: Mapping[str, str]) -> list[str]:
    words = [folded(next(filter(None, found.groups()), "")) for found in _WORD.finditer(views[view])]
    return [word for word in words if word in views and word != view]
