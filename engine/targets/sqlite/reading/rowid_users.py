"""The objects of a schema that use the rowids of tables, found in its SQL: pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.sqlite.connection.names import folded
from engine.targets.sqlite.reading.catalog import ROWID_NAMES
from engine.targets.sqlite.reading.rowid_references import Token, may_use_rowid
from engine.targets.sqlite.reading.virtual import FULL_TEXT, content_rowid, content_table, is_contentless, module_of

_LAST_ROWID: Final = "last_insert_rowid"
_TOKENS: Final = re.compile(
    r"""--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*]|(?:[\w$]|[^\0-\x7f])+|\S""",
    re.DOTALL,
)
_KEYS_ONLY: Final = frozenset({"rtree", "rtree_i32", "geopoly"})
_WITHOUT_ROWS: Final = frozenset({"fts5vocab", "fts4aux", "fts3tokenize", "dbstat", "sqlite_stmt", "sqlite_dbpage"})
_SHORTEST_NAME: Final = 3
"""Letters that the name of a table needs, so that the name of another table can refer to it."""


class Kind(StrEnum):
    """What can go by the rowids of a table."""

    FULL_TEXT = "full-text index"
    RTREE = "R-tree"
    VIRTUAL_TABLE = "virtual table"
    VIEW = "view"
    TRIGGER = "trigger"


@frozen(kw_only=True)
class SchemaText:
    """A view or a trigger: its SQL, and what that mentions, in small letters."""

    name: str
    kind: Kind
    words: frozenset[str]
    tokens: tuple[Token, ...] = ()

    def mentions_rowid_of(self, table: str, columns: Collection[str]) -> bool:
        """Whether it mentions the table, and a rowid; a column of the table may have one of these names."""
        if folded(table) not in self.words:
            return False
        names = {name for name in ROWID_NAMES if name not in columns}
        return not self.words.isdisjoint({*names, _LAST_ROWID})

    def may_use_rowid_of(
        self, table: str, columns: Collection[str], others: Collection[str], views: Collection[str]
    ) -> bool:
        """Whether it may use a rowid of the table, by what each rowid belongs to. `others`, `views`: their names."""
        if _LAST_ROWID in self.words:
            return True
        names = {name for name in ROWID_NAMES if name not in columns}
        return may_use_rowid(self.tokens, folded(table), names, others, views)


@frozen(kw_only=True)
class VirtualTable:
    """`holds_keys_only`: it has no rows of its own, so that its rowids mean rows of some other table."""

    name: str
    kind: Kind
    holds_keys_only: bool = False
    content: str | None = None
    """The table or view that a full-text index takes its text from."""
    content_key: str = ""
    """The column that identifies a row there, in small letters."""

    def named_after(self, tables: Collection[str]) -> list[str]:
        """The tables whose names are parts of its own; all in small letters."""
        own = folded(self.name)
        ends = range(_SHORTEST_NAME, len(own) + 1)
        if len(own) ** 2 < len(tables):  # to look up its parts is faster
            return [part for part in {own[i:j] for j in ends for i in range(j - _SHORTEST_NAME + 1)} if part in tables]
        return [table for table in tables if len(table) >= _SHORTEST_NAME and table in own]


def schema_text(name: str, kind: str, sql: str) -> SchemaText:
    tokens = tokens_of(sql)
    words = frozenset(token.text for token in tokens)
    return SchemaText(name=name, kind=Kind(kind), words=words, tokens=tokens)


def tokens_of(sql: str) -> tuple[Token, ...]:
    """All names, keywords and signs, without comments."""
    found = (token for token in _TOKENS.findall(sql) if not token.startswith(("--", "/*")))
    return tuple(
        Token(folded(_unquoted(token)), token[0] if len(token) > 1 and token[0] in "'\"`[" else "") for token in found
    )


def _unquoted(token: str) -> str:
    if len(token) == 1:
        return token
    if token[0] == "[":
        return token[1:-1]
    return token[1:-1].replace(token[0] * 2, token[0]) if token[0] in "'\"`" else token


def virtual_tables(definitions: Iterable[tuple[str, str | None]]) -> list[VirtualTable]:
    """The virtual tables that have rowids."""
    found = [_virtual_table(name, sql or "") for name, sql in definitions]
    return [table for table in found if table is not None]


def _virtual_table(name: str, sql: str) -> VirtualTable | None:
    module = module_of(sql) or ""
    if module in _WITHOUT_ROWS:
        return None
    if module == "fts3":  # which knows no `content`
        return VirtualTable(name=name, kind=Kind.FULL_TEXT)
    if module in FULL_TEXT:
        return VirtualTable(
            name=name,
            kind=Kind.FULL_TEXT,
            holds_keys_only=is_contentless(sql),
            content=content_table(sql),
            content_key=folded(content_rowid(sql)),
        )
    if module in _KEYS_ONLY:
        return VirtualTable(name=name, kind=Kind.RTREE, holds_keys_only=True)
    return VirtualTable(name=name, kind=Kind.VIRTUAL_TABLE)


def users_in_sql(texts: Iterable[SchemaText], tables: Mapping[str, Collection[str]]) -> list[tuple[SchemaText, str]]:
    """The views and triggers that mention rowids, each with a table; `tables`: each with its columns."""
    by_name = {folded(name): name for name in tables}
    return [
        (text, by_name[word])
        for text in texts
        for word in sorted(text.words & by_name.keys())
        if text.mentions_rowid_of(by_name[word], tables[by_name[word]])
    ]


def certain_users(
    found: Iterable[tuple[SchemaText, str]],
    texts: Iterable[SchemaText],
    tables: Mapping[str, Collection[str]],
    all_tables: Collection[str],
) -> list[tuple[SchemaText, str]]:
    """The users among those of `users_in_sql` whose rowid is certainly that of the table."""
    views = frozenset(folded(text.name) for text in texts if text.kind is Kind.VIEW)
    known = frozenset(map(folded, all_tables))
    return [
        (text, table)
        for text, table in found
        if text.may_use_rowid_of(table, tables[table], known - {folded(table)}, views)
    ]


def views_below(texts: Iterable[SchemaText], name: str) -> frozenset[str]:
    """This name and those of all views that it mentions, directly or not; in lower case."""
    views = {folded(text.name): text.words for text in texts if text.kind is Kind.VIEW}
    reached, waiting = set[str](), [folded(name)]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += views.get(one, frozenset()) & views.keys()
    return frozenset(reached)
