"""Finds the files that a pattern or a directory stands for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path

from engine.domain.frozen import frozen
from engine.fleet.patterns import is_wild, matches

_ANY_DEPTH = "**"


@frozen
class Search:
    """Where a search looked, and what it could not read. Filled while the search runs."""

    looked_in: list[str] = field(default_factory=list)
    """Directories, in the order of the search."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Directories that could not be read, each with the reason."""


def find_files(pattern: str, search: Search) -> Iterator[str]:
    """The paths that an absolute pattern matches, sorted; those below it if it is a directory.

    `**` matches any number of directories. Hidden names match only patterns that begin with a dot. Symbolic links to
    directories are followed, except below `**` and below a directory that was named.
    """
    if os.path.isdir(pattern):  # noqa: PTH112 - Path.is_dir raises where a directory cannot be read
        yield from _below(pattern, search)
        return
    parts = Path(pattern).parts
    fixed = next((n for n, part in enumerate(parts) if is_wild(part)), len(parts) - 1)
    yield from _matching(str(Path(*parts[:fixed])), parts[fixed:], search)


def _matching(directory: str, parts: Sequence[str], search: Search) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part == _ANY_DEPTH:
        if not rest:
            yield from _below(directory, search)
            return
        yield from _matching(directory, rest, search)
        for entry in _entries(directory, search):
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _matching(entry.path, parts, search)
        return
    for entry in _entries(directory, search):
        if not _is_match(entry.name, part):
            continue
        if not rest:
            if _is_file(entry):
                yield entry.path
        elif entry.is_dir():
            yield from _matching(entry.path, rest, search)


def _is_match(name: str, part: str) -> bool:
    return name == part or ((not name.startswith(".") or part.startswith(".")) and matches(name, part))


def _below(directory: str, search: Search) -> Iterator[str]:
    for entry in _entries(directory, search):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, search)
        elif _is_file(entry):
            yield entry.path


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False


def _entries(directory: str, search: Search) -> list[os.DirEntry[str]]:
    """The entries of a directory, sorted by name. Entries read before an error count."""
    if directory not in search.looked_in[-1:]:
        search.looked_in.append(directory)
    entries: list[os.DirEntry[str]] = []
    try:
        with os.scandir(directory) as reading:
            entries.extend(reading)
    except OSError as error:
        search.unreadable.setdefault(directory, error.strerror or str(error))
    return sorted(entries, key=lambda entry: entry.name)
