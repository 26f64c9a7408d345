"""The sessions that a lock blocks, as text for plans and confirmations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from engine import LockImpact, LockScope

if TYPE_CHECKING:
    from engine import Lock

_OF_A_DATABASE: Final[Mapping[LockImpact, str]] = {
    LockImpact.NONE: "no one",
    LockImpact.MAINTENANCE: "no reader and no writer; other maintenance waits",
    LockImpact.WRITERS: "writers",
    LockImpact.READERS_BEHIND_A_WRITER: "writers, and readers while a writer waits",
    LockImpact.READERS_AT_THE_END: "writers, and readers at the end",
    LockImpact.MOST_READERS: "writers, and nearly all readers",
    LockImpact.EVERYONE: "everyone",
}
_OF_A_TABLE: Final[Mapping[LockImpact, str]] = {
    LockImpact.NONE: "no one",
    LockImpact.MAINTENANCE: "no reader and no writer; other maintenance of the table waits",
    LockImpact.WRITERS: "writers of the table",
    LockImpact.READERS_BEHIND_A_WRITER: "writers of the table, and its readers while a writer waits",
    LockImpact.READERS_AT_THE_END: "writers of the table, and its readers at the end",
    LockImpact.MOST_READERS: "writers of the table, and nearly all its readers",
    LockImpact.EVERYONE: "everyone from the table",
}


def format_lock(lock: Lock) -> str:
    """`blocks writers, and readers at the end`."""
    if lock.momentary is LockImpact.NONE:
        return f"blocks {blocked_sessions(lock)}"
    momentary = _texts(lock.scope)[lock.momentary]
    if lock.impact is LockImpact.NONE:
        return f"blocks {momentary}, for a moment at a time"
    return f"blocks {blocked_sessions(lock)}; may block {momentary} for a moment"


def blocked_sessions(lock: Lock) -> str:
    """The sessions that it blocks until it ends: `writers of the table`."""
    return _texts(lock.scope)[lock.impact]


def _texts(scope: LockScope) -> Mapping[LockImpact, str]:
    return _OF_A_TABLE if scope is LockScope.TABLE else _OF_A_DATABASE
