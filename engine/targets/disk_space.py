"""Whether the file systems have room for what a statement will write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import size

# Directories, the map of a file's blocks and the journal's page headers take room too, and other processes write.
_MARGIN_SHARE: Final = 0.01
_MARGIN_BYTES: Final = 1_000_000


@frozen
class Need:
    """`bytes` that will be written below `directory`, and `what` they are: "the database's journal"."""

    directory: str
    bytes: int
    what: str


@frozen
class Room:
    """A file system, by its device number, and the bytes free on it; None where it does not say."""

    file_system: int
    free: int | None


def free_bytes(directory: str) -> int | None:
    """What ordinary users may still write there: without the blocks reserved for root, which keep a system alive.

    None where the file system does not say. Raises OSError if there is no such directory.
    """
    status = os.statvfs(directory)
    # Some, such as a tmpfs without a limit, report no blocks at all; a full one still has its size.
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def room_in(directory: str) -> Room:
    """Raises OSError if there is no such directory."""
    return Room(os.stat(directory).st_dev, free_bytes(directory))  # noqa: PTH116 - asked many times for each job


def least_free(needs: Iterable[Need], room: Callable[[str], Room] = room_in) -> int | None:
    """Bytes free on the file system that has the least room of those that are needed; None where none says.

    Raises OSError if there is no such directory.
    """
    found = [room(need.directory).free for need in needs if need.bytes > 0]
    return min((free for free in found if free is not None), default=None)


def shortfalls(needs: Iterable[Need], room: Callable[[str], Room] = room_in) -> list[str]:
    """A sentence for each file system that is too small for all `needs` that lie on it together.

    Raises OSError if there is no such directory.
    """
    return [sentence for _, sentence in _short(needs, room).values()]


def largest_shortfalls(each: Iterable[Iterable[Need]], room: Callable[[str], Room] = room_in) -> list[str]:
    """A sentence for each file system that is too small for one of those that need it one after another: the largest.

    Those whose directory is gone are left out.
    """
    largest: dict[int, tuple[int, str]] = {}
    for needs in each:
        with suppress(OSError):
            for file_system, short in _short(needs, room).items():
                largest[file_system] = max(short, largest.get(file_system, short))
    return [sentence for _, sentence in largest.values()]


def problems_now(needs: Iterable[Need]) -> list[str]:
    """The sentences of `shortfalls`; none if a directory is gone: the step itself reports that."""
    try:
        return shortfalls(needs)
    except OSError:
        return []


def fit_at_once(each: Sequence[Iterable[Need]], wanted: int, room: Callable[[str], Room] = room_in) -> int:
    """How many of these may run at once, in any order, without a full disk: at most `wanted`, at least 1.

    One that needs room in a directory that is gone does not count.
    """
    by_file_system: dict[int, tuple[Room, list[int]]] = {}
    for needs in each:
        with suppress(OSError):
            for file_system, (found, on_it) in _by_file_system(needs, room).items():
                sizes = by_file_system.setdefault(file_system, (found, []))[1]
                sizes.append(sum(need.bytes for need in on_it))
    limited = [(found.free, sorted(sizes, reverse=True)) for found, sizes in by_file_system.values()]
    for number in range(wanted, 1, -1):
        if all(free is None or _with_margin(sum(sizes[:number])) <= free for free, sizes in limited):
            return number
    return 1


def _by_file_system(needs: Iterable[Need], room: Callable[[str], Room]) -> dict[int, tuple[Room, list[Need]]]:
    """Raises OSError if there is no such directory."""
    found: dict[int, tuple[Room, list[Need]]] = {}
    for need in needs:
        if need.bytes > 0:
            place = room(need.directory)
            found.setdefault(place.file_system, (place, []))[1].append(need)
    return found


def _short(needs: Iterable[Need], room: Callable[[str], Room]) -> dict[int, tuple[int, str]]:
    """For each file system that is too small: the bytes that must be free on it, and the sentence that says so."""
    return {
        file_system: (with_margin(needed), _sentence(needed, found.free))
        for file_system, (found, needed) in _by_file_system(needs, room).items()
        if found.free is not None and found.free < with_margin(needed)
    }


def with_margin(needs: Sequence[Need]) -> int:
    """The bytes that must be free for `needs` on one file system."""
    return _with_margin(sum(need.bytes for need in needs))


def _with_margin(total: int) -> int:
    return total + round(total * _MARGIN_SHARE) + _MARGIN_BYTES


def _sentence(needs: Sequence[Need], free: int) -> str:
    total = with_margin(needs)
    margin = total - sum(need.bytes for need in needs)
    parts = [*(f"{size(need.bytes)} for {need.what}" for need in needs), f"{size(margin)} to spare"]
    return (
        f"it needs {size(total)} on the file system of {needs[0].directory} ({', '.join(parts)}), "
        f"and {size(free)} are free"
    )
