"""Virtual tables and views, by their definitions: the schema says nothing else about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from engine.targets.sqlite.connection.names import folded

FULL_TEXT: Final = frozenset({"fts3", "fts4", "fts5"})
_GAP: Final = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"
_QUOTED: Final = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*]"""
_NAME: Final = rf"(?:{_QUOTED}|(?:[\w$]|[^\0-\x7f])+)"
PIECE: Final = rf"(?P<gap>\s+|/\*.*?(?:\*/|\Z)|--[^\n]*)|{_QUOTED}|."
_DEFINITION: Final = (
    rf"create{_GAP}virtual{_GAP}table{_GAP}(?:if{_GAP}not{_GAP}exists{_GAP})?{_NAME}{_GAP}(?:\.{_GAP}{_NAME}{_GAP})?"
    rf"using{_GAP}(?P<module>{_NAME})"
)
"""Compiled where the first virtual table is met, which most databases have none of."""


def module_of(sql: str) -> str | None:
    """The module of a virtual table, in small letters; None if unknown."""
    found = re.match(_DEFINITION, sql, re.IGNORECASE | re.DOTALL)
    if found is None:
        return None
    name = found["module"]
    return folded(name[1:-1] if name[0] in "'\"`[" else name)


def made_with(modules: frozenset[str], tables: Iterable[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """The virtual tables that are made with one of the modules, each with its definition."""
    return [(name, sql) for name, sql in tables if sql and module_of(sql) in modules]


def content_table(sql: str) -> str | None:
    """The table that a full-text index takes its text from; None where it holds the text itself, or none."""
    return _option(sql, "content") or None


def is_contentless(sql: str) -> bool:
    """Whether a full-text index holds no text, and no name of a table that does."""
    return _option(sql, "content") == ""


def content_rowid(sql: str) -> str:
    """The column that identifies a row in the content table of a full-text index."""
    return _option(sql, "content_rowid") or "rowid"


def _option(sql: str, name: str) -> str | None:
    for argument in _arguments(sql):
        if found := re.match(rf"{name}\s*=\s*(.*)", argument, re.IGNORECASE | re.DOTALL):
            value, mark = found[1], found[1][:1]
            if mark == "[":
                return value[1:-1]
            return value[1:-1].replace(mark * 2, mark) if mark and mark in "'\"`" else value
    return None


def _arguments(sql: str) -> list[str]:
    """The arguments of a virtual table as its module gets them: without the spaces and comments around each."""
    definition = re.match(_DEFINITION, sql, re.IGNORECASE | re.DOTALL)
    arguments: list[str] = []
    depth = begin = end = 0
    for piece in re.compile(PIECE, re.DOTALL).finditer(sql, definition.end()) if definition else ():
        if piece["gap"]:
            continue
        if depth == 1 and piece[0] in {",", ")"}:
            arguments.append(sql[begin:end])
            begin = 0
        elif depth:
            begin, end = begin or piece.start(), piece.end()
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
    return arguments


MOST_VIEWS: Final = 1_000
"""Compiled views within views that take no noticeable time. Ten that each read the previous one twice exceed it."""
_WORD: Final = r'"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^]]*)]|((?:[\w$]|[^\0-\x7f])+)'


def views_in(name: str, views: Mapping[str, str]) -> int:
    """How many views SQLite compiles to read from the view `name`, at most; `MOST_VIEWS` where there are more.

    `views`: the definitions of all, by their folded names.
    """
    known: dict[str, int] = {}

    def number(one: str) -> int:
        if one not in known:
            known[one] = 0  # what stands on itself is refused by SQLite
            known[one] = min(MOST_VIEWS, 1 + sum(map(number, _mentioned(one, views))))
        return known[one]

    try:
        return number(folded(name)) if folded(name) in views else 0
    except RecursionError:
        return MOST_VIEWS


def _mentioned(view: str, views: Mapping[str, str]) -> list[str]:
    words = [folded(next(filter(None, found.groups()), "")) for found in re.finditer(_WORD, views[view])]
    return [word for word in words if word in views and word != view]
