"""Patterns: which words stand for many targets, and which names an exclude matches. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import translate
from functools import lru_cache
from typing import Final

_WILD: Final = frozenset("*?[")
DATABASE_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3", ".db3")
"""Suffixes of database files."""
_BACKUP: Final = re.compile(r".+\.backup-\d{4}-\d\d-\d\d(\.\d+)?(\.[^./]+)?", re.DOTALL)


def is_wild(text: str) -> bool:
    """Whether `text` contains a wildcard."""
    return not _WILD.isdisjoint(text)


def is_backup_name(name: str) -> bool:
    """Whether dbtend names its backups like this: `sales.backup-2026-11-24.db`."""
    return ".backup-" in name and _BACKUP.fullmatch(name) is not None


def matches(name: str, pattern: str) -> bool:
    """Whether a whole name matches a shell pattern; upper and lower case differ."""
    return _compiled(pattern).match(name) is not None


def matches_any(names: Collection[str], patterns: Collection[str]) -> bool:
    """Whether one of the names that a target has matches one of the patterns."""
    return any(matches(name, pattern) for pattern in patterns for name in names)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern), re.DOTALL)


def natural_order(name: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key that puts `t2` before `t10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)
