"""Advice on checks, from the findings and dates of the last ones: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.domain.advice import CRITICAL, Advice, CheckCause, Level, TargetHistory
from engine.domain.damage import seen_by
from engine.domain.humanize import counted
from engine.domain.requests import CheckLevel, Operation
from engine.domain.steps import Micros
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.check_policy import DAY, ago, due_check, is_accepted
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.thresholds import Cause

if TYPE_CHECKING:
    from engine.targets.sqlite.advising.condition import Condition


NO_FULL_CHECK: Final = "no full check on record: only that compares indexes with their tables"


def check_advice(condition: Condition, past: TargetHistory, limits: Thresholds = DEFAULT_THRESHOLDS) -> Advice:
    level, due, cause, reason = _due_check(condition, past, limits)
    if condition.obstacles.check and level is not Level.NONE and past.damage is None:
        reason = f"nothing can be checked here: {condition.obstacles.check}"
        level, due, cause = Level.UNKNOWN, None, None
    cannot = cannot_be_rebuilt(condition, past)
    to_rebuild = [name for name in past.damaged_indexes if name not in cannot]
    needs_manual_fix = past.damage is not None or (
        not to_rebuild and (past.broken_rule is not None or bool(past.damaged_indexes))
    )
    return Advice(
        operation=Operation.CHECK,
        level=level,
        cause=cause or "",
        reason=reason,
        facts={
            "days_since_full_check": days_since(past.checked_at.get(CheckLevel.FULL), past.now),
            "days_since_quick_check": days_since(past.checked_at.get(CheckLevel.QUICK), past.now),
            "found": past.damage or past.broken_rule,
            **({"severity": CRITICAL} if past.damage is not None else {}),
        },
        check=due,
        inspection_can_tell=False,
        before_writing=None if condition.obstacles.check else _before_writing(due, condition, past, limits),
        needs_manual_fix=needs_manual_fix and _would_find_the_same(condition, past, limits),
    )


def cannot_be_rebuilt(condition: Condition, past: TargetHistory) -> dict[str, str]:
    """The damaged indexes that REINDEX cannot rebuild, each with the reason."""
    in_vain = {name: f"REINDEX has failed (#{job})" for name, job in past.failed_rebuilds.items()}
    return {**in_vain, **condition.obstacles.reindex}


def _before_writing(
    due: CheckLevel | None, condition: Condition, past: TargetHistory, limits: Thresholds
) -> CheckLevel | None:
    """The check to run before writing; None where the last one still tells the state of the file."""
    if past.known_damage:
        return CheckLevel.FULL
    if past.accepted_at is not None:
        return None if is_accepted(past, limits) else due
    checked_at = [*past.checked_at.values(), *([past.found.at] if past.found is not None else [])]
    if checked_at and not changed_since(max(checked_at), condition):
        return None
    return due or CheckLevel.QUICK


def _would_find_the_same(condition: Condition, past: TargetHistory, limits: Thresholds) -> bool:
    """Whether another check would find the same: nothing was written since, and the last one was complete; or what it
    would find a person took note of."""
    if is_accepted(past, limits):
        return True
    found = past.found
    if found is None or changed_since(found.at, condition):
        return False
    is_all = found.is_all or past.damage is not None or bool(past.failed_rebuilds)
    checked_at = found.at if is_all else past.compared_at
    return checked_at is not None and past.now - checked_at <= limits.full_check_every * 1e6


def changed_since(at: Micros, condition: Condition) -> bool:
    written = (condition.changed_at, condition.log_changed_at)
    return any(one is not None and one > at for one in written)


def _due_check(
    condition: Condition, past: TargetHistory, limits: Thresholds
) -> tuple[Level, CheckLevel | None, Cause | CheckCause | None, str]:
    if past.damage is not None:
        found = seen_by(past.damage_by) if past.damage_by is not None else _found("damage", condition, past)
        reason = f"{found}: restore a backup or use .recover, then check again ({past.damage})"
        return Level.NOW, CheckLevel.FULL, Cause.DAMAGE, reason
    if past.damaged_indexes:
        found = _found(f"{counted(len(past.damaged_indexes), 'index')} damaged", condition, past)
        return Level.SOON, CheckLevel.FULL, Cause.INDEXES_FOUND_DAMAGED, f"{found}: {_repair(condition, past)}"
    if past.broken_rule is not None:
        what, them = _broken_rules(past)
        do = f"repair {them}, then check again"
        if past.compared_at is None and past.found is not None and not past.found.is_all:
            do = f"repair {them}; {NO_FULL_CHECK}"
        return (
            Level.SOON,
            CheckLevel.FULL,
            Cause.BROKEN_RULE,
            f"{_found(what, condition, past)}: {do} ({past.broken_rule})",
        )
    due = due_check(past, limits)
    return due.urgency, due.level, due.cause, due.reason


def _repair(condition: Condition, past: TargetHistory) -> str:
    if {*past.damaged_indexes} <= past.failed_rebuilds.keys() - condition.obstacles.reindex.keys():
        return f"REINDEX has failed (#{max(past.failed_rebuilds.values())}): restore a backup or use .recover"
    return "reindex, then check again"


def _found(what: str, condition: Condition, past: TargetHistory) -> str:
    """`found 3 orphans 5 h ago (#12)`."""
    if past.found is None:
        return f"the last check found {what}"
    since = ", and the database has changed since" if changed_since(past.found.at, condition) else ""
    # Under an hour the number of the job is enough.
    is_new = past.now - past.found.at < thresholds.HOUR
    when = "" if is_new else f" {ago(past.found.at, past)}"
    return f"found {what}{when} (#{past.found.job}){since}"


def _broken_rules(past: TargetHistory) -> tuple[str, str]:
    """`3 orphans`, and the pronoun for them."""
    number, noun = (past.found.findings, "broken rule") if past.found else (1, "broken rule")
    if past.found and past.found.orphans:
        number, noun = past.found.orphans, "orphan"
    return counted(number, noun), "it" if number == 1 else "them"


def days_since(at: Micros | None, now: Micros) -> int | None:
    return None if at is None else max(0, (now - at) // DAY)
