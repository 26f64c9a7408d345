"""Advice on a DuckDB file: pure."""

from __future__ import annotations

from engine.domain.advice import CRITICAL, Advice, Level, TargetHistory, not_needed
from engine.domain.humanize import size
from engine.domain.requests import CheckLevel, Operation
from engine.domain.steps import Facts
from engine.domain.thresholds import Thresholds
from engine.targets.check_policy import damage_advice, due_check, found_in
from engine.targets.duckdb.contents import Contents


def advise(contents: Contents, past: TargetHistory, limits: Thresholds, *, file: int, log: int) -> tuple[Advice, ...]:
    """Advice on every operation, in the best order to run them. `file`, `log`: bytes."""
    check = due_check(past, limits).advice
    if past.damage is not None:
        reason = f"{found_in(past.damaged_tables, past)}: restore a backup, then check again"
        check = damage_advice(reason, "damage", {"found": past.damage, "severity": CRITICAL}, CheckLevel.FULL)
    advice = (
        _compact(contents, limits, file),
        _checkpoint(limits, file, log),
        not_needed(Operation.ANALYZE, "DuckDB renews statistics by itself as rows are written"),
        check,
        not_needed(Operation.BACKUP, "dbtend does not know of other backups"),
    )
    if past.damage is None:
        return advice
    return tuple(
        item if item is check else not_needed(item.operation, "the file is damaged: restore a backup first", item.facts)
        for item in advice
    )


def _compact(contents: Contents, limits: Thresholds, file: int) -> Advice:
    free = contents.free_blocks * contents.block_size
    facts: Facts = {
        "free_bytes": free,
        "reclaimable_bytes": free,
        "size": file,
        "storage_version": contents.storage_version,
    }
    share = free / file if file else 0.0
    reason = f"{size(free)} of {size(file)} are free blocks ({share:.0%})"
    level = Level.NONE
    if free >= limits.reclaim_soon and share >= limits.reclaim_soon_share:
        is_much = free >= limits.reclaim_now and share >= limits.reclaim_now_share
        level = Level.NOW if is_much else Level.SOON
    if level is Level.NONE:
        return not_needed(Operation.COMPACT, reason, facts)
    gain = f"about {size(free)} back"
    return Advice(operation=Operation.COMPACT, level=level, cause="wasted space", reason=reason, gain=gain, facts=facts)


def _checkpoint(limits: Thresholds, file: int, log: int) -> Advice:
    operation = Operation.CHECKPOINT
    facts: Facts = {"wal_size": log, "size": file}
    if not log:
        return not_needed(operation, "the write-ahead log is empty", facts)
    limit = max(limits.log_size, limits.log_share * file)
    reason = f"the write-ahead log is {size(log)} long"
    if log <= limit:
        return not_needed(operation, f"{reason}, less than {size(limit)}", facts)
    reason = f"{reason}, more than {size(limit)}: it is read again whenever the file is opened"
    return Advice(operation=operation, level=Level.SOON, cause="long log", reason=reason, facts=facts)
