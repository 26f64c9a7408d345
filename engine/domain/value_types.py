"""The types of values that users give: how each is typed, configured, stored, validated and shown.

Durations are in seconds, sizes in the unit of their option. None is a value of no type, unless a type says so.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, Final

from engine.domain.errors import UsageError
from engine.domain.humanize import counted, memory, parse_duration, parse_size, span
from engine.domain.time_limits import MAX_TIME_LIMIT, is_time_of_day

FOREVER: Final = "forever"
_LONGEST: Final = 100
"""Characters of a wrong value in an error."""
_MAX_SECONDS: Final = 1e9


class WrongValueError(ValueError):
    """A value in the config file that its key does not take; {key} in the hint stands for the key."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


class ValueType(ABC):
    metavar = ""
    rule: str
    """What a value in the config file must be."""
    example: str
    """One in TOML."""
    json_types: tuple[type, ...] = (str,)

    @abstractmethod
    def parse(self, typed: str) -> Any:
        """The value of a word on the command line. Raises UsageError."""

    @abstractmethod
    def from_toml(self, value: object) -> Any:
        """The value of a key in the config file. Raises WrongValueError."""

    def from_json(self, value: Any) -> Any:
        """The value of what `to_json` made of it, read from the store. Raises ValueError for anything else."""
        if type(value) not in self.json_types or not (isinstance(value, str) or 0 <= value < 2**63):
            raise ValueError("stored by no dbtend")
        return value

    def to_json(self, value: Any) -> Any:
        return value

    def validate(self, label: str, value: Any) -> None:  # noqa: B027 - many have no bounds
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


class Whole(ValueType):
    """A whole number."""

    metavar, example, json_types = "N", "2", (int,)

    def __init__(self, noun: str, most: int, *, least: int = 1) -> None:
        self._noun, self.least, self.most = noun, least, most
        self.rule = f"a whole number from {least} to {most}"

    def parse(self, typed: str) -> Any:
        is_short = typed.isascii() and typed.isdigit() and len(typed) < 9
        if not (is_short and self.least <= int(typed) <= self.most):
            hint = f"give a whole number from {self.least} to {self.most:,}"
            raise UsageError(repr(typed), f"is no {self._noun}", hint)
        return int(typed)

    def from_toml(self, value: object) -> Any:
        if type(value) is not int or not self.least <= value <= self.most:
            raise self.wrong_value()
        return value

    def validate(self, label: str, value: Any) -> None:
        if not self.least <= value <= self.most:
            raise _not_possible(f"{label} {value}", f"give a number from {self.least} to {self.most}")


class RowLimit(Whole):
    """A number of rows; 0, as SQLite counts, stands for all: None."""

    def __init__(self, most: int) -> None:
        super().__init__("number of rows", most, least=0)

    def parse(self, typed: str) -> Any:
        return super().parse(typed) or None

    def from_toml(self, value: object) -> Any:
        return super().from_toml(value) or None

    def validate(self, label: str, value: Any) -> None:
        if value < 1:
            raise _not_possible(f"{label} {value}", "give 1 or more rows, or no limit")

    def text(self, value: Any) -> str:
        return counted(value, "row")


class _Time(ValueType):
    json_types = (int, float)

    def from_json(self, value: Any) -> float:
        found = float(super().from_json(value))
        if found >= _MAX_SECONDS:
            raise ValueError("too long")
        return found


class Seconds(_Time):
    metavar, rule, example = "SECONDS", "a number of seconds, 0 or more", "5"

    def __init__(self, most: float = _MAX_SECONDS) -> None:
        self.most = most

    def parse(self, typed: str) -> float:
        try:
            value = float(typed)
        except ValueError:
            value = math.nan
        if not 0 <= value < _MAX_SECONDS:
            raise UsageError(repr(typed), "is no number of seconds", "give 0 or more, such as 5 or 0.5")
        return value

    def from_toml(self, value: object) -> Any:
        # A bool is an int in Python; inf and nan are floats in TOML.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MAX_SECONDS:
            raise self.wrong_value()
        return float(value)

    def validate(self, label: str, value: Any) -> None:
        if not 0 <= value <= self.most:
            raise _not_possible(f"{label} {value:g}", f"give seconds from 0 to {self.most:.0f}")

    def text(self, value: Any) -> str:
        return f"{value:g} s"


class _Written(ValueType):
    """A value that is written as text."""

    noun: str
    hint: str

    @abstractmethod
    def value_of(self, text: str) -> Any:
        """Raises ValueError."""

    def parse(self, typed: str) -> Any:
        try:
            return self.value_of(typed)
        except ValueError:
            raise UsageError(repr(typed), f"is no {self.noun}", self.hint) from None

    def from_toml(self, value: object) -> Any:
        text = _toml_text(value)
        try:
            return self.value_of(text)
        except ValueError:
            raise self.wrong_value() from None


