"""When a check is due: the same for every engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from engine.domain.advice import Level, TargetHistory
from engine.domain.requests import CheckLevel
from engine.targets.check_policy import DAY, CheckCause, due_check

NOW: Final = 1_795_000_000_000_000
FULL, QUICK = CheckLevel.FULL, CheckLevel.QUICK


def checked(**days_ago: int) -> TargetHistory:
    return TargetHistory(now=NOW, checked_at={CheckLevel(level): NOW - days * DAY for level, days in days_ago.items()})


@pytest.mark.parametrize(
    ("past", "level", "cause"),
    [
        (checked(), QUICK, CheckCause.NEVER_CHECKED),
        (checked(quick=0), FULL, CheckCause.NO_FULL_CHECK),
        (checked(full=31), FULL, CheckCause.FULL_CHECK_OVERDUE),
        (checked(full=31, quick=1), FULL, CheckCause.FULL_CHECK_OVERDUE),
        (checked(full=8), QUICK, CheckCause.QUICK_CHECK_OVERDUE),
        (checked(full=29, quick=8), QUICK, CheckCause.QUICK_CHECK_OVERDUE),
        (checked(full=29, quick=6), None, None),
        (checked(full=6), None, None),
        (replace(checked(full=0), rebuilt_indexes=("a",)), FULL, CheckCause.INDEXES_REBUILT),
    ],
)
def test_a_check_is_due_by_its_age(past: TargetHistory, level: CheckLevel | None, cause: CheckCause | None) -> None:
    due = due_check(past)
    assert (due.level, due.cause) == (level, cause)
    assert due.urgency is (Level.NONE if level is None else Level.SOON)
