"""How urgent a target is, and why: pure functions of what an inspection found.

A level is that of the advice as it is shown, or critical. Bytes count: small tables make a target `small`, and a check
that is due `unchecked`. A target that needs nothing soon is `unknown` unless everything but checks was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.advice import CRITICAL, Advice, Level, OldIds, TargetHistory, is_near_wraparound
from engine.domain.damage import Damage, people_of
from engine.domain.errors import (
    DbtendError,
    HotJournalError,
    StoreError,
    TargetBusyError,
    TargetDamagedError,
    TargetMissingError,
    TargetRefusedError,
    TargetUnrecognizedError,
)
from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.domain.steps import Facts
from engine.domain.surveys import LOST, FleetLevel, Survey, SurveyCause, SurveyReason, most_urgent
from engine.domain.thresholds import DEFAULT_THRESHOLDS, MOST_IDS, Thresholds

_LEVELS: Final = {
    Level.NOW: FleetLevel.NOW,
    Level.SOON: FleetLevel.SOON,
    Level.UNCHECKED: FleetLevel.UNCHECKED,
    Level.SMALL: FleetLevel.SMALL,
}
_NOT_URGENT: Final = {FleetLevel.UNCHECKED, FleetLevel.SMALL, FleetLevel.OK}
_CAUSES: Final = {
    Operation.INCREMENTAL_VACUUM: SurveyCause.RECLAIMABLE,
    Operation.REINDEX: SurveyCause.INDEXES,
    Operation.ANALYZE: SurveyCause.STATISTICS,
    Operation.OPTIMIZE: SurveyCause.STATISTICS,
    Operation.FTS_OPTIMIZE: SurveyCause.SEGMENTS,
    Operation.CHECKPOINT: SurveyCause.LONG_LOG,
    Operation.CLEAN_LEFTOVERS: SurveyCause.LEFTOVERS,
    Operation.REBUILD: SurveyCause.RECLAIMABLE,
    Operation.COMPACT: SurveyCause.RECLAIMABLE,
    Operation.PURGE_UNDO: SurveyCause.UNDO,
}
_CALLED_FOR: Final = {
    *((cause, operation) for operation, cause in _CAUSES.items()),
    (SurveyCause.RECLAIMABLE, Operation.VACUUM),
    (SurveyCause.DEAD_ROWS, Operation.VACUUM),
    (SurveyCause.XID_AGE, Operation.VACUUM),
    (SurveyCause.MULTIXACT_AGE, Operation.VACUUM),
    (SurveyCause.NEVER_CHECKED, Operation.CHECK),
    (SurveyCause.CHECK_OVERDUE, Operation.CHECK),
}
NUMBERS_CRITICAL: Final = 95
"""Percent of the numbers of a column that counts its rows: then inserts fail soon."""
_AGES: Final = {OldIds.XID: SurveyCause.XID_AGE, OldIds.MULTIXACT: SurveyCause.MULTIXACT_AGE}


@frozen
class Disk:
    """The disk of a file."""

    free: int
    size: int


@frozen
class Judgement:
    level: FleetLevel
    reasons: tuple[SurveyReason, ...]
    reclaimable: int = 0
    """Bytes."""


def judge(
    advice: Sequence[Advice],
    past: TargetHistory,
    *,
    disk: Disk | None = None,
    limits: Thresholds = DEFAULT_THRESHOLDS,
) -> Judgement:
    """The level of a target that was inspected, with all reasons, the most urgent first."""
    covered = {operation for item in advice if item.is_urgent for operation in item.covers}
    reasons = most_urgent(
        reason
        for item in advice
        for reason in _reasons(item, past, limits, is_repeated=bool(item.covers) and _has_urgent(advice, covered))
    )
    if known := past.accepted_damage:
        accepted: Facts = {"objects": [one.object for one in known], "by": people_of(known)}
        reasons = most_urgent([*reasons, SurveyReason(FleetLevel.OK, SurveyCause.ACCEPTED_DAMAGE, accepted)])
    if disk is not None and _is_nearly_full(disk, limits):
        facts = {"free": disk.free, "size": disk.size}
        reasons = most_urgent([*reasons, SurveyReason(FleetLevel.CRITICAL, SurveyCause.DISK_FULL, facts)])
    level = reasons[0].level if reasons else FleetLevel.OK
    if level in _NOT_URGENT and (unmeasured := [item.operation for item in advice if _is_unmeasured(item)]):
        level = FleetLevel.UNKNOWN
        reasons = (SurveyReason(level, SurveyCause.NOT_MEASURED, {"operations": unmeasured}), *reasons)
    return Judgement(level, reasons, _reclaimable(advice))


def judge_error(error: DbtendError, *, is_damaged: bool = False, is_known: bool = False) -> Judgement:
    """The level of a target that could not be inspected.

    `is_damaged`: it says that it is a database, and is none. `is_known`: the store knows that it was a database.
    """
    facts = {"error": error.why}
    match error:
        case TargetUnrecognizedError() if is_known:
            reason = SurveyReason(FleetLevel.CRITICAL, SurveyCause.NO_LONGER_A_DATABASE, facts)
        case TargetMissingError() if is_known:
            reason = SurveyReason(FleetLevel.UNREACHABLE, SurveyCause.GONE, facts)
        case _ if is_damaged or isinstance(error, TargetDamagedError):
            reason = SurveyReason(FleetLevel.CRITICAL, SurveyCause.CANNOT_BE_READ, facts)
        case HotJournalError():
            reason = SurveyReason(FleetLevel.SOON, SurveyCause.HOT_JOURNAL)
        case TargetBusyError():
            reason = SurveyReason(FleetLevel.UNKNOWN, SurveyCause.LOCKED, facts)
        case TargetRefusedError() | StoreError():
            reason = SurveyReason(FleetLevel.UNKNOWN, SurveyCause.REFUSED, facts)
        case _:
            reason = SurveyReason(FleetLevel.UNREACHABLE, SurveyCause.UNAVAILABLE, facts)
    return Judgement(reason.level, (reason,))


def judge_never_surveyed(host: str) -> Judgement:
    """The level of a file of another host, which its own host has not surveyed."""
    why = f"never surveyed on {host}, whose file it is"
    return Judgement(FleetLevel.UNKNOWN, (SurveyReason(FleetLevel.UNKNOWN, SurveyCause.UNAVAILABLE, {"error": why}),))


def judge_silence(seconds: float) -> Judgement:
    """The level of a target that gave no answer in so many seconds."""
    reason = SurveyReason(FleetLevel.UNREACHABLE, SurveyCause.NO_ANSWER, {"seconds": seconds})
    return Judgement(reason.level, (reason,))


def still_critical(survey: Survey, damage: Sequence[Damage]) -> Survey:
    """The survey of a target that could not be inspected, with the damage that is on record."""
    known = next((one for one in damage if one.accepted_at is None and not one.is_repaired), None)
    if known is None or survey.level is FleetLevel.CRITICAL or (survey.reason and survey.reason.cause in LOST):
        return survey
    facts: Facts = {"source": known.source, **({"job": known.job} if known.job is not None else {})}
    reason = SurveyReason(FleetLevel.CRITICAL, SurveyCause.DAMAGE, facts)
    return replace(survey, level=reason.level, reasons=(reason, *survey.reasons))


def may_be_needed(operation: Operation, survey: Survey) -> bool:
    """Whether a reason of a survey may call for an operation. Some reasons fit several operations."""
    causes = {reason.cause for reason in survey.reasons if reason.level not in {FleetLevel.SMALL, FleetLevel.OK}}
    return any((cause, operation) in _CALLED_FOR for cause in causes)


def is_damaged(past: TargetHistory) -> bool:
    """Whether a check on record found damage that nothing has repaired since: its target is critical."""
    is_open = any(not one.is_repaired for one in past.known_damage)
    return past.damage is not None or is_open or bool(past.damaged_indexes or past.damaged_tables)


def _is_unmeasured(item: Advice) -> bool:
    is_small = item.level_of_large is Level.NONE  # whatever a measurement of small objects would say
    return item.operation is not Operation.CHECK and item.shown_level is Level.UNKNOWN and not is_small


def _has_urgent(advice: Sequence[Advice], operations: set[Operation]) -> bool:
    return any(item.is_urgent and item.operation in operations for item in advice)


def _reasons(item: Advice, past: TargetHistory, limits: Thresholds, *, is_repeated: bool) -> Iterator[SurveyReason]:
    """`is_repeated`: whether the advice on single operations says the same."""
    if item.operation is Operation.VACUUM and OldIds.XID.fact in item.facts:
        yield from _vacuum_reasons(item, limits)
    elif item.facts.get("severity") == CRITICAL:
        yield SurveyReason(FleetLevel.CRITICAL, SurveyCause.DAMAGE, _who_saw(item, past))
    elif item.operation is Operation.CHECK:
        yield from _check_reasons(item, past)
    elif item.operation is Operation.REBUILD:
        yield from _rebuild_reasons(item)
    elif item.is_urgent and not is_repeated:
        level = _LEVELS.get(item.shown_level, FleetLevel.OK)
        cause = _CAUSES.get(item.operation, SurveyCause.OTHER)
        if item.operation is Operation.VACUUM:
            cause = SurveyCause.RECLAIMABLE
        facts = _numbers(item)
        yield SurveyReason(
            level, cause, {**facts, "operation": item.operation} if cause is SurveyCause.OTHER else facts
        )
    if item.facts.get("needless_indexes"):
        yield SurveyReason(FleetLevel.OK, SurveyCause.NEEDLESS_INDEXES, _numbers(item))


def _check_reasons(item: Advice, past: TargetHistory) -> Iterator[SurveyReason]:
    if past.broken_rule is not None and item.is_urgent:
        found = past.broken_rule_found
        facts = {"findings": found.findings, "orphans": found.orphans, "job": found.job} if found else {}
        yield SurveyReason(_LEVELS[item.level], SurveyCause.BROKEN_RULE, facts)
    elif not past.checked_at and past.found is None:
        yield SurveyReason(FleetLevel.UNCHECKED, SurveyCause.NEVER_CHECKED)
    elif item.is_urgent or item.shown_level is Level.UNCHECKED:
        yield SurveyReason(_LEVELS[item.shown_level], SurveyCause.CHECK_OVERDUE)


def _vacuum_reasons(item: Advice, limits: Thresholds) -> Iterator[SurveyReason]:
    """The reasons for a VACUUM on a server: old transaction ids, and dead rows."""
    level = _LEVELS.get(item.shown_level, FleetLevel.OK)
    causes = item.facts.get("causes") or ()
    named = causes if isinstance(causes, list | tuple) else ()
    for ids, cause in _AGES.items():
        days = {"days_left": item.facts["days_left"]} if ids is OldIds.XID and "days_left" in item.facts else {}
        facts = {"age": item.facts.get(ids.fact), "most": MOST_IDS, **days}
        if is_near_wraparound(ids, item.facts, limits):
            yield SurveyReason(FleetLevel.CRITICAL, cause, facts)
        elif item.is_urgent and ids in named:
            yield SurveyReason(level, cause, facts)
    if neighbors := item.facts.get("old_neighbors"):
        yield SurveyReason(FleetLevel.CRITICAL, SurveyCause.OLD_NEIGHBORS, {"databases": neighbors})
    if item.is_urgent and set(named) - set(_AGES):
        yield SurveyReason(level, SurveyCause.DEAD_ROWS, _numbers(item))


def _rebuild_reasons(item: Advice) -> Iterator[SurveyReason]:
    """The reasons for a rebuild on a server: a column that runs out of numbers, and free space."""
    used = item.facts.get("auto_increment_percent")
    if isinstance(used, int):
        level = FleetLevel.CRITICAL if used >= NUMBERS_CRITICAL else FleetLevel.SOON
        yield SurveyReason(level, SurveyCause.AUTO_INCREMENT, _numbers(item))
    if item.is_needed:
        yield SurveyReason(_LEVELS.get(item.shown_level, FleetLevel.OK), SurveyCause.RECLAIMABLE, _numbers(item))


def _numbers(item: Advice) -> Facts:
    return {name: value for name, value in item.facts.items() if isinstance(value, int)}


def _who_saw(item: Advice, past: TargetHistory) -> Facts:
    """`source` and `job` of the damage; without a source it was a check."""
    seen = past.damage_by if past.damage_by or past.damage else next(iter(item.seen_damage), None)
    if seen is None:
        return {"job": past.found.job} if past.found else {}
    return {"source": seen.source, **({"job": seen.job} if seen.job is not None else {})}


def _is_nearly_full(disk: Disk, limits: Thresholds) -> bool:
    return disk.free < limits.disk_critical and disk.free < limits.disk_critical_share * disk.size


def _reclaimable(advice: Sequence[Advice]) -> int:
    """Bytes that can be won: what VACUUM gives back of a file, or the dead space in tables and indexes of a server."""
    of_file = [item.facts["reclaimable_bytes"] for item in advice if "reclaimable_bytes" in item.facts]
    if of_file:  # several operations give back the same bytes
        return max((value for value in of_file if isinstance(value, int)), default=0)
    of_server = [item.facts.get("wasted_bytes") for item in advice]
    return sum(value for value in of_server if isinstance(value, int))
