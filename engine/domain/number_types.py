"""The types of numbers, shares, durations (in seconds) and sizes (in bytes or the unit of their option)."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Final

from engine.domain.errors import UsageError
from engine.domain.humanize import counted, memory, parse_bytes, parse_duration, parse_size, span, whole_size
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds, with_settings
from engine.domain.time_limits import MAX_TIME_LIMIT
from engine.domain.value_types import ValueType

FOREVER: Final = "forever"
_MOST: Final = 1e9


class Whole(ValueType):
    """A whole number."""

    metavar, example, json_types = "N", "2", (int,)

    def __init__(self, noun: str, most: int, *, least: int = 1) -> None:
        self.noun, self.least, self.most = noun, least, most
        self.rule, self.hint = f"a whole number from {least} to {most}", f"give a whole number from {least} to {most:,}"

    def value_of(self, text: str) -> Any:
        is_short = text.isascii() and text.isdigit() and len(text) < 12
        if not (is_short and self.least <= int(text) <= self.most):
            raise ValueError(text)
        return int(text)

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

    def value_of(self, text: str) -> Any:
        return super().value_of(text) or None

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
        if found >= _MOST:
            raise ValueError("too long")
        return found


class _Number(_Time):
    """A number from `least` on."""

    least = 0

    def value_of(self, text: str) -> float:
        value = float(text)
        if not self.least <= value < _MOST:
            raise ValueError(text)
        return value

    def from_toml(self, value: object) -> Any:
        # A bool is an int in Python; inf and nan are floats in TOML.
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.least <= value < _MOST:
            raise self.wrong_value()
        return float(value)


class Seconds(_Number):
    metavar, noun, hint = "SECONDS", "number of seconds", "give 0 or more, such as 5 or 0.5"
    rule, example = "a number of seconds, 0 or more", "5"

    def __init__(self, most: float = _MOST) -> None:
        self.most = most

    def validate(self, label: str, value: Any) -> None:
        if not 0 <= value <= self.most:
            raise _not_possible(f"{label} {value:g}", f"give seconds from 0 to {self.most:.0f}")

    def text(self, value: Any) -> str:
        return f"{value:g} s"


class Duration(_Time):
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


class Age(ValueType):
    """Seconds, written as `90d`; None for `forever`."""

    noun, metavar, hint = "age", "AGE", "give an age such as 90d, 12w or 36h"
    rule, example = f'an age, or "{FOREVER}"', '"90d", "12w" or "36h"'

    def value_of(self, text: str) -> float | None:
        return None if text == FOREVER else parse_duration(text)

    def text(self, value: Any) -> str:
        return FOREVER if value is None else span(value)


class Size(ValueType):
    """A size in units of so many bytes, as a database server counts: 1 MB is 1024 kB."""

    metavar, example, json_types = "SIZE", '"64MB"', (int,)

    def __init__(self, noun: str, least: int, most: int, *, unit: int = 1, or_zero: bool = False) -> None:
        self.noun, self.least, self.most, self.unit, self.or_zero = noun, least, most, unit, or_zero
        self.rule = f"a size from {memory(least)} to {memory(most)}{', or 0' if or_zero else ''}"
        self.hint = f"give {self.rule}, such as 64MB"

    def value_of(self, text: str) -> int:
        value = 0 if self.or_zero and text == "0" else parse_size(text)
        if not self._is_possible(value):
            raise ValueError(text)
        return value // self.unit

    def from_toml(self, value: object) -> Any:
        return super().from_toml("0" if self.or_zero and type(value) is int and value == 0 else value)

    def validate(self, label: str, value: Any) -> None:
        if not self._is_possible(value * self.unit):
            raise _not_possible(f"{label} {self.text(value)}", f"give {self.rule}")

    def _is_possible(self, size: int) -> bool:
        return self.least <= size <= self.most or (self.or_zero and size == 0)

    def text(self, value: Any) -> str:
        return memory(value * self.unit)


def _not_possible(what: str, hint: str) -> UsageError:
    return UsageError(what, "is not possible", hint)


class Bytes(ValueType):
    """Bytes as on screens: 1 MB is 1000 kB."""

    noun, metavar, hint, json_types = "size", "SIZE", "give a size such as 500kB, 16MB or 1.5GB", (int,)
    rule, example = "a size", '"16MB"'

    def value_of(self, text: str) -> int:
        return parse_bytes(text)

    def text(self, value: Any) -> str:
        return whole_size(value)


class Share(ValueType):
    """From 0 to 1, written as a percentage."""

    noun, metavar, hint, json_types = "percentage", "PERCENT", "give one from 0% to 100%, such as 25%", (int, float)
    rule, example = "a percentage from 0% to 100%", '"25%"'

    def value_of(self, text: str) -> float:
        value = float(text.removesuffix("%")) / 100
        if not text.endswith("%") or not 0 <= value <= 1:
            raise ValueError(text)
        return value

    def text(self, value: Any) -> str:
        return f"{value:.0%}"


class Multiple(_Number):
    """How many times something else, at least once."""

    noun, metavar, hint, least = "number", "N", "give 1 or more", 1
    rule, example = "a number, 1 or more", "5"

    def text(self, value: Any) -> str:
        return f"{value:g}"


class Limits(ValueType):
    """Thresholds of advice; in JSON by name those that are not the usual ones, with null for never."""

    def from_json(self, value: Any) -> Thresholds:
        if not isinstance(value, dict) or not value.keys() <= _LIMITS.keys():
            raise ValueError("no thresholds by name")
        if not all(one is None or (type(one) in {int, float} and 0 <= one < 2**63) for one in value.values()):
            raise ValueError("a threshold that is no number")
        return with_settings({name: math.inf if one is None else _LIMITS[name](one) for name, one in value.items()})

    def to_json(self, value: Thresholds) -> dict[str, float | None]:
        set_ = {name: getattr(value, name) for name in _LIMITS}
        return {
            name: None if one == math.inf else one
            for name, one in set_.items()
            if one != getattr(DEFAULT_THRESHOLDS, name)
        }


_LIMITS: Final = {one.name: type(getattr(DEFAULT_THRESHOLDS, one.name)) for one in fields(Thresholds)}
"""The type of each."""
