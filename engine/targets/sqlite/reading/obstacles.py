"""The conditions that keep an operation from doing its work on this database: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from engine.domain.frozen import frozen


@frozen(kw_only=True)
class Obstacles:
    """What keeps operations from working, as text; empty where nothing does.

    For tables and indexes by their names.
    """

    vacuum: str = ""
    replicated: str = ""
    """What VACUUM or a checkpoint would cause elsewhere: neither runs without a yes."""
    check: str = ""
    analyze: Mapping[str, str] = field(default_factory=dict)
    """By name: why this table cannot be analyzed."""
    reindex: Mapping[str, str] = field(default_factory=dict)
    """By name: why this damaged index cannot be rebuilt."""
    merge: Mapping[str, str] = field(default_factory=dict)
    """By name: why this full-text index cannot be merged."""


NO_OBSTACLES: Final = Obstacles()
