"""A helper of `json_format.py`: the attributes of a record as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from tui.presentation.text import rfc3339


def fields(record: object, *names: str) -> dict[str, Any]:
    """The attributes with these names: times (`at`, `..._at`) in RFC 3339, tuples as lists."""
    return {name: _value(name, getattr(record, name)) for name in names}


def _value(name: str, value: Any) -> Any:
    if name == "at" or name.endswith("_at"):
        return rfc3339(value)
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
