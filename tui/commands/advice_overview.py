"""The advice for many targets on few lines: counts first, then targets by name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from engine import Advice, Level, Operation
from engine.config.model import TargetEntry
from engine.domain.advice import CRITICAL
from engine.fleet.patterns import natural_order
from tui.presentation.target_names import TargetName
from tui.presentation.text import cells, counted, padded, plain

MANY: Final = 5
"""More targets than this get no block of their own."""
_URGENCIES: Final = (CRITICAL, Level.NOW.value, Level.SOON.value)
_LONGEST_NAME: Final = 32

Advised = tuple[TargetEntry, Sequence[Advice]]


def overview_lines(advised: Sequence[Advised], *, width: int | None) -> Iterator[str]:
    """Counts, then a line for each operation that is needed, the most urgent targets first. `width`: None: no limit.

    What small tables and files need is counted, and so is a check that is due: in a new fleet it is due everywhere.
    """
    needy = [(entry, urgent) for entry, advice in advised if (urgent := _urgent(advice))]
    small = sum(not _urgent(advice) and any(map(_is_small_need, advice)) for _, advice in advised)
    due = sum(any(map(_is_due_check, advice)) for _, advice in advised)
    yield _counts(len(advised), [_urgency(urgent) for _, urgent in needy], small) + (
        f"; a check is due on {due:,}" if due else ""
    )
    if not needy:
        return
    needy.sort(key=lambda one: (_URGENCIES.index(_urgency(one[1])), natural_order(one[0].name)))
    names = [plain(TargetName.of(entry).replace("\N{NO-BREAK SPACE}", " ")) for entry, _ in needy]
    name_width = min(max(map(cells, names)), _LONGEST_NAME)
    operation_width = max(len(one.operation) for _, urgent in needy for one in urgent)
    indent = " " * (name_width + operation_width + 14)
    yield ""
    for name, (_, urgent) in zip(names, needy, strict=True):
        for one in urgent:
            head = f"{padded(name, name_width)}  {_word(one):8}  {one.operation:{operation_width}}  "
            text = plain(one.reason) + (f" ({plain(one.gain)})" if one.gain else "")
            lines = textwrap.wrap(text, max(width - len(indent) - 1, 20)) if width else [text]
            yield head + lines[0]
            yield from (indent + line for line in lines[1:])


def _counts(total: int, urgencies: Sequence[str], small: int) -> str:
    """`300 targets: 2 critical, 5 now, 3 soon, 40 only in small tables or files, 250 need nothing`."""
    parts = [f"{urgencies.count(word):,} {word}" for word in _URGENCIES if word in urgencies]
    parts += [f"{small:,} only in small tables or files"] if small else []
    idle = total - len(urgencies) - small
    parts += [f"{idle:,} {'needs' if idle == 1 else 'need'} nothing"] if idle else []
    return f"{counted(total, 'target')}: {', '.join(parts)}"


def _urgent(advice: Sequence[Advice]) -> list[Advice]:
    """The needed operations, the most urgent first, without repeated reasons."""
    covered = {operation for one in advice if one.is_urgent for operation in one.covers}
    repeats = any(one.is_urgent and one.operation in covered for one in advice)
    found = [one for one in advice if _word(one) in _URGENCIES]
    found = [one for one in found if not _is_due_check(one) and not (one.covers and repeats)]
    return sorted(found, key=lambda one: _URGENCIES.index(_word(one)))


def _word(one: Advice) -> str:
    """Its level without small tables and files, or `critical`."""
    return one.urgency if one.level_of_large is None or one.urgency == CRITICAL else one.level_of_large.value


def _urgency(urgent: Sequence[Advice]) -> str:
    return min(map(_word, urgent), key=_URGENCIES.index)


def _is_small_need(one: Advice) -> bool:
    return one.is_urgent and not one.covers and _word(one) not in _URGENCIES


def _is_due_check(one: Advice) -> bool:
    """Whether it is a check that is due by its age, not by what the last one found."""
    return one.operation is Operation.CHECK and one.level is Level.SOON and not one.facts.get("found")
