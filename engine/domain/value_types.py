"""The types of values that users give: how each is typed, configured, stored, validated and shown.

None is a value of no type, unless a type says so. Numbers are in `number_types`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, Final

from engine.domain.errors import UsageError
from engine.domain.humanize import counted
from engine.domain.requests import Operation
from engine.domain.spelling import closest
from engine.domain.time_limits import is_time_of_day

ANY_HOST: Final = "any"
"""The queue of a shared store for jobs that workers of any host may run."""
_QUEUE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_LONGEST: Final = 100
"""Characters of a wrong value in an error."""


class WrongValueError(ValueError):
    """A value in the config file that its key does not take; {key} in the hint stands for the key."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


class ValueType:
    metavar = ""
    noun: str
    """What a value is called."""
    hint: str
    """What to type instead of a wrong value."""
    rule: str
    """What a value in the config file must be."""
    example: str
    """One in TOML."""
    json_types: tuple[type, ...] = (str,)
    has_negation = False
    """Whether `--no-name` means the opposite."""

    def value_of(self, text: str) -> Any:
        """Raises ValueError."""
        return text

    def parse(self, typed: str) -> Any:
        """The value of a word on the command line. Raises UsageError."""
        try:
            return self.value_of(typed)
        except ValueError:
            raise UsageError(repr(typed), f"is no {self.noun}", self.hint) from None

    def from_toml(self, value: object) -> Any:
        """The value of a key in the config file: written as text, unless a type says so. Raises WrongValueError."""
        if not isinstance(value, str):
            raise Text().wrong_value()
        try:
            return self.value_of(value)
        except ValueError:
            raise self.wrong_value() from None

    def from_json(self, value: Any) -> Any:
        """The value of what `to_json` made of it, read from the store. Raises ValueError for anything else."""
        if type(value) not in self.json_types or not (isinstance(value, str) or 0 <= value < 2**63):
            raise ValueError("stored by no dbtend")
        return value

    def to_json(self, value: Any) -> Any:
        return value

    def validate(self, label: str, value: Any) -> None:
        """Raise UsageError for a value out of bounds; `label` names the option."""

    def text(self, value: Any) -> str:
        return str(value)

    def wrong_value(self) -> WrongValueError:
        return WrongValueError(f"must be {self.rule}", f"such as {{key}} = {self.example}")


class Flag(ValueType):
    """True or false; on the command line `--name`, and with `has_negation` also `--no-name`."""

    rule, example, json_types = "true or false", "true", (bool,)

    def __init__(self, *, has_negation: bool = False) -> None:
        self.has_negation = has_negation

    def parse(self, typed: str) -> bool:
        if (word := typed.strip().lower()) in {"1", "true", "yes", "on"}:
            return True
        if word in {"", "0", "false", "no", "off"}:
            return False
        raise UsageError(repr(typed), "is neither on nor off", "give 1 or 0")

    def from_toml(self, value: object) -> Any:
        if not isinstance(value, bool):
            raise self.wrong_value()
        return value


class Text(ValueType):
    rule, example = "text", '"..."'

    def __init__(self, metavar: str = "TEXT") -> None:
        self.metavar = metavar

    def parse(self, typed: str) -> str:
        if not typed:
            raise UsageError("an empty value", "says nothing", "leave the option out, or give it a value")
        return typed


class QueueName(ValueType):
    """The queue of a pool of workers."""

    metavar, noun, rule, example = "NAME", "name of a queue", "the name of a queue", '"eu"'
    hint = "use letters, digits, dots, hyphens and underscores, but not `any`"

    def value_of(self, text: str) -> str:
        if not _QUEUE.fullmatch(text) or text == ANY_HOST:
            raise ValueError(text)
        return text

    def validate(self, label: str, value: Any) -> None:
        self.parse(value) if value is not None else None


class Choice(ValueType):
    def __init__(self, noun: str, choices: type[StrEnum]) -> None:
        self.noun, self.choices = noun, choices
        self.metavar, self.rule = "|".join(choices), f"one of {', '.join(choices)}"
        self._known = f"known: {', '.join(choices)}"

    def parse(self, typed: str) -> Any:
        try:
            return self.choices(typed)
        except ValueError:
            close = closest(typed.lower(), self.choices)
            meant = f"did you mean {close}? " if close else ""
            raise UsageError(repr(typed), f"is no {self.noun}", f"{meant}{self._known}") from None

    def from_toml(self, value: object) -> Any:
        return self._member(Text().from_toml(value))

    def _member(self, value: object) -> StrEnum:
        try:
            return self.choices(str(value))
        except ValueError:
            raise WrongValueError(f"cannot be {shortened(repr(value))}", self._known) from None

    def from_json(self, value: Any) -> StrEnum:
        return self.choices(value)

    def to_json(self, value: Any) -> str:
        return str(value)

    def validate(self, label: str, value: Any) -> None:
        if value not in list(self.choices):
            raise UsageError(f"{label} {str(value)!r}", "is unknown", f"choose from {', '.join(self.choices)}")


