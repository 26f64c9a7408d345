"""Advice on the statistics of the query planner: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.advice import Advice, Level, not_needed
from engine.domain.humanize import counted, listed, size
from engine.domain.requests import Operation
from engine.domain.steps import Facts
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.thresholds import Cause

if TYPE_CHECKING:
    from engine.targets.sqlite.advising.condition import Condition, Statistics


def statistics_advice(condition: Condition) -> tuple[Advice, Advice]:
    """Advice on ANALYZE and on optimize. At most one is needed.

    Optimize is quick: it analyzes only tables without statistics or with statistics that are ten times off, and
    reads a limited number of rows.
    """
    cannot = condition.obstacles.analyze
    stale = sorted((s for s in condition.statistics if change(s) >= thresholds.STALE_FACTOR), key=change, reverse=True)
    missing = [s for s in condition.statistics if s.missing]
    left_out = [s.table for s in (*stale, *missing) if s.table in cannot]
    stale = [s for s in stale if s.table not in cannot]
    missing = [s for s in missing if s.table not in cannot]
    because = _left_out(list(dict.fromkeys(left_out)), cannot)
    uncounted = sum(s.unseen for s in condition.statistics)
    facts: Facts = {
        "tables": len(condition.statistics),
        "tables_not_counted": uncounted,
        "tables_stale": len(stale),
        "indexes_without_statistics": sum(len(s.missing) for s in missing),
    }
    if not stale and not missing:
        level, why = Level.UNKNOWN if uncounted else Level.NONE, _in_order(condition, uncounted) + because
        analyze = Advice(operation=Operation.ANALYZE, level=level, reason=why, facts=facts)
        return analyze, replace(analyze, operation=Operation.OPTIMIZE)
    if stale:
        wrong = change(stale[0]) >= thresholds.WRONG_FACTOR
        why = "; ".join(filter(None, (_stale(stale), _missing(missing)))) + because
        return _one_for_both(
            Cause.STALE_STATISTICS,
            Level.NOW if wrong else Level.SOON,
            why,
            f"run ANALYZE: optimize renews only statistics that are about {thresholds.WRONG_FACTOR} times off",
            facts,
            tuple(cannot),
        )
    if condition.used <= thresholds.SMALL:
        why = f"{_missing(missing)}; ANALYZE is quick on {size(condition.used)}{because}"
        instead = "ANALYZE does more, and is quick here"
        return _one_for_both(Cause.MISSING_STATISTICS, Level.SOON, why, instead, facts, tuple(cannot))
    why = f"{_missing(missing)}; optimize samples them{because}"
    instead = f"{_missing(missing)}: optimize is enough"
    return _one_for_both(Cause.MISSING_STATISTICS_OF_MUCH, Level.SOON, why, instead, facts)


def change(statistics: Statistics) -> float:
    """The factor between the real rows and the statistics; 1 where unknown."""
    rows, known = statistics.rows, statistics.known_rows
    if rows is None or known is None or max(rows, known) < thresholds.ROWS_THAT_MATTER:
        return 1.0
    return max(rows, known) / max(min(rows, known), 1)


def _one_for_both(
    cause: Cause, level: Level, why: str, instead: str, facts: Facts, excluded_tables: tuple[str, ...] = ()
) -> tuple[Advice, Advice]:
    samples = cause is Cause.MISSING_STATISTICS_OF_MUCH
    needed, other = (Operation.OPTIMIZE, Operation.ANALYZE) if samples else (Operation.ANALYZE, Operation.OPTIMIZE)
    called_for = Advice(
        operation=needed,
        level=level,
        cause=cause,
        reason=why,
        gain="better plans for queries",
        facts=facts,
        excluded_tables=excluded_tables,
    )
    covered = not_needed(other, instead, facts, covered_by=needed)
    return (covered, called_for) if samples else (called_for, covered)


def _left_out(tables: Sequence[str], cannot: Mapping[str, str]) -> str:
    """Which tables cannot be analyzed here, and why; "" for none."""
    if not tables:
        return ""
    return f"; {listed(tables)} cannot be analyzed here: {cannot[tables[0]]}, which only its application has"


def _stale(stale: Sequence[Statistics]) -> str:
    first = stale[0]
    more = f", and {counted(len(stale) - 1, 'table')} more" if len(stale) > 1 else ""
    return f"{first.table} has {first.rows or 0:,} rows, its statistics say {first.known_rows or 0:,}{more}"


def _missing(missing: Sequence[Statistics]) -> str:
    if not missing:
        return ""
    indexes = sum(len(s.missing) for s in missing)
    where = missing[0].table if len(missing) == 1 else counted(len(missing), "table")
    return f"{counted(indexes, 'index')} of {where} without statistics"


def _in_order(condition: Condition, uncounted: int) -> str:
    if not condition.indexes:
        return "there is no index: the query planner has nothing to choose"
    fitting = sum(s.known_rows is not None and not s.unseen for s in condition.statistics)
    texts = [f"the statistics fit the rows of {counted(fitting, 'table')}"] if fitting else []
    texts += [f"the rows of {counted(uncounted, 'table')} were not counted"] if uncounted else []
    return "; ".join(texts) or f"no indexed table has {thresholds.ROWS_THAT_MATTER:,} rows"
