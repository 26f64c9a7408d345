"""The types that the columns of a server's answer must have, so that code may compute with them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from engine.domain.frozen import frozen

Kind = type | UnionType
Shape = tuple[Kind, ...] | type
"""The types of the columns of an answer, `(int, str | None)`, or the dataclass that each row makes."""

LONGEST_TEXT: Final = 100_000
"""Characters of a text in an answer."""
GREATEST: Final = 2**64
"""The greatest integer in an answer."""


def width(shape: Shape) -> int:
    """How many columns there are."""
    return len(_columns(shape))


def fits(rows: Sequence[tuple[Any, ...]], shape: Shape) -> bool:
    """Whether the values of these rows are possible in such an answer. Each row has as many as there are columns."""
    return not rows or all(
        column.fits(values) for values, column in zip(zip(*rows, strict=True), _columns(shape), strict=True)
    )


@frozen
class _Column:
    kinds: frozenset[type]
    """The types of the values of the column."""
    elements: frozenset[type] | None = None
    """The types of the elements, if the values are lists."""

    def fits(self, values: Sequence[Any]) -> bool:
        if not self.kinds.issuperset(map(type, values)):
            return False
        present = [value for value in values if value is not None] if NoneType in self.kinds else values
        if self.elements is not None:
            return _Column(self.elements).fits([*itertools.chain.from_iterable(present)])
        if not present:
            return True
        if str in self.kinds:
            return max(map(len, present)) <= LONGEST_TEXT
        if int in self.kinds:
            return bool(min(present) >= -GREATEST and max(present) <= GREATEST)
        if float in self.kinds:
            return not any(map(math.isnan, present))  # a threshold may be infinite, but is a number
        return True


@functools.cache
def _columns(shape: Shape) -> tuple[_Column, ...]:
    if isinstance(shape, type):
        hints = get_type_hints(shape)
        return tuple(_column(hints[field.name]) for field in fields(shape))
    return tuple(map(_column, shape))


def _column(kind: Any) -> _Column:
    if isinstance(kind, UnionType):
        return _Column(frozenset(get_args(kind)))
    if get_origin(kind) is Sequence:
        return _Column(frozenset({list}), _column(*get_args(kind)).kinds)
    return _Column(frozenset({kind}))
