"""The advice for many targets on few lines: counts first, then targets by name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from engine import Advice, Level
from engine.config.model import TargetEntry
from engine.domain.advice import CRITICAL, all_by_hand
from engine.domain.frozen import frozen
from engine.fleet.patterns import natural_order
from tui.presentation.target_names import TargetName
from tui.presentation.text import cells, counted, padded, plain

MANY: Final = 5
"""More targets than this get no block of their own."""
_URGENCIES: Final = (CRITICAL, Level.NOW.value, Level.SOON.value)
_LONGEST_NAME: Final = 32

BY_HAND: Final = "by hand"
"""The word in the place of an operation for what only a person can put right."""

Advised = tuple[TargetEntry, Sequence[Advice]]


def overview_lines(advised: Sequence[Advised], *, width: int | None) -> Iterator[str]:
    """Counts, then a line for each operation that is needed, the most urgent targets first. `width`: None: no limit.

    What small tables and files need is counted, and so is a check that is due: in a new fleet it is due everywhere.
    """
    needy = [(entry, rows) for entry, advice in advised if (rows := _rows(advice))]
    small = sum(not _rows(advice) and any(map(_is_small_need, advice)) for _, advice in advised)
    by_hand = sum(any(one.level is Level.NONE for one in all_by_hand(advice)) for _, advice in advised)
    due = sum(any(one.is_merely_due for one in advice) for _, advice in advised)
    yield (
        _counts(len(advised), [rows[0].word for _, rows in needy], small)
        + (f"; a check is due on {due:,}" if due else "")
        + (f"; something may be done by hand on {by_hand:,}" if by_hand else "")
    )
    if not needy:
        return
    needy.sort(key=lambda one: (_URGENCIES.index(one[1][0].word), natural_order(one[0].name)))
    names = [plain(TargetName.of(entry).replace("\N{NO-BREAK SPACE}", " ")) for entry, _ in needy]
    name_width = min(max(map(cells, names)), _LONGEST_NAME)
    operation_width = max(len(row.what) for _, rows in needy for row in rows)
    indent = " " * (name_width + operation_width + 14)
    yield ""
    for name, (_, rows) in zip(names, needy, strict=True):
        for row in rows:
            head = f"{padded(name, name_width)}  {row.word:8}  {row.what:{operation_width}}  "
            lines = textwrap.wrap(row.text, max(width - len(indent) - 1, 20)) if width else [row.text]
            yield head + lines[0]
            yield from (indent + line for line in lines[1:])


def _counts(total: int, urgencies: Sequence[str], small: int) -> str:
    """`300 targets: 2 critical, 5 now, 3 soon, 40 only in small tables or files, 250 need nothing`."""
    parts = [f"{urgencies.count(word):,} {word}" for word in _URGENCIES if word in urgencies]
    parts += [f"{small:,} only in small tables or files"] if small else []
    idle = total - len(urgencies) - small
    parts += [f"{idle:,} {'needs' if idle == 1 else 'need'} nothing"] if idle else []
    return f"{counted(total, 'target')}: {', '.join(parts)}"


@frozen
class _Row:
    word: str
    """How urgent it is."""
    what: str
    text: str


def _rows(advice: Sequence[Advice]) -> list[_Row]:
    """The needed operations, the most urgent first."""
    rows = [
        _Row(one.urgency, one.operation, plain(one.reason) + (f" ({plain(one.gain)})" if one.gain else ""))
        for one in _urgent(advice)
    ]
    by_hand = [one for one in all_by_hand(advice) if one.urgency in _URGENCIES]
    rows += [_Row(one.urgency, BY_HAND, plain(one.reason)) for one in by_hand]
    return sorted(rows, key=lambda row: _URGENCIES.index(row.word))


def _urgent(advice: Sequence[Advice]) -> list[Advice]:
    """The needed operations, without repeated reasons."""
    covered = {operation for item in advice if item.is_urgent for operation in item.covers}
    repeats = any(item.is_urgent and item.operation in covered for item in advice)
    found = [item for item in advice if item.urgency in _URGENCIES]
    return [one for one in found if not one.is_merely_due and not (one.covers and repeats)]


def _is_small_need(item: Advice) -> bool:
    return item.shown_level is Level.SMALL and not item.covers and item.urgency != CRITICAL