class Text(_Written):
    rule, example = "text", '"..."'

    def __init__(self, metavar: str = "TEXT") -> None:
        self.metavar = metavar

    def value_of(self, text: str) -> str:
        return text

    def parse(self, typed: str) -> str:
        if not typed:
            raise UsageError("an empty value", "says nothing", "leave the option out, or give it a value")
        return typed


class Choice(_Written):
    def __init__(self, noun: str, choices: type[StrEnum]) -> None:
        self.noun, self.choices = noun, choices
        self.metavar, self.rule = "|".join(choices), f"one of {', '.join(choices)}"
        self._known = f"known: {', '.join(choices)}"

    def value_of(self, text: str) -> StrEnum:
        return self.choices(text)

    def parse(self, typed: str) -> Any:
        try:
            return self.choices(typed)
        except ValueError:
            close = get_close_matches(typed.lower(), list(self.choices), 1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise UsageError(repr(typed), f"is no {self.noun}", f"{meant}{self._known}") from None

    def from_toml(self, value: object) -> Any:
        return self._member(_toml_text(value))

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


class Duration(_Written, _Time):
    """Seconds, written as `90s`, `30m` or `1h30m`."""

    metavar, example = "DURATION", '"30m"'

    def __init__(self, most: float, noun: str = "duration") -> None:
        self.most, self.noun = most, noun
        self.rule = "a duration" if math.isinf(most) else f"a duration up to {span(most)}"
        self.hint = f"give {self.rule}{'' if math.isinf(most) else ','} such as 90s, 30m, 2h or 1h30m"

    def value_of(self, text: str) -> float:
        value = parse_duration(text)
        if value > self.most:
            raise ValueError(text)
        return value

    def validate(self, label: str, value: Any) -> None:
        if not 0 <= value <= self.most:
            raise _not_possible(f"{label} {value:g} s", f"give {self.rule}")

    def text(self, value: Any) -> str:
        return span(value)


class TimeLimit(Duration):
    def __init__(self) -> None:
        super().__init__(math.inf, "time limit")

    def validate(self, label: str, value: Any) -> None:
        if not 0 < value <= MAX_TIME_LIMIT:
            raise _not_possible(f"{label} {value:g} s", "give more than 0, up to a year")


class Age(_Written):
    """Seconds, written as `90d`; None for `forever`."""

    noun, metavar, hint = "age", "AGE", "give an age such as 90d, 12w or 36h"
    rule, example = f'an age, or "{FOREVER}"', '"90d", "12w" or "36h"'

    def value_of(self, text: str) -> float | None:
        return None if text == FOREVER else parse_duration(text)

    def text(self, value: Any) -> str:
        return FOREVER if value is None else span(value)


class Size(_Written):
    """A size in units of so many bytes, as a database server counts: 1 MB is 1024 kB."""

    metavar, example, json_types = "SIZE", '"64MB"', (int,)

    def __init__(self, noun: str, least: int, most: int, *, unit: int = 1) -> None:
        self.noun, self.least, self.most, self.unit = noun, least, most, unit
        self.rule = f"a size from {memory(least)} to {memory(most)}"
        self.hint = f"give {self.rule}, such as 64MB"

    def value_of(self, text: str) -> int:
        value = parse_size(text)
        if not self.least <= value <= self.most:
            raise ValueError(text)
        return value // self.unit

    def validate(self, label: str, value: Any) -> None:
        if not self.least <= value * self.unit <= self.most:
            raise _not_possible(f"{label} {self.text(value)}", f"give {self.rule}")

    def text(self, value: Any) -> str:
        return memory(value * self.unit)


class TimeOfDay(_Written):
    noun, metavar, hint = "time of day", "HH:MM", "give HH:MM, such as 06:00"
    rule, example = "a time of day", '"06:00"'

    def value_of(self, text: str) -> str:
        if not is_time_of_day(text):
            raise ValueError(text)
        return text.zfill(5)

    def validate(self, label: str, value: Any) -> None:
        if not is_time_of_day(value):
            raise UsageError(f"{label} {value!r}", f"is no {self.noun}", self.hint)


class FilePath(_Written):
    """An absolute path; on the command line any path."""

    metavar, rule, example = "PATH", "an absolute path", '"/var/backups/sales.db"'

    def parse(self, typed: str) -> str:
        if "://" in typed:
            raise UsageError(repr(typed), "is a URL, and not the path of a file", "give a path")
        return str(Path(Text().parse(typed)).expanduser().absolute())

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

    metavar, rule, example = "NAME", "a list of names", '["public"]'

    def __init__(self, noun: str) -> None:
        self._noun = noun

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


def _toml_text(value: object) -> str:
    if not isinstance(value, str):
        raise Text().wrong_value()
    return value


def _not_possible(what: str, hint: str) -> UsageError:
    return UsageError(what, "is not possible", hint)
