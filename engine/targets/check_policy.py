"""When a check is due, from the checks on record: pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.domain.advice import CRITICAL, Advice, CheckCause, Level, TargetHistory
from engine.domain.damage import Damage, DamagedKind, describe, people_of, suspects
from engine.domain.frozen import frozen
from engine.domain.humanize import counted, format_age, listed, span
from engine.domain.requests import CheckLevel, Operation
from engine.domain.steps import Facts, Micros
from engine.domain.thresholds import DAY as SECONDS_A_DAY
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds

DAY: Final = 24 * 3_600 * 1_000_000
"""In microseconds."""


@frozen
class DueCheck:
    """Whether a check is due where the last one found nothing that is still wrong."""

    level: CheckLevel | None
    """None: no check is due."""
    cause: CheckCause | None
    reason: str
    is_unchecked: bool = False
    """Whether it would be due if it did not find again what a person took note of."""

    @property
    def urgency(self) -> Level:
        if self.level is None:
            return Level.UNCHECKED if self.is_unchecked else Level.NONE
        return Level.SOON

    @property
    def advice(self) -> Advice:
        return Advice(
            operation=Operation.CHECK,
            level=self.urgency,
            cause=self.cause or "",
            reason=self.reason,
            check=self.level,
            inspection_can_tell=False,
        )


def damage_advice(reason: str, cause: str, facts: Facts, others: CheckLevel | None = None) -> Advice:
    """Where data are damaged: another check is of use once a person has done what `reason` says.

    `others`: the check that is due of other tables; see `due_of_others`.
    """
    return Advice(
        operation=Operation.CHECK,
        level=Level.NOW,
        reason=reason,
        facts={"severity": CRITICAL, **facts},
        cause=cause,
        check=others or CheckLevel.FULL,
        needs_manual_fix=others is None,
    )


def found_in(damaged: Collection[str], past: TargetHistory) -> str:
    """`damage in a, b (rows are lost: ...)`, with who saw it."""
    seen = describe(one for one in past.known_damage if one.kind is not DamagedKind.INDEX and not one.is_repaired)
    if not seen:  # as far as it is not on record, a check found it
        seen = f"{past.damage_found}: {past.damage}" if past.damage is not None else "the last check found it"
    return f"damage in {listed([*damaged], 3)} ({seen})" if damaged else seen


def due_of_others(past: TargetHistory, damaged: Collection[str], limits: Thresholds) -> CheckLevel | None:
    """The check that is due where all damage is suspected: it leaves out the suspects, and repeats no finding."""
    is_suspected = bool(damaged) and suspects(past.known_damage).issuperset(damaged)
    return due_check(past, limits).level if is_suspected else None


def is_accepted(past: TargetHistory, limits: Thresholds) -> bool:
    """Whether a person took note of damage that a check would find again, less time ago than a full check is due."""
    return past.accepted_at is not None and past.now - past.accepted_at <= limits.full_check_every * 1e6


def accepted_text(accepted: Collection[Damage], at: Micros) -> str:
    """`ann@db1 took note 5 min ago of: the check of #3 found damage: ...`. `at`: the time now."""
    last = max(one.accepted_at or 0 for one in accepted)
    return f"{people_of(accepted)} took note {format_age((at - last) / 1e6)} of: {describe(accepted)}"


def due_check(past: TargetHistory, limits: Thresholds = DEFAULT_THRESHOLDS) -> DueCheck:
    due = _due_check(past, limits)
    is_repaired = due.cause in {CheckCause.INDEXES_REBUILT, CheckCause.TABLES_REPAIRED}
    if due.level is None or is_repaired or past.accepted_at is None or not is_accepted(past, limits):
        return due
    again = f"another check would find the damage again that a person took note of {ago(past.accepted_at, past)}"
    reason = f"{again}; one is due every {_every(limits.full_check_every)}"
    return DueCheck(None, due.cause, reason, is_unchecked=True)


def _due_check(past: TargetHistory, limits: Thresholds) -> DueCheck:
    full, quick = map(past.last_checks.get, (CheckLevel.FULL, CheckLevel.QUICK))
    if past.rebuilt_indexes:
        reason = "the damaged indexes were rebuilt since the last check: check again"
        return DueCheck(CheckLevel.FULL, CheckCause.INDEXES_REBUILT, reason)
    if past.repaired_tables:
        reason = "the damaged tables were repaired since the last check: check again"
        return DueCheck(CheckLevel.FULL, CheckCause.TABLES_REPAIRED, reason)
    if full is None and quick is None and past.found is not None:
        found = f"#{past.found.job}, which found {counted(past.found.findings, 'problem')} {ago(past.found.at, past)}"
        level = CheckLevel.FULL if past.found.is_all else CheckLevel.QUICK
        return DueCheck(level, CheckCause.NO_CLEAN_CHECK, f"no check was clean since {found}: check again")
    if full is None and quick is None:
        # On a big database a quick check takes a tenth of the time, and shows whether it is urgent.
        never = f"no check on record{_of_this_file(past)}" if past.checked_other_file else "never checked"
        reason = f"{never}; a quick check is due, and a full one {_every(_first_full_after(limits))} later"
        return DueCheck(CheckLevel.QUICK, CheckCause.NEVER_CHECKED, reason)
    if full is None and quick is not None and _is_first(quick, past, limits):
        reason = f"the last clean check was {ago(quick, past)}, a quick one; a full one is due"
        return DueCheck(None, None, f"{reason} {_every(_first_full_after(limits))} after the first")
    if full is None or past.now - full > limits.full_check_every * 1e6:
        none = f"no clean full check on record{_of_this_file(past)}"
        last = none if full is None else f"the last clean full check was {ago(full, past)}"
        cause = CheckCause.NO_FULL_CHECK if full is None else CheckCause.FULL_CHECK_OVERDUE
        return DueCheck(CheckLevel.FULL, cause, f"{last}; one is due every {_every(limits.full_check_every)}")
    latest = max(full, quick or 0)
    last = f"the last clean check was {ago(latest, past)}"
    if past.now - latest > limits.quick_check_every * 1e6:
        reason = f"{last}; a quick one is due every {_every(limits.quick_check_every)}"
        return DueCheck(CheckLevel.QUICK, CheckCause.QUICK_CHECK_OVERDUE, reason)
    return DueCheck(None, None, f"{last}, the last full one {ago(full, past)}")


def _is_first(quick: Micros, past: TargetHistory, limits: Thresholds) -> bool:
    """Whether it is not long since the first check: one run is enough, as after it nothing is due."""
    first = quick if past.first_quick_at is None else past.first_quick_at
    full_has_found_something = past.found is not None and past.found.is_all
    return past.now - first <= _first_full_after(limits) * 1e6 and not full_has_found_something


def _first_full_after(limits: Thresholds) -> float:
    """Seconds from the first quick check to the first full one."""
    return min(limits.quick_check_every, limits.full_check_every)


def ago(at: Micros, past: TargetHistory) -> str:
    return format_age((past.now - at) / 1e6)


def _of_this_file(past: TargetHistory) -> str:
    return " of this file (a different file was here before)" if past.checked_other_file else ""


def _every(seconds: float) -> str:
    days = int(seconds // SECONDS_A_DAY)
    return counted(days, "day") if days else span(seconds)
