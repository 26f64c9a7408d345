"""Whether a database should give space back: pure functions."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from engine.advice import Advice, Level
from engine.jobs import Operation
from engine.targets.sqlite import thresholds
from engine.words import size

if TYPE_CHECKING:
    from engine.targets.sqlite.condition import Condition, Leaves

PAGE_HEADER = 8
"""Bytes of a leaf page that no row can have."""


def space_advice(condition: Condition) -> tuple[Advice, Advice]:
    """On incremental vacuum and on VACUUM; at most one of them is needed."""
    packable = packable_bytes(condition)
    gain = condition.free + packable
    level, incremental = _level(gain, condition.size), Operation.INCREMENTAL_VACUUM
    by_pages = condition.gives_pages_back and condition.free >= thresholds.MOSTLY_FREE_PAGES * gain
    facts = {
        "size": condition.size,
        "free_pages": condition.free_pages,
        "free_bytes": condition.free,
        "unused": None if condition.leaves is None else sum(leaves.unused for leaves in condition.leaves),
        "packable_bytes": None if condition.leaves is None else packable,
        "reclaimable_bytes": gain,
    }
    found = _found(condition, packable, level)
    needed = level is not Level.NONE
    if not condition.gives_pages_back:
        by_page = Advice(
            operation=incremental,
            level=Level.NONE,
            reason="auto_vacuum is not incremental here, so that only VACUUM gives space back",
            facts=facts,
        )
    elif by_pages and needed:
        by_page = Advice(operation=incremental, level=level, reason=found, gain=_about(condition.free), facts=facts)
    else:
        reason = "most of it is in pages that only VACUUM can pack" if needed else found
        by_page = Advice(operation=incremental, level=Level.NONE, reason=reason, facts=facts)
    if by_pages and needed:
        reason = f"{found}; incremental-vacuum gives nearly all of it back, page by page"
        whole = Advice(operation=Operation.VACUUM, level=Level.NONE, reason=reason, facts=facts, covered_by=incremental)
    else:
        whole = Advice(
            operation=Operation.VACUUM, level=level, reason=found, gain=_about(gain) if needed else "", facts=facts
        )
    return by_page, whole


def packable_bytes(condition: Condition) -> int:
    """How much shorter the file gets by packing partly filled pages, beyond what is usual; 0 where nobody looked."""
    if condition.leaves is None:
        return 0
    unusual = sum(leaves.unused for leaves in condition.leaves) - thresholds.USUALLY_UNUSED * condition.used
    room = sum(_pages_to_spare(leaves, condition.page_size) for leaves in condition.leaves) * condition.page_size
    return max(0, min(round(unusual), room))


def _pages_to_spare(leaves: Leaves, page_size: int) -> int:
    """Rows are whole: of those that take more than half a page no two share one, however often VACUUM runs."""
    usable = page_size - PAGE_HEADER
    content = leaves.pages * usable - leaves.unused
    if not leaves.cells or content <= 0:
        return 0
    on_a_page = max(1, int(usable * leaves.cells / content))
    return max(0, leaves.pages - ceil(leaves.cells / on_a_page))


def _level(gain: int, whole: int) -> Level:
    for level, (share, least) in ((Level.NOW, thresholds.VACUUM_NOW), (Level.SOON, thresholds.VACUUM_SOON)):
        if gain >= share * whole and gain >= least:
            return level
    return Level.NONE


def _found(condition: Condition, packable: int, level: Level) -> str:
    gain = condition.free + packable
    parts = [f"{size(condition.free)} in free pages"] if condition.free else []
    parts += [f"{size(packable)} in half filled ones"] if packable else []
    unseen = f"; half filled pages not looked at ({condition.unseen})" if condition.leaves is None else ""
    if not gain:
        return f"no page is free{unseen or ', and the others are well filled'}"
    found = f"{_share(gain, condition.size)} of the file would come back: {' and '.join(parts)}"
    share, least = thresholds.VACUUM_SOON
    return (
        found
        + (f"; worth it from {share:.0%} and {least // thresholds.MB} MB on" if level is Level.NONE else "")
        + unseen
    )


def _share(part: int, whole: int) -> str:
    return "less than 1%" if part < 0.01 * whole else f"{part / whole:.0%}"


def _about(gain: int) -> str:
    return f"about {size(gain)} back"
