"""What remains of a step that did not complete."""

from __future__ import annotations

import pytest
from psycopg import errors

from engine.domain.statuses import Reason
from engine.targets.lock_impact import NO_LOCK
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.running.partial_effects import never_had_lock, partial_effect
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.step_execution import NOTHING_CHANGED

VACUUM = PgStep(object="public.item", command="VACUUM (VERBOSE) item", reason="", lock=NO_LOCK, method=Method.VACUUM)
STARTED = Notice("INFO", "vacuuming public.item")


@pytest.mark.parametrize("error", [errors.LockNotAvailable("x"), errors.DeadlockDetected("x")])
@pytest.mark.parametrize(("notices", "is_unchanged"), [([], True), ([STARTED], False)])
def test_a_vacuum_that_ended_behind_a_second_lock_has_removed_rows(
    error: errors.Error, notices: list[Notice], *, is_unchanged: bool
) -> None:
    only_waited = never_had_lock(VACUUM, Answer(error=error, notices=notices), was_seen_waiting=False)
    left = partial_effect(VACUUM, Reason.TARGET_BUSY, (), only_waited=only_waited)
    assert (left == NOTHING_CHANGED) is is_unchanged
