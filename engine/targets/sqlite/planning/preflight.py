"""What speaks against an operation before it begins: pure functions of what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from engine.targets.sqlite.connection.names import folded, quote
from engine.values import frozen
from engine.words import listed

_ROWID: Final = re.compile(r"\b(rowid|_rowid_|oid)\b", re.IGNORECASE)
_OPTION: Final = r"""[,(]\s*{}\s*=\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*]|(?:\w|[^\0-\x7f])+)"""


@frozen(kw_only=True)
class Consequences:
    """What the DBA should know, and what has to be done besides."""

    warnings: tuple[str, ...] = ()
    rebuild: tuple[str, ...] = ()
    """Full-text indexes that the operation breaks unless they are rebuilt."""


def lossy_schema(names: Sequence[str]) -> str | None:
    """`names`: schema entries whose text VACUUM does not copy."""
    if not names:
        return None
    return (
        f"VACUUM would silently drop {listed([*map(repr, names)])}: the schema entry does not start with CREATE. "
        "Recreate it with an ordinary CREATE statement first"
    )


def no_text(names: Sequence[str]) -> str:
    """`names`: tables and indexes that no statement can name."""
    return f"the name of {listed(names)} is not valid UTF-8, so that it cannot be said in SQL"


def missing_collations(found: Iterable[tuple[str, str]]) -> str | None:
    """`found`: indexes, each with a collation that SQLite does not know here."""
    collations: dict[str, list[str]] = {}
    for index, collation in found:
        collations.setdefault(collation, []).append(index)
    if not collations:
        return None
    details = "; ".join(f"{name!r} of {listed(indexes)}" for name, indexes in collations.items())
    return f"it needs a collation that only its application has: {details}. Only the application can maintain it"


def missing_code(found: Iterable[tuple[str, str]]) -> str | None:
    """`found`: tables and indexes, each with what SQLite does not know here."""
    reasons: dict[str, list[str]] = {}
    for name, why in found:
        reasons.setdefault(why, []).append(name)
    details = "; ".join(f"{why} (for {listed(names)})" for why, names in reasons.items())
    return (
        f"it needs what only its application has: {details}. Only the application can maintain it" if details else None
    )


def certain_to_fail(problems: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """`problems`: tables or indexes, each with why SQLite does not know how to work on it."""
    reasons: dict[str, list[str]] = {}
    for name, problem in problems:
        reasons.setdefault(problem, []).append(name)
    return tuple(f"certain to fail for {listed(names)}: {problem}" for problem, names in reasons.items())


def renumbered(
    tables: Sequence[str], views_and_triggers: Iterable[tuple[str, str]], fts: Iterable[tuple[str, str]]
) -> Consequences:
    """What it means that VACUUM numbers the rows of `tables` anew.

    `views_and_triggers` and `fts` (full-text tables) come with their SQL.
    """
    if not tables:
        return Consequences()
    anew = {folded(name) for name in tables}
    users = [
        name
        for name, sql in views_and_triggers
        if sql and _ROWID.search(sql) and any(_mentions(sql, table) for table in tables)
    ]
    by_rowid = anew | {folded(name) for name in users}
    rebuild = tuple(name for name, sql in fts if folded(content_table(sql) or "") in by_rowid)
    warnings = [
        f"VACUUM numbers the rowids of {listed(tables)} anew, which {'has' if len(tables) == 1 else 'have'} no "
        "INTEGER PRIMARY KEY: what an application keeps of them elsewhere would lead to other rows"
    ]
    if users:
        warnings.append(f"rowids of such tables are used by {listed(users)}")
    return Consequences(warnings=tuple(warnings), rebuild=rebuild)


def cannot_be_rebuilt(problems: Iterable[tuple[str, str]]) -> str | None:
    """`problems`: full-text indexes that VACUUM would break, each with what keeps it from being rebuilt."""
    details = "; ".join(
        f"VACUUM numbers rowids anew that the full-text index {name} goes by,"
        f" and {name} cannot be rebuilt here: {problem}"
        for name, problem in problems
    )
    return f"{details}. Only the application can maintain it" if details else None


def _mentions(sql: str, name: str) -> bool:
    written = f"{re.escape(name)}|{re.escape(quote(name)[1:-1])}"
    return re.search(rf"(?<!\w)(?:{written})(?!\w)", sql, re.IGNORECASE) is not None


def content_table(sql: str) -> str | None:
    """The table that a full-text index takes its text from; None where it holds the text itself, or none."""
    return _option(sql, "content")


def content_rowid(sql: str) -> str:
    """The column by which a full-text index goes in the table that it takes its text from."""
    return _option(sql, "content_rowid") or "rowid"


def _option(sql: str, name: str) -> str | None:
    found = re.search(_OPTION.format(name), sql, re.IGNORECASE)
    if found is None:
        return None
    value, mark = found[1], found[1][0]
    if mark == "[":
        return value[1:-1] or None
    return value[1:-1].replace(mark * 2, mark) or None if mark in "'\"`" else value
