"""Patterns: which words are patterns, which names they match, and for which targets they stand. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import translate
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote

from engine.domain.engines import says_database
from engine.domain.server_names import is_file_url, path_of
from engine.domain.typed_passwords import server_of

_WILD: Final = frozenset("*?[")
_NUMBER: Final = re.compile(r"(\d+)")
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
    parts = _NUMBER.split(name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def short_name(path: str) -> str:
    """The file name, without a suffix that only says that it is a database."""
    name = PurePosixPath(path)
    return name.stem if name.suffix and says_database(name.name) else name.name


def member_name(pattern: str, url: str, exclude: Collection[str] = ()) -> str:
    """The name of a target for which a pattern, a directory or a server stands; "" if it does not stand for it."""
    if is_file_url(pattern) != is_file_url(url):
        return ""
    if not is_file_url(url):
        return _database(pattern, url, exclude)
    path, place = path_of(url), path_of(pattern)
    below, parts = PurePosixPath(path).parts, PurePosixPath(place).parts
    is_below = below[: len(parts)] == parts and len(below) > len(parts)
    if not (is_below or (is_wild(place) and _fits(below, parts))):
        return ""
    name = PurePosixPath(path)
    return "" if matches_any((name.name, name.stem, path), exclude) else short_name(path)


def _database(pattern: str, url: str, exclude: Collection[str]) -> str:
    wanted, name = _database_of(pattern), _database_of(url)
    if server_of(pattern) != server_of(url) or not is_wild(wanted) or not matches(name, wanted):
        return ""
    return "" if matches_any((name, url), exclude) else name


def _database_of(url: str) -> str:
    return unquote(url.partition("://")[2].partition("?")[0].partition("/")[2])


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, `**` any number of them."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[n:], pattern[1:] or ("*",)) for n in range(len(parts)))
    return bool(parts) and matches(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
