"""What to do about how a job ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import EngineName, OnFailure, Operation, Options, Reason, Request, Status, Step
from engine.domain.steps import WAITED_FOR, WaitsFor
from tests.tui.jobs import START, child, parent, rescued
from tui.presentation.job_notes import Instructions, advice, advice_to_open

HOW = Instructions(retry="press r", show="press enter", skip_recovery="press s", force="press f")


def test_the_option_is_named_that_limits_what_it_waited_for() -> None:
    for effect, option in ({WAITED_FOR: WaitsFor.TRANSACTIONS}, "--snapshot-wait"), (None, "--lock-timeout"):
        step = Step(
            number=1, attempt=1, object="item_name", command="REINDEX", status=Status.FAILED, started_at=START,
            finished_at=START, operation=Operation.REINDEX, reason=Reason.TARGET_BUSY, effect=effect,
        )  # fmt: skip
        busy = replace(child(1, Status.FAILED), reason=Reason.TARGET_BUSY, attempt=1, steps=(step,))
        for text in (advice(parent(busy), busy, HOW), advice_to_open(parent(busy), busy, HOW)):
            assert [name for name in ("--snapshot-wait", "--lock-timeout") if name in text] == [option]


def test_a_refused_operation_says_that_itself_changed_nothing_and_not_the_others() -> None:
    refused = replace(child(1, Status.FAILED), reason=Reason.REFUSED, operation=Operation.CHECK)
    for text in (advice(parent(refused), refused, HOW), advice_to_open(parent(refused), refused, HOW)):
        assert text.startswith("Nothing was changed by check. ")


@pytest.mark.parametrize("on_failure", list(OnFailure))
def test_only_a_request_that_stops_is_said_to_stop(on_failure: OnFailure) -> None:
    left = child(2, Status.SKIPPED, Reason.PREVIOUS_FAILED)
    options = Options(on_failure=on_failure, check_first=True)
    job = parent(left)
    job = replace(job, request=replace(job.request, options=options))
    for text in (advice(job, left, HOW), advice_to_open(job, left, HOW)):
        assert ("stop" in text) is (on_failure is OnFailure.STOP)


@pytest.mark.parametrize(
    ("target", "engine", "operation", "options", "command"),
    [
        ("sqlite:///srv/a b.db", EngineName.SQLITE, Operation.BACKUP, Options(), "run '/srv/a b.db' --op backup"),
        ("sqlite:///a.db", EngineName.SQLITE, Operation.VACUUM, Options(swap=True), "run /a.db --op vacuum --swap"),
        ("sqlite:///a.db", EngineName.SQLITE, Operation.VACUUM, Options(), ""),
        ("postgresql://h/x", EngineName.POSTGRESQL, Operation.REINDEX, Options(), "--op clean-leftovers"),
        ("postgresql://h/x", EngineName.POSTGRESQL, Operation.ANALYZE, Options(), ""),
        ("mysql://h/x", EngineName.MYSQL, Operation.REBUILD, Options(), "SHOW PROCESSLIST"),
        ("mysql://h/x", EngineName.MYSQL, Operation.REPAIR, Options(), "run mysql://h/x --op repair"),
    ],
)
def test_what_a_dead_process_left_is_told_with_the_command_that_removes_it(
    target: str, engine: EngineName, operation: Operation, options: Options, command: str
) -> None:
    lost, _ = rescued().attempts
    ended = replace(child(1, Status.CANCELLED), operation=operation, started_at=None, attempts=(lost,))
    request = Request(target=target, operations=(operation,), options=options)
    job = replace(parent(ended), engine=engine, request=request)
    first, *_ = advice(job, ended, HOW).split(". ")
    assert command in first
    assert bool(command) is not first.startswith("A check of the database")
