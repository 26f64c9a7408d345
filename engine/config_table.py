"""A table of the config file, read key by key; what is wrong is said with file, line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from engine.errors import ConfigError
from engine.jobs import Operation
from engine.words import bytes_of, memory, seconds_of

_Choice = TypeVar("_Choice", bound=StrEnum)
FOREVER: Final = "forever"


class Table:
    """Raises ConfigError where the value of a key is not as it must be; what is not there is None."""

    def __init__(self, values: Mapping[str, Any], path: tuple[str, ...], text: str, file: str) -> None:
        self.path = path
        self._values, self._text, self._file = values, text, file

    def only(self, *known: str) -> None:
        for key in self._values:
            if key not in known:
                close = get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
                self.wrong(key, "is no key that dbtend knows", hint)

    def has(self, key: str) -> bool:
        return key in self._values

    def table(self, key: str) -> Table:
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, "must be a table", f"write it as [{'.'.join((*self.path, key))}]")
        return Table(value, (*self.path, key), self._text, self._file)

    def tables(self) -> Iterator[Table]:
        for key in self._values:
            yield self.table(key)

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            self.wrong(key, "must be text", f'such as {key} = "..."')
        return value

    def names(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, without any twice."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
            self.wrong(key, "must be a list of names", f'such as {key} = ["public"]')
        return tuple(dict.fromkeys(value))

    def size(self, key: str, least: int, most: int) -> int | None:
        """Bytes, as a database server counts: 1 MB is 1024 kB."""
        text = self.text(key)
        if text is None:
            return None
        try:
            value = bytes_of(text)
        except ValueError:
            value = -1
        if not least <= value <= most:
            self.wrong(key, f"must be a size from {memory(least)} to {memory(most)}", f'such as {key} = "64MB"')
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
            self.wrong(key, "must be a number of seconds, 0 or more", f"such as {key} = 5")
        return float(value)

    def count(self, key: str, most: int, *, least: int = 1) -> int | None:
        value = self._values.get(key)
        if value is not None and (type(value) is not int or not least <= value <= most):
            self.wrong(key, f"must be a whole number from {least} to {most}", f"such as {key} = 2")
        return value

    def flag(self, key: str) -> bool | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            self.wrong(key, "must be true or false", f"such as {key} = true")
        return value

    def age(self, key: str, default: float | None) -> float | None:
        """Seconds; None for ever."""
        value = self.text(key)
        if value is None:
            return default
        if value == FOREVER:
            return None
        try:
            return seconds_of(value)
        except ValueError:
            self.wrong(key, f'must be an age, or "{FOREVER}"', f'such as {key} = "90d", "12w" or "36h"')

    def choice(self, key: str, choices: type[_Choice]) -> _Choice | None:
        value = self.text(key)
        return None if value is None else self._one_of(key, value, choices)

    def operations(self, key: str) -> tuple[Operation, ...] | None:
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            self.wrong(key, "must be a list of operations", f'such as {key} = ["vacuum", "analyze"]')
        names = tuple(self._one_of(key, name, Operation) for name in value)
        if len(set(names)) < len(names):
            self.wrong(key, "names an operation twice", "name each operation once")
        return names

    def wrong(self, key: str, why: str, hint: str) -> NoReturn:
        path = (*self.path, key)
        line = _line_of(path, self._text) or _line_of(self.path, self._text) or 1
        raise ConfigError(f"{self._file}, line {line}", f"{'.'.join(path)} {why}", hint)

    def _one_of(self, key: str, value: object, choices: type[_Choice]) -> _Choice:
        try:
            return choices(str(value))
        except ValueError:
            self.wrong(key, f"cannot be {value!r}", f"known: {', '.join(choices)}")


def root_table(text: str, file: str) -> Table:
    """The whole of `text`; `file` is what errors call it. Raises ConfigError where it is no TOML."""
    try:
        return Table(tomllib.loads(text), (), text, file)
    except tomllib.TOMLDecodeError as error:
        why, line = _syntax_error(str(error), text)
        raise ConfigError(f"{file}, line {line}", why, "the file must be TOML") from None


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    """tomllib's message without its position, and the line."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if not found:
        return message, 1
    return message[: found.start()], int(found[1]) if found[1] else max(1, len(text.splitlines()))


def place_of(file: Path, *key: str) -> str:
    """Where in the file a key is, for an error: `config.toml, line 7`; the file alone where that cannot be told."""
    try:
        line = _line_of(key, file.read_text())
    except (OSError, UnicodeDecodeError):
        line = None
    return f"{file}, line {line}" if line else str(file)


def _line_of(path: Sequence[str], text: str) -> int | None:
    """The line where the statement begins that brings in the key at `path`.

    tomllib tells no positions, so this reads ever longer beginnings of the file until the key is there.
    """
    lines = text.splitlines(keepends=True)
    begin = 1
    for end in range(1, len(lines) + 1):
        try:
            found: Any = tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return begin
        begin = end + 1
    return None