class ChoiceList(Choice):
    """Several choices, in order; on the command line each with an option of its own."""

    def __init__(self, noun: str, choices: type[StrEnum]) -> None:
        super().__init__(noun, choices)
        self.rule, self.example = f"a list of {noun}s", json.dumps(list(choices)[:2])

    def from_toml(self, value: object) -> Any:
        if not isinstance(value, list) or not value:
            raise self.wrong_value()
        found = tuple(self._member(one) for one in value)
        if len(set(found)) < len(found):
            raise WrongValueError(f"names an {self.noun} twice", f"name each {self.noun} once")
        return found


class TimeOfDay(ValueType):
    noun, metavar, hint = "time of day", "HH:MM", "give HH:MM, such as 06:00"
    rule, example = "a time of day", '"06:00"'

    def value_of(self, text: str) -> str:
        if not is_time_of_day(text):
            raise ValueError(text)
        return text.zfill(5)

    def validate(self, label: str, value: Any) -> None:
        if not is_time_of_day(value):
            raise UsageError(f"{label} {value!r}", f"is no {self.noun}", self.hint)


class FilePath(ValueType):
    """An absolute path; on the command line any path."""

    metavar, rule, example = "PATH", "an absolute path", '"/var/backups/sales.db"'

    def parse(self, typed: str) -> str:
        if "://" in typed:
            raise UsageError(repr(typed), "is a URL, and not the path of a file", "give a path")
        path = Path(Text().parse(typed)).expanduser().absolute()
        return os.path.join(path, "") if typed.endswith("/") else str(path)  # noqa: PTH118 - a directory stays one

    def value_of(self, text: str) -> str:
        if not PurePath(text).is_absolute() or "\0" in text:
            raise ValueError(text)
        return text

    def validate(self, label: str, value: Any) -> None:
        try:
            self.value_of(value)
        except ValueError:
            hint = "give one, such as /var/backups/sales.db"
            raise UsageError(f"{label} {value!r}", "is no absolute path", hint) from None


class Names(ValueType):
    """Several names; on the command line each with an option of its own."""

    metavar, rule = "NAME", "a list of names"

    def __init__(self, noun: str, example: str = '["public"]') -> None:
        self._noun, self.example = noun, example

    def parse(self, typed: str) -> str:
        """One of the names."""
        return Text().parse(typed)

    def from_toml(self, value: object) -> Any:
        if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
            raise self.wrong_value()
        return tuple(dict.fromkeys(value))

    def from_json(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError("no list of names")
        return tuple(value)

    def to_json(self, value: Sequence[str]) -> list[str]:
        return list(value)

    def validate(self, label: str, value: Sequence[str]) -> None:
        if "" in value:
            raise UsageError(f"{self._noun} ''", "is no name", "give a name, or leave it out")
        require_distinct(self._noun, value)

    def text(self, value: Sequence[str]) -> str:
        return " and ".join(value)


class SchemaNames(Names):
    """Names of schemas, each plain or quoted as in SQL."""

    def parse(self, typed: str) -> str:
        return _without_quotes(super().parse(typed))

    def from_toml(self, value: object) -> Any:
        return tuple(dict.fromkeys(_without_quotes(name) for name in super().from_toml(value)))


def _without_quotes(name: str) -> str:
    quoted = re.fullmatch(r'"((?:[^"]|"")+)"', name)
    return quoted[1].replace('""', '"') if quoted else name


class ObjectsDone(ValueType):
    """Objects, each with the operation that was done to it; in JSON by operation."""

    def from_json(self, value: Any) -> tuple[tuple[Operation, str], ...]:
        if not isinstance(value, dict) or not all(isinstance(names, list) for names in value.values()):
            raise ValueError("no names by operation")
        if not all(isinstance(name, str) for names in value.values() for name in names):
            raise ValueError("no list of names")
        return tuple((Operation(operation), name) for operation, names in value.items() for name in names)

    def to_json(self, value: Sequence[tuple[Operation, str]]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for operation, name in value:
            found.setdefault(operation.value, []).append(name)
        return found

    def text(self, value: Sequence[tuple[Operation, str]]) -> str:
        return counted(len(value), "object")


class Words(ValueType):
    """A program with its arguments, as a list: no shell reads it."""

    rule, example = "a list of words, the program first", '["/usr/local/bin/page", "dba"]'

    def from_toml(self, value: object) -> Any:
        if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
            raise self.wrong_value()
        if not value[0] or any("\0" in word for word in value):
            raise self.wrong_value()
        return tuple(value)


def require_distinct(noun: str, names: Iterable[str]) -> None:
    """Raise UsageError for a name that comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{noun} {name}", "is named twice", f"name each {noun} once")
        seen.add(name)


def shortened(text: str) -> str:
    """Text of the config file for an error."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
