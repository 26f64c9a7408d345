"""Whether VACUUM or incremental-vacuum is worth it: reclaimable bytes against thresholds. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Final

from engine.domain.advice import Advice, Level, TargetHistory, not_needed
from engine.domain.frozen import frozen
from engine.domain.humanize import size, whole_size
from engine.domain.requests import Operation
from engine.domain.steps import Facts
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.condition import Condition, Leaves, Packing
from engine.targets.sqlite.advising.thresholds import Cause

PAGE_HEADER: Final = 8
"""Bytes of a leaf page that hold no rows."""
ALL_ALIKE: Final = 1.25
"""Rows count as of one size if the largest is at most this many times the average."""
LEAST_SHARE: Final = 0.01
"""Smaller shares are shown as "less than"."""


@frozen
class Waste:
    """Reclaimable bytes of a database."""

    free: int
    """Bytes in free pages."""
    packable: int
    """Bytes that packing partly filled pages gives back; 0 where the pages were not read."""

    @property
    def total(self) -> int:
        return self.free + self.packable


def waste_of(condition: Condition) -> Waste:
    packing = packing_of(condition)
    return Waste(condition.free, 0 if packing is None else packing.packable)


def packing_of(condition: Condition) -> Packing | None:
    """How the pages are filled; None where they were not read."""
    if condition.leaves is None:
        return condition.packing
    return Packing(
        packable=sum(_pages_to_spare(leaves, condition.page_size) for leaves in condition.leaves) * condition.page_size,
        unused=sum(leaves.unused for leaves in condition.leaves),
    )


def _pages_to_spare(leaves: Leaves, page_size: int) -> int:
    """How many leaf pages VACUUM would free. Rows are not split: two rows of more than half a page never share one.

    Of rows of one size, as many as possible fill a page. Of rows of mixed sizes, on average half a row stays empty.
    """
    usable = page_size - PAGE_HEADER
    content = leaves.pages * usable - leaves.unused
    if not leaves.cells or content <= 0:
        return 0
    room = usable * leaves.cells / content
    all_alike = leaves.largest <= ALL_ALIKE * content / leaves.cells
    on_a_page = max(1.0, float(int(room)) if all_alike else room - 0.5)
    return max(0, leaves.pages - ceil(leaves.cells / on_a_page))


def space_advice(
    condition: Condition, past: TargetHistory, limits: Thresholds = DEFAULT_THRESHOLDS
) -> tuple[Advice, Advice]:
    """Advice on incremental vacuum and on VACUUM. At most one is needed."""
    packing = packing_of(condition)
    condition = replace(condition, packing=packing, leaves=None)  # drops a long tuple
    waste = waste_of(condition)
    level, reason = _level(waste, condition, limits), _reclaimable(condition)
    if level is Level.UNKNOWN and (packed := _recently_vacuumed(condition, past, limits)):
        level, reason = Level.NONE, packed
    facts: Facts = {
        "size": condition.size,
        "free_pages": condition.free_pages,
        "free_bytes": waste.free,
        "unused": None if packing is None else packing.unused,
        "reclaimable_bytes": waste.total,
    }
    if (condition.obstacles.vacuum or condition.obstacles.replicated) and level in thresholds.URGENT:
        return _without_vacuum(condition, level, reason, facts, limits)
    page_by_page = not_needed(Operation.INCREMENTAL_VACUUM, reason, facts)
    at_once = Advice(
        operation=Operation.VACUUM,
        level=level,
        cause=Cause.WASTED_SPACE if level in thresholds.URGENT else "",
        reason=reason,
        facts=facts,
    )
    if not condition.gives_pages_back:
        why = "auto_vacuum is not incremental: only VACUUM gives space back"
        page_by_page = replace(page_by_page, reason=why)
    if level is Level.NONE:
        share, least = limits.reclaim_soon_share, whole_size(limits.reclaim_soon)
        why = f"{reason}; VACUUM is worth it from {share:.0%} and {least} on"
        return page_by_page, replace(at_once, reason=why if waste.total else reason)
    if level is Level.UNKNOWN:
        return page_by_page, at_once
    if condition.gives_pages_back and waste.free >= thresholds.MOSTLY_FREE_PAGES * waste.total:
        why = f"{reason}; incremental-vacuum gives nearly all of it back, page by page"
        return (
            replace(page_by_page, level=level, cause=Cause.FREE_PAGES, gain=f"about {size(waste.free)} back"),
            replace(at_once, level=Level.NONE, cause="", reason=why, covered_by=Operation.INCREMENTAL_VACUUM),
        )
    if condition.gives_pages_back:
        page_by_page = replace(page_by_page, reason="most of the space is in pages that only VACUUM can pack")
    return page_by_page, replace(at_once, gain=f"{_precision(condition)} {size(waste.total)} back")


def _without_vacuum(
    condition: Condition, level: Level, reason: str, facts: Facts, limits: Thresholds
) -> tuple[Advice, Advice]:
    """Advice where VACUUM cannot run, or not without a yes; incremental vacuum may still free pages."""
    found = condition.obstacles
    why_not = f"VACUUM cannot run: {found.vacuum}" if found.vacuum else f"VACUUM needs --force: {found.replicated}"
    vacuum = not_needed(Operation.VACUUM, f"{reason}; {why_not}", facts)
    free = Waste(condition.free, 0)
    level_of_free = _level(free, condition, limits)
    if not condition.gives_pages_back or level_of_free not in thresholds.URGENT:
        why = "auto_vacuum is not incremental here" if not condition.gives_pages_back else reason
        return not_needed(Operation.INCREMENTAL_VACUUM, why, facts), vacuum
    page_by_page = Advice(
        operation=Operation.INCREMENTAL_VACUUM,
        level=level_of_free,
        cause=Cause.FREE_PAGES,
        reason=reason,
        gain=f"about {size(free.free)} back",
        facts=facts,
    )
    return page_by_page, vacuum


def _level(waste: Waste, condition: Condition, limits: Thresholds) -> Level:
    for level, share, least in (
        (Level.NOW, limits.reclaim_now_share, limits.reclaim_now),
        (Level.SOON, limits.reclaim_soon_share, limits.reclaim_soon),
    ):
        if waste.total and waste.total >= share * condition.size and waste.total >= least:
            return level
    is_unknown = packing_of(condition) is None and condition.size >= limits.reclaim_soon
    return Level.UNKNOWN if is_unknown else Level.NONE


def _recently_vacuumed(condition: Condition, past: TargetHistory, limits: Thresholds) -> str:
    """That VACUUM packed the pages and little was written since, as text; "" where unknown.

    The size of the log bounds the writes since then, if the file itself did not change.
    """
    run = past.vacuumed
    if run is None or condition.changed_at is None or condition.changed_at > run.at:
        return ""
    vacuumed = f"vacuumed by #{run.job}"
    if condition.log_changed_at is None or condition.log_changed_at <= run.at:
        return f"{vacuumed}, and nothing was written since"
    if condition.free + condition.wal_size >= limits.reclaim_soon_share * condition.size:
        return ""
    return f"{vacuumed}, and at most {size(condition.wal_size)} were written since"


def _reclaimable(condition: Condition) -> str:
    """How much is wasted, and where: `about 33% of the file is reclaimable: 1.00 MB in free pages and ...`."""
    waste, unseen = waste_of(condition), ""
    if packing_of(condition) is None:
        unseen = f"; partly filled pages were not measured ({condition.unseen})"
    if not waste.total:
        return f"no page is free{unseen or ', and the other pages are well filled'}"
    parts = [f"{size(waste.free)} in free pages"] if waste.free else []
    parts += [f"{size(waste.packable)} in partly filled pages"] if waste.packable else []
    share = min(waste.total / max(condition.size, 1), 1.0)  # a damaged header may count more free pages than there are
    share_text = f"{_precision(condition)} {share:.0%} of the file is reclaimable"
    if share < LEAST_SHARE:
        if unseen:
            return f"{size(waste.free)} are in free pages{unseen}"
        share_text = "less than 1% of the file is reclaimable"
    return f"{share_text}: {' and '.join(parts)}{unseen}"


def _precision(condition: Condition) -> str:
    return "at least" if packing_of(condition) is None else "about"
