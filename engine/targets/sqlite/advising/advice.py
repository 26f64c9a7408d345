"""What a SQLite database needs, from its condition and its past: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.advice import Advice, Level, Past
from engine.jobs import CheckLevel, Micros, Operation
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.space_advice import space_advice
from engine.targets.sqlite.advising.statistics_advice import statistics_advice
from engine.words import counted, listed, size

if TYPE_CHECKING:
    from engine.targets.sqlite.advising.condition import Condition


def advise(condition: Condition, past: Past) -> tuple[Advice, ...]:
    """Advice on every operation, in the order in which those that are needed are best run.

    Damaged indexes come first, as VACUUM would copy them as they are; statistics are collected from the packed
    file, and the check looks at what all this has left.
    """
    incremental, vacuum = space_advice(condition)
    return (
        _reindex(condition, past),
        vacuum,
        incremental,
        *statistics_advice(condition),
        _fts_optimize(condition),
        _checkpoint(condition, after_vacuum=vacuum.is_needed),
        _check(past),
        _backup(past),
    )


def _reindex(condition: Condition, past: Past) -> Advice:
    damaged = tuple(name for name in past.damaged_indexes if name in condition.indexes)
    if not damaged:
        reason = f"{_no_damaged_index(condition, past)}; VACUUM already packs indexes"
        return Advice(operation=Operation.REINDEX, level=Level.NONE, reason=reason, facts={"damaged_indexes": []})
    return Advice(
        operation=Operation.REINDEX,
        level=Level.NOW,
        reason=f"the last check found {counted(len(damaged), 'index')} damaged: {listed(damaged)}",
        gain="right answers from queries that use them",
        facts={"damaged_indexes": damaged},
        objects=damaged,
    )


def _no_damaged_index(condition: Condition, past: Past) -> str:
    if rebuilt := [name for name in past.rebuilt_indexes if name in condition.indexes]:
        return f"the last check found {counted(len(rebuilt), 'index')} damaged, rebuilt since: {listed(rebuilt)}"
    if past.checked_at:
        return "no check found a damaged index"
    if past.damage is not None or past.broken_rule is not None:
        return "the last check found no damaged index"
    return "not checked yet"


def _fts_optimize(condition: Condition) -> Advice:
    operation, segments = Operation.FTS_OPTIMIZE, condition.segments
    facts = {"full_text_indexes": len(segments), "segments": max(segments.values(), default=0)}
    if not segments:
        return Advice(operation=operation, level=Level.NONE, reason="there is no full-text index (FTS5)", facts=facts)
    name, most = max(segments.items(), key=lambda item: item[1])
    found = f"{name} has {counted(most, 'segment')}"
    if most <= thresholds.SEGMENTS:
        reason = f"{found}, and up to {thresholds.SEGMENTS} are usual"
        return Advice(operation=operation, level=Level.NONE, reason=reason, facts=facts)
    many = sum(count > thresholds.SEGMENTS for count in segments.values())
    reason = f"{found}, more than {thresholds.SEGMENTS}" + (f", and {many - 1:,} more like it" if many > 1 else "")
    gain = "fewer segments to search"
    return Advice(operation=operation, level=Level.SOON, reason=reason, gain=gain, facts=facts)


def _checkpoint(condition: Condition, *, after_vacuum: bool) -> Advice:
    operation, log = Operation.CHECKPOINT, condition.wal_size
    facts = {"wal_size": log, "size": condition.size}
    if not condition.is_wal:
        reason = "there is no write-ahead log: the database is not in WAL mode"
        return Advice(operation=operation, level=Level.NONE, reason=reason, facts=facts)
    if not log:
        return Advice(operation=operation, level=Level.NONE, reason="the write-ahead log is empty", facts=facts)
    found = f"the write-ahead log is {size(log)} long"
    limit = max(thresholds.LOG_SIZE, thresholds.LOG_SHARE * condition.size)
    if log <= limit:
        return Advice(operation=operation, level=Level.NONE, reason=f"{found}, less than {size(limit)}", facts=facts)
    if after_vacuum:
        reason = f"{found}; VACUUM empties it, too"
        return Advice(operation=operation, level=Level.NONE, reason=reason, facts=facts, covered_by=Operation.VACUUM)
    reason, gain = f"{found}, more than {size(limit)}", f"about {size(log)} back"
    return Advice(operation=operation, level=Level.SOON, reason=reason, gain=gain, facts=facts)


def _check(past: Past) -> Advice:
    level, due, reason = _due_check(past)
    return Advice(
        operation=Operation.CHECK,
        level=level,
        reason=reason,
        facts={
            "days_since_full_check": _days(past.checked_at.get(CheckLevel.FULL), past.now),
            "days_since_quick_check": _days(past.checked_at.get(CheckLevel.QUICK), past.now),
            "found": past.damage or past.broken_rule,
        },
        check=due,
    )


def _due_check(past: Past) -> tuple[Level, CheckLevel | None, str]:
    full, quick = (past.checked_at.get(level) for level in (CheckLevel.FULL, CheckLevel.QUICK))
    if past.damage is not None:
        reason = f"the last check found damage ({past.damage}); restore a backup or use .recover, then check again"
        return Level.NOW, CheckLevel.FULL, reason
    if past.damaged_indexes:
        return Level.SOON, CheckLevel.FULL, "to be checked again once the damaged indexes are rebuilt"
    if past.broken_rule is not None:
        reason = f"the last check found what is no damage ({past.broken_rule})"
        return (
            Level.SOON,
            CheckLevel.FULL,
            f"{reason}: to put that right is up to whoever knows the data, then check again",
        )
    if past.rebuilt_indexes:
        return Level.SOON, CheckLevel.FULL, "to be checked again: the damaged indexes were rebuilt since the last check"
    if full is None and quick is None:
        # On a big file a quick check takes a tenth of the time, and tells whether there is reason to hurry.
        return Level.SOON, CheckLevel.QUICK, "no clean check on record: a quick one first, a full one the next time"
    if full is None or past.now - full > thresholds.FULL_CHECK_EVERY:
        last = "no clean full check on record" if full is None else f"the last clean full check was {_ago(full, past)}"
        return Level.SOON, CheckLevel.FULL, f"{last}; one is due every {_in_days(thresholds.FULL_CHECK_EVERY)}"
    latest = max(full, quick or 0)
    if past.now - latest > thresholds.QUICK_CHECK_EVERY:
        reason = f"the last clean check was {_ago(latest, past)}; a quick one is due every"
        return Level.SOON, CheckLevel.QUICK, f"{reason} {_in_days(thresholds.QUICK_CHECK_EVERY)}"
    return Level.NONE, None, f"the last clean check was {_ago(latest, past)}, the last full one {_ago(full, past)}"


def _backup(past: Past) -> Advice:
    at = past.backed_up_at
    last = "none was made here lately" if at is None else f"the last one made here completed {_ago(at, past)}"
    return Advice(
        operation=Operation.BACKUP,
        level=Level.NONE,
        reason=f"{last}; others are not known here",
        facts={"days_since_backup": _days(at, past.now)},
    )


def _days(at: Micros | None, now: Micros) -> int | None:
    return None if at is None else max(0, (now - at) // thresholds.DAY)


def _ago(at: Micros, past: Past) -> str:
    days = _days(at, past.now) or 0
    return f"{counted(days, 'day')} ago" if days else "less than a day ago"


def _in_days(micros: Micros) -> str:
    return counted(micros // thresholds.DAY, "day")
