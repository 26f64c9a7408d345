"""The types of thresholds that users set: bytes as on screens, shares and multiples."""

from __future__ import annotations

from typing import Any, Final

from engine.domain.humanize import parse_bytes, whole_size
from engine.domain.value_types import ValueType

_MOST: Final = 1e9


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


class Multiple(ValueType):
    """How many times something else, at least once."""

    noun, metavar, hint, json_types = "number", "N", "give 1 or more", (int, float)
    rule, example = "a number, 1 or more", "5"

    def value_of(self, text: str) -> float:
        value = float(text)
        if not 1 <= value < _MOST:
            raise ValueError(text)
        return value

    def from_toml(self, value: object) -> Any:
        # A bool is an int in Python; inf and nan are floats in TOML.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < _MOST:
            raise self.wrong_value()
        return float(value)

    def text(self, value: Any) -> str:
        return f"{value:g}"
