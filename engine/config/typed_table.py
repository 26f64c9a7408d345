"""Typed access to a table of the config file; errors name file, line and key."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from engine.domain.errors import ConfigError
from engine.domain.humanize import memory, parse_duration, parse_size, span
from engine.domain.requests import MAX_WAIT, Operation

_Choice = TypeVar("_Choice", bound=StrEnum)
FOREVER: Final = "forever"
_LONGEST: Final = 100
"""Characters of a wrong value in an error; and the most lines of one statement."""


class Table:
    """Each method returns None for a missing key, and raises ConfigError for a wrong value."""

    def __init__(self, values: Mapping[str, Any], path: tuple[str, ...], text: str, file: str) -> None:
        self.path = path
        self._values, self._text, self._file = values, text, file

    def allow_only(self, *known: str) -> None:
        for key in self._values:
            if key not in known:
                close = get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
                self.fail(key, "is an unknown key", hint)

    def has(self, key: str) -> bool:
        return key in self._values

    def table(self, key: str) -> Table:
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            self.fail(key, "must be a table", f"write it as [{'.'.join((*self.path, key))}]")
        return Table(value, (*self.path, key), self._text, self._file)

    def tables(self) -> Iterator[Table]:
        for key in self._values:
            yield self.table(key)

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            self.fail(key, "must be text", f'such as {key} = "..."')
        return value

    def names(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, without duplicates."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
            self.fail(key, "must be a list of names", f'such as {key} = ["public"]')
        return tuple(dict.fromkeys(value))

    def size(self, key: str, least: int, most: int) -> int | None:
        """Bytes, in the units of a database server: 1 MB is 1024 kB."""
        text = self.text(key)
        if text is None:
            return None
        try:
            value = parse_size(text)
        except ValueError:
            value = -1
        if not least <= value <= most:
            self.fail(key, f"must be a size from {memory(least)} to {memory(most)}", f'such as {key} = "64MB"')
        return value

    def texts(self) -> dict[str, str]:
        """The whole table, each value a text."""
        return {key: self.text(key) or "" for key in self._values}

    def seconds(self, key: str) -> float | None:
        value = self._values.get(key)
        if value is None:
            return None
        # A bool is an int in Python; inf and nan are floats in TOML.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            self.fail(key, "must be a number of seconds, 0 or more", f"such as {key} = 5")
        return float(value)

    def wait(self, key: str) -> float | None:
        """The seconds in `"90s"` or `"30m"`."""
        text = self.text(key)
        if text is None:
            return None
        try:
            value = parse_duration(text)
        except ValueError:
            value = math.inf
        if value > MAX_WAIT:
            self.fail(key, f"must be a duration up to {span(MAX_WAIT)}", f'such as {key} = "30m"')
        return value

    def count(self, key: str, most: int, *, least: int = 1) -> int | None:
        value = self._values.get(key)
        if value is not None and (type(value) is not int or not least <= value <= most):
            self.fail(key, f"must be a whole number from {least} to {most}", f"such as {key} = 2")
        return value

    def flag(self, key: str) -> bool | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            self.fail(key, "must be true or false", f"such as {key} = true")
        return value

    def age(self, key: str, default: float | None) -> float | None:
        """Seconds; None: without limit."""
        value = self.text(key)
        if value is None:
            return default
        if value == FOREVER:
            return None
        try:
            return parse_duration(value)
        except ValueError:
            self.fail(key, f'must be an age, or "{FOREVER}"', f'such as {key} = "90d", "12w" or "36h"')

    def choice(self, key: str, choices: type[_Choice]) -> _Choice | None:
        value = self.text(key)
        return None if value is None else self._one_of(key, value, choices)

    def operations(self, key: str) -> tuple[Operation, ...] | None:
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            self.fail(key, "must be a list of operations", f'such as {key} = ["vacuum", "analyze"]')
        names = tuple(self._one_of(key, name, Operation) for name in value)
        if len(set(names)) < len(names):
            self.fail(key, "names an operation twice", "name each operation once")
        return names

    def fail(self, key: str, why: str, hint: str) -> NoReturn:
        path = (*self.path, key)
        line = _line_of(path, self._text) or _line_of(self.path, self._text) or 1
        raise ConfigError(f"{self._file}, line {line}", f"{shortened('.'.join(path))} {why}", hint)

    def _one_of(self, key: str, value: object, choices: type[_Choice]) -> _Choice:
        try:
            return choices(str(value))
        except ValueError:
            self.fail(key, f"cannot be {shortened(repr(value))}", f"known: {', '.join(choices)}")


def shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def root_table(text: str, file: str) -> Table:
    """The root table of `text`; `file` is its name in errors. Raises ConfigError if it is not TOML."""
    try:
        return Table(tomllib.loads(text), (), text, file)
    except RecursionError:
        raise ConfigError(file, "nests too deeply", "the deepest table is [targets.NAME]") from None
    except ValueError as error:
        why, line = _syntax_error(str(error), text)
        raise ConfigError(f"{file}, line {line}", shortened(why), "the file must be TOML") from None


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    """tomllib's message without its position, and the line."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if not found:
        return message, 1
    return message[: found.start()], int(found[1]) if found[1] else max(1, len(text.splitlines()))


def key_location(file: Path, *key: str) -> str:
    """The location of a key, for an error: `config.toml, line 7`; only the file if the line is unknown."""
    try:
        line = _line_of(key, file.read_text())
    except (OSError, UnicodeDecodeError):
        line = None
    return f"{file}, line {line}" if line else str(file)


def _line_of(path: Sequence[str], text: str) -> int | None:
    """The line where the statement that defines the key at `path` begins.

    tomllib reports no positions: this searches the shortest beginning of the file that contains the key.
    """
    lines = text.splitlines(keepends=True)
    first, last = 1, len(lines)  # the range of lines where the statement may end
    if not _has(path, "".join(lines)):
        return None
    while first < last:
        middle = (first + last) // 2
        end = _end_of_statement(lines, middle)
        if _has(path, "".join(lines[:end])):
            last = middle
        else:
            first = end + 1
    begins = range(first, max(first - _LONGEST, 1), -1)
    return next((begin for begin in begins if _parsed("".join(lines[: begin - 1])) is not None), 1)


def _end_of_statement(lines: Sequence[str], at: int) -> int:
    """The first line from `at` on where a statement ends; the last line if that is far."""
    ends = range(at, min(at + _LONGEST, len(lines)))
    return next((end for end in ends if _parsed("".join(lines[:end])) is not None), len(lines))


def _has(path: Sequence[str], text: str) -> bool:
    found: Any = _parsed(text)
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found is not None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
