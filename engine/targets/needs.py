"""What tables and indexes on a server need, and the advice that sums it up: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final, TypeVar

from engine.domain.advice import Advice, Level, TargetHistory, highest_level, most_urgent_level
from engine.domain.frozen import frozen
from engine.domain.humanize import counted, listed
from engine.domain.requests import Operation
from engine.domain.steps import Facts
from engine.domain.thresholds import Thresholds

_K = TypeVar("_K")
_NOUNS: Final = {Operation.REINDEX: "index", Operation.CLEAN_LEFTOVERS: "leftover"}
"""What these operations work on; the others work on tables."""


@frozen
class Need:
    """What a table or an index needs."""

    level: Level
    reason: str
    cause: StrEnum
    gain: int = 0
    """Bytes."""
    obstacle: str = ""
    """What keeps the operation from helping, or from being run unasked; "" for nothing."""
    bytes: int | None = None
    """The size of the table or index; None: it is needed however small that is."""


def urgency(needs: Iterable[Need]) -> Level:
    """The highest level of these; NONE for no needs."""
    levels = {need.level for need in needs}
    return next((level for level in Level if level in levels), Level.NONE)


def ranked(needs: Mapping[_K, Need], name_of: Callable[[_K], str]) -> list[tuple[str, Need]]:
    """The needs by name, the most urgent first."""
    named = [(name_of(key), need) for key, need in needs.items()]
    return sorted(named, key=lambda item: (list(Level).index(item[1].level), -item[1].gain, item[0]))


def most_urgent(needs: Mapping[_K, Need], name_of: Callable[[_K], str], noun: str = "table") -> str:
    """The most urgent need in full, and the number of others; "" for none."""
    if not needs:
        return ""
    (name, first), *others = ranked(needs, name_of)
    return f"{name}: {first.reason}" + (f"; {counted(len(others), noun)} more" if others else "")


def advice_on(
    operation: Operation,
    needs: Mapping[_K, Need],
    name_of: Callable[[_K], str],
    reason: str,
    facts: Facts,
    limits: Thresholds,
) -> Advice:
    large = [need for need in needs.values() if need.bytes is None or need.bytes >= limits.small]
    return Advice(
        operation=operation,
        level=urgency(needs.values()),
        reason=reason,
        facts=facts,
        objects=tuple(map(name_of, needs)),
        level_of_large=urgency(large) if needs else None,
    )


def without_damaged(item: Advice, damaged: Sequence[str]) -> Advice:
    """Say that these tables, which are damaged, are left out."""
    if not damaged:
        return item
    reason = f"{item.reason}; left out, as damaged: {listed(damaged, 3)}"
    return replace(item, reason=reason, excluded_tables=tuple(damaged))


def in_order(advice: Sequence[Advice], past: TargetHistory) -> tuple[Advice, ...]:
    """The advice in the best order to run it: where no check is on record, one comes before all that writes."""
    return tuple(sorted(advice, key=lambda item: not past.is_checked and item.operation is not Operation.CHECK))


def optimize(single: Sequence[Advice], covers: tuple[Operation, ...], also: Collection[str] = ()) -> Advice:
    """The advice to do what these call for. `also`: further work, as text."""
    needed = [one for one in single if one.is_needed]
    unknown = [one for one in single if one.level is Level.UNKNOWN]
    texts = [f"{one.operation} of {counted(len(one.objects), _NOUNS.get(one.operation, 'table'))}" for one in needed]
    of_large = [one.level if one.level_of_large is None else one.level_of_large for one in needed]
    nothing = "nothing is known to be needed" if unknown else "nothing is needed"
    return Advice(
        operation=Operation.OPTIMIZE,
        level=highest_level(needed) if needed else Level.SOON if also else highest_level(unknown),
        reason=f"needed: {', '.join([*texts, *also])}" if texts or also else nothing,
        covers=covers,
        level_of_large=most_urgent_level([*of_large, *([Level.SOON] if also else [])]) if texts or also else None,
        excluded_tables=next((one.excluded_tables for one in single if one.excluded_tables), ()),
        inspection_can_tell=any(one.inspection_can_tell for one in unknown),
    )
