"""When a check is due: the same for every engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from engine.domain.advice import CheckCause, CheckFinding, Level, TargetHistory
from engine.domain.damage import Damage, DamageSource
from engine.domain.requests import CheckLevel
from engine.targets.check_policy import DAY, due_check

NOW: Final = 1_795_000_000_000_000
FULL, QUICK = CheckLevel.FULL, CheckLevel.QUICK


def checked(**days_ago: int) -> TargetHistory:
    return TargetHistory(now=NOW, checked_at={CheckLevel(level): NOW - days * DAY for level, days in days_ago.items()})


def found(*, is_all: bool) -> CheckFinding:
    return CheckFinding(job=18, at=NOW - DAY, findings=2, orphans=0, is_all=is_all)


@pytest.mark.parametrize(
    ("past", "level", "cause"),
    [
        (checked(), QUICK, CheckCause.NEVER_CHECKED),
        (checked(quick=0), None, None),  # one run is enough
        (checked(quick=7), None, None),
        (checked(quick=8), FULL, CheckCause.NO_FULL_CHECK),
        (replace(checked(quick=0), first_quick_at=NOW - 6 * DAY), None, None),
        (replace(checked(quick=0), first_quick_at=NOW - 8 * DAY), FULL, CheckCause.NO_FULL_CHECK),
        (checked(full=31), FULL, CheckCause.FULL_CHECK_OVERDUE),
        (checked(full=31, quick=1), FULL, CheckCause.FULL_CHECK_OVERDUE),
        (checked(full=8), QUICK, CheckCause.QUICK_CHECK_OVERDUE),
        (checked(full=29, quick=8), QUICK, CheckCause.QUICK_CHECK_OVERDUE),
        (checked(full=29, quick=6), None, None),
        (checked(full=6), None, None),
        (replace(checked(full=0), rebuilt_indexes=("a",)), FULL, CheckCause.INDEXES_REBUILT),
        (replace(checked(full=0), repaired_tables=("a",)), FULL, CheckCause.TABLES_REPAIRED),
        (replace(checked(), found=found(is_all=True)), FULL, CheckCause.NO_CLEAN_CHECK),
        (replace(checked(), found=found(is_all=False)), QUICK, CheckCause.NO_CLEAN_CHECK),
        (replace(checked(quick=0), found=found(is_all=True)), FULL, CheckCause.NO_FULL_CHECK),
    ],
)
def test_a_check_is_due_by_its_age(past: TargetHistory, level: CheckLevel | None, cause: CheckCause | None) -> None:
    due = due_check(past)
    assert (due.level, due.cause) == (level, cause)
    assert due.urgency is (Level.NONE if level is None else Level.SOON)


def test_what_was_checked_is_not_called_never_checked() -> None:
    reason = due_check(replace(checked(), found=found(is_all=True))).reason
    assert reason == "no check was clean since #18, which found 2 problems 1 day ago: check again"


@pytest.mark.parametrize(
    ("past", "urgency"),
    [
        (replace(checked(), found=found(is_all=True)), Level.UNCHECKED),
        (checked(full=31), Level.UNCHECKED),
        (checked(full=1), Level.NONE),
    ],
)
def test_to_accept_damage_is_no_check_and_calls_for_none_before_a_full_one_is_due(
    past: TargetHistory, urgency: Level
) -> None:
    def accepted(days_ago: int) -> TargetHistory:
        by_check = Damage(source=DamageSource.CHECK, found_at=0, text="torn", accepted_at=NOW - days_ago * DAY)
        return replace(past, accepted_damage=(by_check,))

    assert (due_check(accepted(0)).level, due_check(accepted(0)).urgency) == (None, urgency)
    assert due_check(accepted(31)) == due_check(past)
