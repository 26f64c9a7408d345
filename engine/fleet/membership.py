"""Whether a pattern stands for a target, by their canonical URLs alone. Nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from engine.domain.typed_passwords import server_of
from engine.fleet.patterns import DATABASE_SUFFIXES, is_wild, matches, matches_any

_FILE: Final = "sqlite://"


def short_name(path: str) -> str:
    """The file name, without a suffix that only says that it is a database."""
    name = PurePosixPath(path)
    return name.stem if name.suffix in DATABASE_SUFFIXES else name.name


def member_name(pattern: str, url: str, exclude: Collection[str] = ()) -> str:
    """The name of a target for which a pattern, a directory or a server stands; "" if it does not stand for it."""
    if pattern.startswith(_FILE) != url.startswith(_FILE):
        return ""
    if not url.startswith(_FILE):
        return _database(pattern, url, exclude)
    path, place = _path(url), _path(pattern)
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


def _path(url: str) -> str:
    return os.fsdecode(unquote_to_bytes(url.removeprefix(_FILE).encode("utf-8", "surrogateescape")))


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, `**` any number of them."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[n:], pattern[1:] or ("*",)) for n in range(len(parts)))
    return bool(parts) and matches(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
