"""What a pattern leaves out, in a sentence for both front ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.fleet.expansion import Expansion, LeftOut
from tui.presentation.text import plain

_NOUNS: Final[Mapping[LeftOut, tuple[str, str]]] = {
    LeftOut.BACKUP: ("backup", "backups"),
    LeftOut.JOURNAL: ("journal", "journals"),
    LeftOut.EMPTY: ("empty file", "empty files"),
    LeftOut.NO_DATABASE: ("file that is no SQLite database", "files that are no SQLite databases"),
    LeftOut.REPEATED: ("repeated name", "repeated names"),
    LeftOut.EXCLUDED: ("excluded name", "excluded names"),
    LeftOut.NO_RIGHT: ("database without the right to connect", "databases without the right to connect"),
    LeftOut.CLOSED: ("database that accepts no connections", "databases that accept no connections"),
    LeftOut.INVALID: (
        "invalid database, half dropped: DROP DATABASE it again",
        "invalid databases, half dropped: DROP DATABASE them again",
    ),
}
_NAMED: Final = 3
"""Names of each reason that are shown; more are counted."""


def format_left_out(found: Expansion) -> str:
    """`left out: 2 backups, 1 empty file (/srv/new.db)`; "" if nothing was."""
    parts = ", ".join(map(_counted, found.left_out, found.left_out.values()))
    return f"left out: {parts}" if parts else ""


def _counted(reason: LeftOut, names: Sequence[str]) -> str:
    """`2 backups`, `1 empty file (/srv/new.db)`."""
    text = f"{len(names):,} {_NOUNS[reason][len(names) > 1]}"
    is_named = len(names) <= _NAMED and reason is not LeftOut.EXCLUDED
    return f"{text} ({', '.join(map(plain, names))})" if is_named else text
