"""Whose rowid a view or trigger means where it names one, as far as its tokens tell: pure functions.

A value that may be a rowid counts as the rowid of the table, unless it is certain to be that of another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from engine.domain.frozen import frozen

_NAMES_A_TABLE: Final = frozenset({"from", "join", "into", "update", "on", ",", "("})
_ENDS_A_STATEMENT: Final = frozenset({";", "begin"})
_OF_THE_ROW: Final = frozenset({"new", "old"})


@frozen
class Token:
    """A name or keyword in small letters and without quotes, or a sign. `quote`: what it was quoted with."""

    text: str
    quote: str = ""

    def is_word(self, word: str) -> bool:
        return not self.quote and self.text == word


NOTHING: Final = Token("")


def may_use_rowid(
    tokens: Sequence[Token], table: str, rowid_names: Collection[str], others: Collection[str], views: Collection[str]
) -> bool:
    """Whether the SQL of a view or trigger may go by rowids of `table`.

    Args:
        table: In small letters, as all names here.
        rowid_names: The names of the table's rowid.
        others: The other tables of the database, virtual ones included.
        views: Through which rowids may come from anywhere.
    """
    names = _Names(tokens, table, others)
    if names.has_ctes:
        return True
    for statement in _statements(tokens):
        words = {token.text for token in statement}
        is_near = table in words or not words.isdisjoint(views)
        for at, token in enumerate(statement):
            before = statement[at - 1] if at else NOTHING
            if token.text not in rowid_names or (token.quote == "'" and before.text != "."):
                continue
            if before.text == ".":
                if names.may_mean_table(statement[at - 2].text if at > 1 else ""):
                    return True
            elif is_near and not before.is_word("as") and _target(statement, at) in {None, table}:
                return True
    return False


class _Names:
    """What the names before a dot can stand for."""

    def __init__(self, tokens: Sequence[Token], table: str, others: Collection[str]) -> None:
        self._table = table
        self._others = others
        self.has_ctes = any(token.is_word("with") for token in tokens)
        self._before: dict[str, set[str]] = {}
        for at, token in enumerate(tokens):
            before = _before(tokens, at)
            if before != "." and (at + 1 == len(tokens) or tokens[at + 1].text != "."):
                self._before.setdefault(token.text, set()).add(before)
        self._subject = _subject(tokens)

    def may_mean_table(self, qualifier: str) -> bool:
        if qualifier == self._table:
            return True
        if qualifier in _OF_THE_ROW and self._subject == self._table:
            return True
        if qualifier in _OF_THE_ROW and qualifier not in self._before and self._subject is not None:
            return False
        is_another = qualifier in self._others
        return not (is_another or self._before.get(qualifier)) or not all(
            before in self._others or (is_another and before in _NAMES_A_TABLE)
            for before in self._before.get(qualifier, ())
        )


def _before(tokens: Sequence[Token], at: int) -> str:
    """The token before; if that is AS, the one before AS."""
    at -= 1
    if at > 0 and tokens[at].is_word("as"):
        at -= 1
    return tokens[at].text if at >= 0 else ""


def _subject(tokens: Sequence[Token]) -> str | None:
    """The table, or view, of a trigger: after the first ON; None of a view."""
    words = [token.text for token in tokens if not token.quote]
    if "trigger" not in words[:4]:
        return None
    at = next((at for at, token in enumerate(tokens) if token.is_word("on")), len(tokens))
    after = tokens[at + 1 : at + 4]
    if len(after) == 3 and after[1].text == ".":
        return after[2].text
    return after[0].text if after else None


def _statements(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    statement: list[Token] = []
    for token in tokens:
        if not token.quote and token.text in _ENDS_A_STATEMENT:
            yield statement
            statement = []
        else:
            statement.append(token)
    yield statement


def _target(statement: Sequence[Token], at: int) -> str | None:
    """The table whose columns are listed there, as in `INSERT INTO it(rowid, a)`; None for any other list."""
    while at > 0 and statement[at - 1].text == ",":
        at -= 2
    if at < 3 or statement[at - 1].text != "(":
        return None
    place = at - 2
    before = statement[place - 1]
    if before.text == "." and place > 2:
        before = statement[place - 3]
    return statement[place].text if before.is_word("into") else None
