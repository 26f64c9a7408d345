"""What a crash left half done, told without opening the database: the next connection rolls it back in silence."""

from __future__ import annotations

from pathlib import Path

from engine.holders import is_locked


def is_left_over(path: str) -> bool:
    """Whether a rollback journal lies beside the database at `path` that nobody is using; False where one cannot tell.

    One that is the same before and after a moment without any lock belongs to no transaction that still runs.
    """
    journal = Path(path + "-journal")
    found = _state(journal)
    return found is not None and is_locked(path) is False and _state(journal) == found


def is_gone(path: str) -> bool:
    """Whether there is nothing left of a journal."""
    return _state(Path(path + "-journal")) is None


def _state(journal: Path) -> tuple[int, int, int] | None:
    """What is another when somebody has written it, or made it anew; None where nothing is in it."""
    try:
        status = journal.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if status.st_size else None
