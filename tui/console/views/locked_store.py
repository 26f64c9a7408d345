"""The page that is shown while other processes lock the store."""

from __future__ import annotations

from pathlib import Path

from tui.console.views.line import Line, Role, wrapped
from tui.presentation.text import plain


def locked_store_document(store: Path, locked_by: str, seconds_left: int, tries: int, width: int) -> list[Line]:
    """`locked_by`: which process holds the lock, "" if unknown; `seconds_left`: to the next try, 0: now."""
    who = f"{plain(str(store))}: {locked_by or 'another process has locked it'}."
    when = f"in {seconds_left} s" if seconds_left else "now"
    so_far = f" ({tries} tries failed)" if tries > 1 else ""
    return [
        *wrapped("The job store is locked.", width, Role.WARNING),
        *wrapped(who, width),
        Line(),
        *wrapped(f"Next try {when}{so_far}. The console opens as soon as the store is free.", width, Role.DIM),
    ]


def pause_before(tries: int) -> int:
    """Seconds to wait after so many failed tries: doubled each time, at most ten."""
    return min(1 << min(tries - 1, 4), 10)
