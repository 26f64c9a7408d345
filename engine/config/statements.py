"""The statements of a config file: a header, or a key with its value; also blank lines and comments."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from engine.domain.frozen import frozen

_TOKENS: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'|#[^\n]*|[][{}\n]", re.DOTALL
)
"""Strings, comments, brackets and newlines."""


@frozen
class Statement:
    """Whole lines of the file."""

    text: str
    header: tuple[str, ...] | None = None
    """The path of a header."""
    values: Mapping[str, Any] | None = None
    """What a key-value statement defines."""

    @property
    def key(self) -> str | None:
        """The first part of the key of a key-value statement."""
        return next(iter(self.values)) if self.values else None

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()

    @property
    def is_comment(self) -> bool:
        return self.header is None and self.values is None and not self.is_blank


def statements(text: str) -> Iterator[Statement]:
    """The statements of valid TOML: it is split at the newlines outside of brackets and strings."""
    begin = depth = 0
    for token in _TOKENS.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if token[0] == "\n" and not depth:
            yield _statement(text[begin : token.end()])
            begin = token.end()
    if begin < len(text):
        yield _statement(text[begin:])


def line_of(path: Sequence[str], text: str) -> int | None:
    """The line of valid TOML where the first statement begins that defines the key at `path`; None without one."""
    header: tuple[str, ...] = ()
    line = 1
    for statement in statements(text):
        header = header if statement.header is None else statement.header
        if statement.header is not None or statement.values:
            found: Any = statement.values or {}
            for key in reversed(header):
                found = {key: found}
            if _has(path, found):
                return line
        line += statement.text.count("\n")
    return None


def _statement(text: str) -> Statement:
    values: Any = tomllib.loads(text)
    if not values:
        return Statement(text)
    if not text.lstrip().startswith("["):
        return Statement(text, values=values)
    path = []
    while isinstance(values, dict) and values:
        (key,) = values
        path.append(key)
        values = values[key]
    return Statement(text, header=tuple(path))


def _has(path: Sequence[str], found: Any) -> bool:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found is not None
