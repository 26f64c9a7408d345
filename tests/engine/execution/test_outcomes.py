"""How an operation ended, from its steps, where its server was lost."""

from __future__ import annotations

from dataclasses import replace

from engine.domain.statuses import Reason, Status
from engine.execution.outcomes import child_outcome
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import PlannedStep
from engine.targets.step_execution import StepResult

DONE = StepResult(status=Status.COMPLETED)
LOST = StepResult(status=Status.FAILED, reason=Reason.SERVER_LOST, error="the connection was lost")
NOT_BEGUN = StepResult(status=Status.SKIPPED, error="not begun: server is down", never_began=True)
FULL = StepResult(status=Status.FAILED, error="the disk is full")
DOWN = "server is down"


def error_of(*results: StepResult, stop_reason: str = DOWN) -> tuple[Status, Reason | None, str | None]:
    """For one step each: a, b, ..."""
    steps = [PlannedStep(object=name, command=name, reason="", lock=NO_LOCK, after_cancel="") for name in "abcdef"]
    planned = steps[: len(results)]
    found = child_outcome(list(zip(planned, results, strict=True)), planned=planned, after={}, stop_reason=stop_reason)
    return found.status, found.reason, found.error


def test_what_is_done_what_is_unknown_and_what_was_not_begun_is_said_in_this_order() -> None:
    assert error_of(DONE, LOST, NOT_BEGUN, NOT_BEGUN) == (
        Status.FAILED,
        Reason.SERVER_LOST,
        "server is down; 1 of 4 steps completed; not known how it ended: b; 2 not begun: c, d",
    )


def test_a_refused_connection_is_no_lost_server() -> None:
    refused = replace(NOT_BEGUN, reason=Reason.REFUSED, stop_reason=DOWN)
    assert error_of(refused, refused)[:2] == (Status.FAILED, Reason.REFUSED)
    assert error_of(DONE, refused)[:2] == (Status.FAILED, Reason.OPERATION_ERROR)
    assert error_of(replace(LOST, stop_reason=DOWN), refused)[:2] == (Status.FAILED, Reason.SERVER_LOST)


def test_a_step_that_failed_otherwise_says_why() -> None:
    _, reason, error = error_of(FULL, LOST)
    assert reason is Reason.SERVER_LOST
    assert error == (
        "server is down; 0 of 2 steps completed; not known how it ended: b. a: the disk is full; 1 of 2 steps failed"
    )


def test_a_server_that_came_back_gives_the_same_reason() -> None:
    status, reason, error = error_of(DONE, LOST, stop_reason="")
    assert (status, reason) == (Status.FAILED, Reason.SERVER_LOST)
    assert error == "b: the connection was lost; 1 of 2 steps failed"


def test_what_gave_way_each_time_did_nothing_and_did_not_complete() -> None:
    busy = StepResult(status=Status.SKIPPED, reason=Reason.TARGET_BUSY, error="it gave way 3 times")
    assert error_of(busy, busy, stop_reason="") == (Status.SKIPPED, Reason.TARGET_BUSY, "it gave way 3 times")
    assert error_of(busy, DONE, stop_reason="") == (Status.COMPLETED, None, None)
    gone = StepResult(status=Status.SKIPPED, error="another session dropped it")
    assert error_of(busy, gone, stop_reason="") == (Status.COMPLETED, None, None)
