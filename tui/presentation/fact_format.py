"""Facts about a database and their changes, as text."""

from __future__ import annotations

from collections.abc import Sequence

from engine import Facts
from engine.domain.frozen import frozen
from engine.domain.steps import (
    FILE,
    GAVE_WAY,
    IS_UNCHECKED,
    NOT_MAPPED,
    PAGES_AFTER,
    PAGES_BEFORE,
    REPLACED_FILE,
    REWRITTEN,
)
from tui.presentation.text import cells, padded, plain, precise_duration, size

Value = int | float | str | Sequence[str] | Sequence[int] | None
_BYTES = ("size", "bytes", "unused", "size_before")
_IN_EFFECT = frozenset({"backup", "backup_journal_mode", "backup_size", "changed_stat_rows", "freed_pages"}) | {
    *("backup_checked", "backup_contents", "backup_file", "backup_source", "backups_removed", "backups_removed_bytes"),
    *(
        "findings",
        "damage",
        "broken_rule",
        "orphans",
        "remedy",
        "level",
        REPLACED_FILE,
        "complete",
        "file_overwritten",
    ),
    *("steps_completed", "steps_failed", "steps_cancelled", "steps_skipped"),
    *(PAGES_BEFORE, PAGES_AFTER, NOT_MAPPED, REWRITTEN),
    *("rows_lost", "rows_removed", "rows_kept", "pages_removed", "back_bytes", "waited", GAVE_WAY),
}


@frozen
class Change:
    """A fact with its values before and after; "" where it was not known."""

    name: str
    before: str
    after: str


def number(facts: Facts | None, name: str) -> float | None:
    """A fact that is a number; None if unknown."""
    value = facts.get(name) if facts else None
    return value if isinstance(value, int | float) else None


def text(facts: Facts | None, name: str) -> str:
    """A fact that is text, harmless to a terminal; "" if unknown."""
    value = facts.get(name) if facts else None
    return plain(value) if isinstance(value, str) else ""


def is_of_another_file(before: Facts, after: Facts) -> bool:
    """Whether `after` was measured in another file than `before`, which no operation had put in its place."""
    return FILE in before and FILE in after and before[FILE] not in {after[FILE], after.get(REPLACED_FILE)}


def changes(before: Facts | None, after: Facts | None) -> list[Change]:
    """The facts that differ after rounding; none while one side is unknown, or of another file.

    Facts that the effect of an operation states are left out.
    """
    if before is None or after is None or is_of_another_file(before, after):
        return []
    names = [n for n in {**before, **after} if (n in before or n not in _IN_EFFECT) and n not in {IS_UNCHECKED, FILE}]
    if "size" in before and "size" not in after:  # it could not be inspected afterwards
        names = [name for name in names if name in after]
    sides = ((name, _format(name, before.get(name)), _format(name, after.get(name))) for name in names)
    return [Change(words(name), old, new) for name, old, new in sides if old != new]


def table(changed: Sequence[Change]) -> list[str]:
    """A line for each change, in columns: `free pages  1,620 -> 0`."""
    if not changed:
        return []
    name, before = (max(map(cells, column)) for column in zip(*((c.name, c.before) for c in changed), strict=True))
    return [f"{padded(c.name, name)}  {_two(c, before)}".rstrip() for c in changed]


def _two(change: Change, width: int) -> str:
    before = " " * (width - cells(change.before)) + change.before
    if not width:
        return change.after
    return f"{before} {'->' if change.before else '  '} {change.after or 'none'}"


def waited(facts: Facts | None) -> str:
    """`waited 3.20 s of that`; "" if it did not wait."""
    seconds = number(facts, "waited")
    return f"waited {precise_duration(seconds)} of that" if seconds else ""


def stated(name: str, facts: Facts) -> str:
    """One fact with its name: `free pages 1,620`; "" if unknown."""
    worded = _format(name, facts.get(name))
    return f"{words(name)} {worded}" if worded else ""


def words(name: str) -> str:
    """`free pages` for `free_pages`."""
    return plain(name.replace("_", " "))


def _format(name: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return size(value) if name.endswith(_BYTES) else f"{value:,}"
    return plain(value) if isinstance(value, str) else plain(", ".join(map(str, value)))
