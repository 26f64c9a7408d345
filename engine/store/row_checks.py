"""Validation of stored rows: a store may be damaged, or changed by hand.

Rows are validated when they are read, so that one error names the problem and no code uses the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator
from sys import intern
from types import TracebackType
from typing import Any, Final

from engine.domain.errors import StoreError

LATEST: Final = 253_000_000_000_000_000
"""Microseconds: in the year 9987, up to which every time can be shown in every time zone."""
_MOST_SHOWN: Final = 40
_OF_VALUES: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
_FACT_TYPES: Final = (str, int, float, bool, list, type(None))


class UnsoundRowError(StoreError):
    """A row that dbtend would not write; `detail` names the problem."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        hint = "move it away to start a new one, or restore it from a backup"
        super().__init__("the store of jobs", f"is damaged, or was changed by hand: {detail}", hint)


class sound(ContextDecorator):  # noqa: N801 - as `contextmanager` would make it, which takes as long as a row
    """Turn exceptions inside, caused by invalid stored values, into UnsoundRowError."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, UnsoundRowError):
            raise UnsoundRowError(f"{self._what}: {error.detail}") from error
        if isinstance(error, _OF_VALUES):
            raise UnsoundRowError(f"{self._what}: {str(error)[:200]}") from error


def checked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The validated row, by column name. Raises UnsoundRowError."""
    for name, value in row.items():
        if value is None and name in _NULLABLE:
            continue
        is_sound = _CHECKS.get(name)
        if is_sound is not None and not is_sound(value):
            raise UnsoundRowError(f"{name} is {_shown(value)}")
    return row


def checked_facts(facts: Any) -> Any:
    """The validated stored facts; all that are in memory share their names. Raises UnsoundRowError."""
    if not isinstance(facts, dict):
        raise UnsoundRowError(f"facts are {_shown(facts)}")
    for name, value in facts.items():
        if not _is_fact(value) or (isinstance(value, list) and not all(map(_is_fact, value))):
            raise UnsoundRowError(f"{name} is {_shown(value)}")
    return {intern(name): value for name, value in facts.items()}


def _is_fact(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, _FACT_TYPES)


def _shown(value: object) -> str:
    shown = repr(value[:_MOST_SHOWN] if isinstance(value, str | bytes) else value)
    return shown if len(shown) <= 2 * _MOST_SHOWN else f"{shown[: 2 * _MOST_SHOWN]}..."


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_time(value: object) -> bool:
    return type(value) is int and 0 <= value <= LATEST


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_pid(value: object) -> bool:
    return type(value) is int and 0 < value < 2**31


def _is_owner(value: object) -> bool:
    """Whether a value is an owner: that is part of a file name."""
    return isinstance(value, str) and 0 < len(value) < 200 and value.isprintable() and "/" not in value


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _is_length(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= LATEST / 1e6


_NEVER_NULL: Final[tuple[tuple[Callable[[object], bool], str], ...]] = (
    (_is_count, "id ordinal attempt steps_done steps_total steps_left number waited reclaimable unsubmitted"),
    (_is_time, "created_at at surveyed_at due_at recorded_at since"),
    (_is_text, "target operations options warnings command message by name start config disabled_by"),
    (_is_length, "seconds"),
)
_MAY_BE_NULL: Final[tuple[tuple[Callable[[object], bool], str], ...]] = (
    (_is_count, "size retry_of batch_id"),
    (_is_time, "started_at finished_at cancel_requested_at force_requested_at deadline_at checked_at"),
    (_is_time, "starts_at disabled_at figures_at"),
    (_is_text, "error object phase host before after schedule submitted_by cancelled_by login"),
    (_is_pid, "pid"),
    (_is_owner, "owner"),
    (_is_fraction, "fraction"),
    (_is_length, "estimate"),
)
_NULLABLE: Final = frozenset(name for _, names in _MAY_BE_NULL for name in names.split())
_CHECKS: Final = {name: check for check, names in (*_NEVER_NULL, *_MAY_BE_NULL) for name in names.split()}
"""What a value must be, by the name of its column; enums check themselves."""
