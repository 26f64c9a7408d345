"""A database that was never checked, or cannot be checked, is not called sound."""

from __future__ import annotations

from engine import Level, Operation
from engine.domain.advice import TargetHistory, highest_level
from engine.targets.sqlite.advising.advice import advise
from engine.targets.sqlite.advising.condition import Condition
from engine.targets.sqlite.reading.obstacles import Obstacles


def test_a_database_that_cannot_be_checked_is_unknown_and_not_well() -> None:
    cannot = Obstacles(check="t is not checked: no such function: mine, which only its application has")
    advice = advise(Condition(pages=10, page_size=4096, obstacles=cannot), TargetHistory(now=1))
    (check,) = [one for one in advice if one.operation is Operation.CHECK]
    assert (check.level, check.check, check.inspection_can_tell) == (Level.UNKNOWN, None, False)
    assert "be checked here" in check.reason
    assert highest_level(advice) is Level.UNKNOWN
