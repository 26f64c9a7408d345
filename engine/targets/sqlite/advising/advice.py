"""Advice on a SQLite database, from its condition and its history: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.domain.advice import CRITICAL, NEEDS_SOUND_DATA, Advice, Level, TargetHistory, not_needed
from engine.domain.humanize import counted, format_age, listed, size
from engine.domain.requests import Operation
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.system.wal_checkpoint import FIXED_IN
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.check_advice import (
    NO_FULL_CHECK,
    cannot_be_rebuilt,
    changed_since,
    check_advice,
    days_since,
)
from engine.targets.sqlite.advising.condition import Condition
from engine.targets.sqlite.advising.space_advice import space_advice
from engine.targets.sqlite.advising.statistics_advice import statistics_advice
from engine.targets.sqlite.advising.thresholds import Cause


def advise(condition: Condition, past: TargetHistory, limits: Thresholds = DEFAULT_THRESHOLDS) -> tuple[Advice, ...]:
    """Advice on every operation, in the best order to run them. A damaged file gets no advice that writes to it.

    Damaged indexes come first, because VACUUM copies the damage. Statistics come after VACUUM, and the check last.
    """
    incremental, vacuum = space_advice(condition, past, limits)
    check = check_advice(condition, past, limits)
    advice: tuple[Advice, ...] = (
        _reindex(condition, past),
        vacuum,
        incremental,
        *(_of_a_file(one, condition, limits) for one in (*statistics_advice(condition), _fts_optimize(condition))),
        _with_library(_checkpoint(condition, limits, after_vacuum=vacuum.is_needed), condition),
        check,
        _backup(past),
    )
    advice = tuple(item if item is check else _unless_just_run(item, condition, past) for item in advice)
    if past.damage is None:
        return tuple(_with_check_first(item, advice) if item is check else item for item in advice)
    return tuple(item if item is check else _not_while_damaged(item, past) for item in advice)


def _of_a_file(item: Advice, condition: Condition, limits: Thresholds) -> Advice:
    """A small file is fast with any statistics and segments."""
    return replace(item, level_of_large=Level.NONE) if condition.used < limits.small else item


def _unless_just_run(item: Advice, condition: Condition, past: TargetHistory) -> Advice:
    """Drop the need for an operation that has run already, if nothing was written since."""
    ran = past.ran.get(item.operation)
    is_called_for = item.is_needed or item.covered_by is not None
    if ran is None or not is_called_for or item.objects or changed_since(ran.at, condition):
        return item
    reason = f"{item.reason}; #{ran.job} ran it, and nothing was written since: running it again changes nothing"
    return replace(item, level=Level.NONE, cause="", reason=reason, gain="", covered_by=None)


def _with_check_first(check: Advice, advice: Sequence[Advice]) -> Advice:
    writes = any(item.is_needed and item.operation in NEEDS_SOUND_DATA for item in advice)
    if check.before_writing is None or check.is_needed or not writes:
        return check
    return replace(check, reason=f"{check.reason}; a quick check runs first: the database has changed since")


def _not_while_damaged(item: Advice, past: TargetHistory) -> Advice:
    """Advises nothing on a damaged database, not even a backup: VACUUM INTO fails there, or copies wrong data."""
    return not_needed(item.operation, f"{past.damage_found}: restore a backup or use .recover first", item.facts)


def _reindex(condition: Condition, past: TargetHistory) -> Advice:
    cannot = cannot_be_rebuilt(condition, past)
    there = tuple(name for name in past.damaged_indexes if name in condition.indexes)
    damaged = tuple(name for name in there if name not in cannot)
    if there and not damaged:
        reason = f"{listed(there)} cannot be rebuilt here: {cannot[there[0]]}"
        return not_needed(Operation.REINDEX, reason, {"damaged_indexes": list(there)})
    if not damaged:
        reason = f"{_no_damaged_index(condition, past)}; VACUUM already packs indexes"
        return not_needed(Operation.REINDEX, reason, {"damaged_indexes": []})
    return Advice(
        operation=Operation.REINDEX,
        level=Level.NOW,
        cause=Cause.DAMAGED_INDEXES,
        reason=f"the last check found {counted(len(damaged), 'index')} damaged: {listed(damaged)}",
        gain="right answers from queries that use them",
        facts={"severity": CRITICAL, "damaged_indexes": damaged},
        objects=damaged,
    )


def _no_damaged_index(condition: Condition, past: TargetHistory) -> str:
    if rebuilt := [name for name in past.rebuilt_indexes if name in condition.indexes]:
        return f"the last check found {counted(len(rebuilt), 'index')} damaged, rebuilt since: {listed(rebuilt)}"
    if past.accepted_damage:
        return "no damage of an index is on record beside what a person took note of"
    if past.compared_at is None:
        return NO_FULL_CHECK
    if past.damaged_indexes or past.rebuilt_indexes:
        return "the indexes that the last check found damaged are gone"
    return "the last full check found no damaged index"


def _fts_optimize(condition: Condition) -> Advice:
    operation, cannot = Operation.FTS_OPTIMIZE, condition.obstacles.merge
    segments = {name: number for name, number in condition.segments.items() if name not in cannot}
    facts = {"full_text_indexes": len(segments), "segments": max(segments.values(), default=0)}
    if cannot and max(segments.values(), default=0) <= thresholds.SEGMENTS:
        name, why = next(iter(cannot.items()))
        reason = f"{name} has {counted(condition.segments[name], 'segment')} and cannot be merged here: {why}"
        return not_needed(operation, reason, facts)
    if not segments:
        return not_needed(operation, "there is no full-text index (FTS5)", facts)
    name, most = max(segments.items(), key=lambda item: item[1])
    found = f"{name} has {counted(most, 'segment')}"
    if most <= thresholds.SEGMENTS:
        return not_needed(operation, f"{found}; the threshold is {thresholds.SEGMENTS}", facts)
    many = sum(count > thresholds.SEGMENTS for count in segments.values())
    reason = f"{found}, more than {thresholds.SEGMENTS}" + (f", and {many - 1:,} more like it" if many > 1 else "")
    gain = "fewer segments to search"
    return Advice(
        operation=operation, level=Level.SOON, cause=Cause.MANY_SEGMENTS, reason=reason, gain=gain, facts=facts
    )


def many_segments(condition: Condition) -> list[str]:
    """The full-text indexes that need a merge."""
    return [name for name, number in condition.segments.items() if number > thresholds.SEGMENTS]


def _checkpoint(condition: Condition, limits: Thresholds, *, after_vacuum: bool) -> Advice:
    operation, log = Operation.CHECKPOINT, condition.wal_size
    facts = {"wal_size": log, "size": condition.size}
    if not condition.is_wal:
        return not_needed(operation, "there is no write-ahead log: the database is not in WAL mode", facts)
    if not log:
        return not_needed(operation, "the write-ahead log is empty", facts)
    found = f"the write-ahead log is {size(log)} long"
    limit = max(limits.log_size, limits.log_share * condition.size)
    if log <= limit:
        return not_needed(operation, f"{found}, less than {size(limit)}", facts)
    if after_vacuum:
        return not_needed(operation, f"{found}; VACUUM empties it too", facts, covered_by=Operation.VACUUM)
    reason, back = f"{found}, more than {size(limit)}", log - condition.only_in_log
    if condition.obstacles.replicated:
        return not_needed(operation, f"{reason}; it needs --force: {condition.obstacles.replicated}", facts)
    gain = f"about {size(back)} back" if 2 * back > log else ""
    return Advice(operation=operation, level=Level.SOON, cause=Cause.LONG_LOG, reason=reason, gain=gain, facts=facts)


def _with_library(checkpoint: Advice, condition: Condition) -> Advice:
    """Names the bug of SQLite that an application may meet; no operation of dbtend can mend it."""
    version = condition.library_loses_commits
    if version is None or not condition.is_wal:
        return checkpoint
    bug = (
        f"an application that uses SQLite {version}, as dbtend does here, can lose commits at its own checkpoints:"
        f" it needs {FIXED_IN}"
    )
    facts = {**checkpoint.facts, "library_loses_commits": version}
    return replace(checkpoint, reason=f"{checkpoint.reason}; {bug}", facts=facts)


def _backup(past: TargetHistory) -> Advice:
    at = past.backed_up_at
    since = "" if at is None else format_age((past.now - at) / 1e6)
    last = f"the last one made here completed {since}" if since else "none was made here lately"
    facts = {"days_since_backup": days_since(at, past.now)}
    return not_needed(Operation.BACKUP, f"{last}; dbtend does not know of other backups", facts)
