"""Whether a database should give space back: pure functions."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Final

from engine.advice import Advice, Level
from engine.jobs import Facts, Operation
from engine.targets.sqlite.advising import thresholds
from engine.values import frozen
from engine.words import size

if TYPE_CHECKING:
    from engine.targets.sqlite.advising.condition import Condition, Leaves

PAGE_HEADER: Final = 8
"""Bytes of a leaf page that no row can have."""


@frozen
class Waste:
    """Bytes that a database takes without need."""

    free: int
    """In free pages."""
    unusual: int
    """In partly filled pages, beyond what is usual; 0 where nobody looked."""
    packable: int
    """In partly filled pages, all that packing them gives back."""

    @property
    def total(self) -> int:
        return self.free + self.unusual


def waste_of(condition: Condition) -> Waste:
    if condition.leaves is None:
        return Waste(condition.free, 0, 0)
    unusual = sum(leaves.unused for leaves in condition.leaves) - thresholds.USUALLY_UNUSED * condition.used
    packable = sum(_pages_to_spare(leaves, condition.page_size) for leaves in condition.leaves) * condition.page_size
    return Waste(condition.free, max(0, min(round(unusual), packable)), packable)


def _pages_to_spare(leaves: Leaves, page_size: int) -> int:
    """Rows are whole: of those that take more than half a page no two share one, however often VACUUM runs."""
    usable = page_size - PAGE_HEADER
    content = leaves.pages * usable - leaves.unused
    if not leaves.cells or content <= 0:
        return 0
    on_a_page = max(1, int(usable * leaves.cells / content))
    return max(0, leaves.pages - ceil(leaves.cells / on_a_page))


def space_advice(condition: Condition) -> tuple[Advice, Advice]:
    """On incremental vacuum and on VACUUM; at most one of them is needed."""
    waste = waste_of(condition)
    level, found = _level(waste.total, condition.size), _found(waste, condition)
    facts: Facts = {
        "size": condition.size,
        "free_pages": condition.free_pages,
        "free_bytes": waste.free,
        "unused": None if condition.leaves is None else sum(leaves.unused for leaves in condition.leaves),
        "reclaimable_bytes": waste.total,
        "expected_bytes": waste.free + waste.packable,
    }
    page_by_page = Advice(operation=Operation.INCREMENTAL_VACUUM, level=Level.NONE, reason=found, facts=facts)
    at_once = Advice(operation=Operation.VACUUM, level=Level.NONE, reason=found, facts=facts)
    if not condition.gives_pages_back:
        why = "auto_vacuum is not incremental here, so that only VACUUM gives space back"
        page_by_page = replace(page_by_page, reason=why)
    if level is Level.NONE:
        share, least = thresholds.VACUUM_SOON
        why = f"{found}; VACUUM is worth it from {share:.0%} and {least // thresholds.MB} MB on"
        return page_by_page, replace(at_once, reason=why if waste.total else found)
    if condition.gives_pages_back and waste.free >= thresholds.MOSTLY_FREE_PAGES * waste.total:
        why = f"{found}; incremental-vacuum gives nearly all of it back, page by page"
        return (
            replace(page_by_page, level=level, gain=_about(waste.free)),
            replace(at_once, reason=why, covered_by=Operation.INCREMENTAL_VACUUM),
        )
    if condition.gives_pages_back:
        page_by_page = replace(page_by_page, reason="most of it is in pages that only VACUUM can pack")
    return page_by_page, replace(at_once, level=level, gain=_about(waste.free + waste.packable))


def _level(wasted: int, whole: int) -> Level:
    for level, (share, least) in ((Level.NOW, thresholds.VACUUM_NOW), (Level.SOON, thresholds.VACUUM_SOON)):
        if wasted >= share * whole and wasted >= least:
            return level
    return Level.NONE


def _found(waste: Waste, condition: Condition) -> str:
    parts = [f"{size(waste.free)} in free pages"] if waste.free else []
    parts += [f"{size(waste.unusual)} in half filled ones"] if waste.unusual else []
    unseen = f"; half filled pages not looked at ({condition.unseen})" if condition.leaves is None else ""
    if not parts:
        return f"no page is free{unseen or ', and the others are well filled'}"
    return f"{_share(waste.total, condition.size)} of the file is wasted: {' and '.join(parts)}{unseen}"


def _share(part: int, whole: int) -> str:
    return "less than 1%" if part < 0.01 * whole else f"{part / whole:.0%}"


def _about(gain: int) -> str:
    return f"about {size(gain)} back"
