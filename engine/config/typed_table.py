"""Typed access to a table of the config file; errors name file, line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from engine.config.statements import line_of
from engine.config.worker_keys import Key
from engine.domain.errors import ConfigError
from engine.domain.option_spec import OptionSpec
from engine.domain.spelling import closest
from engine.domain.value_types import Text, WrongValueError, shortened

Declared = Key | OptionSpec


class Table:
    """Each method raises ConfigError for a wrong value."""

    def __init__(self, values: Mapping[str, Any], path: tuple[str, ...], text: str, file: str) -> None:
        self.path = path
        self._values, self._text, self._file = values, text, file

    def allow_only(self, *known: str) -> None:
        for key in self._values:
            if key not in known:
                close = closest(key, known)
                hint = f"did you mean {close}?" if close else f"known here: {', '.join(known)}"
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

    def value(self, key: str, declared: Declared) -> Any:
        """None for a missing key."""
        if key not in self._values:
            return None
        try:
            return declared.type.from_toml(self._values[key])
        except WrongValueError as wrong:
            self.fail(key, wrong.why, wrong.hint.replace("{key}", key))

    def values(self, declared: Mapping[str, Declared]) -> dict[str, Any]:
        """The values of the keys that are there."""
        return {key: self.value(key, declared[key]) for key in self.keys_of(declared)}

    def keys_of(self, declared: Mapping[str, Declared]) -> list[str]:
        """The keys of this table that are among the declared ones."""
        return [key for key in self._values if key in declared]

    def texts(self) -> dict[str, str]:
        """The whole table, each value a text."""
        return {key: self.value(key, Key(Text(), "")) for key in self._values}

    def fail_itself(self, why: str, hint: str) -> NoReturn:
        """Raise the error for the name of this table."""
        self._fail(self.path, why, hint)

    def fail(self, key: str, why: str, hint: str) -> NoReturn:
        self._fail((*self.path, key), why, hint)

    def _fail(self, path: tuple[str, ...], why: str, hint: str) -> NoReturn:
        line = line_of(path, self._text) or line_of(self.path, self._text) or 1
        raise ConfigError(f"{self._file}, line {line}", f"{shortened('.'.join(path))} {why}", hint)


def root_table(text: str, file: str) -> Table:
    """The root table of `text`; `file` is its name in errors. Raises ConfigError if it is not TOML."""
    if text.startswith("\ufeff"):
        why = "begins with a byte order mark, which TOML does not allow"
        raise ConfigError(f"{file}, line 1", why, "save it as UTF-8 without one")
    try:
        return Table(tomllib.loads(text), (), text, file)
    except RecursionError:
        raise ConfigError(file, "nests too deeply", "the deepest table is [targets.NAME]") from None
    except ValueError as error:
        why, line = _syntax_error(str(error), text)
        raise ConfigError(f"{file}, line {line}", shortened(why), "the file must be TOML") from None


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    """The message of tomllib without its position, and the line."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if not found:
        return message, 1
    return message[: found.start()], int(found[1]) if found[1] else max(1, len(text.splitlines()))


def key_location(file: Path, *key: str) -> str:
    """The location of a key, for an error: `config.toml, line 7`; only the file if the line is unknown."""
    try:
        line = line_of(key, file.read_text())
    except (OSError, ValueError):
        line = None
    return f"{file}, line {line}" if line else str(file)
