"""The exit codes of commands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Facts, Reason, Status
from engine.domain.errors import (
    DbtendError,
    StoreError,
    TargetBusyError,
    TargetRefusedError,
    TargetUnavailableError,
    UsageError,
)
from tests.tui.jobs import child, parent
from tui.presentation.exit_codes import error_code, exit_code

COMPLETED = (Status.COMPLETED, None)
FAILED = (Status.FAILED, Reason.OPERATION_ERROR)
CANCELLED = (Status.CANCELLED, Reason.CANCELLED_BY_USER)
REFUSED = (Status.FAILED, Reason.REFUSED)
LATE = (Status.SKIPPED, Reason.TIME_LIMIT)
IN_PART = (Status.COMPLETED, Reason.TIME_LIMIT)
SKIPPED = (Status.SKIPPED, Reason.NOT_SUPPORTED)
NOT_NEEDED = (Status.SKIPPED, Reason.NOT_NEEDED)


@pytest.mark.parametrize(
    ("children", "code"),
    [
        ([COMPLETED], 0),
        ([COMPLETED, NOT_NEEDED], 0),
        ([COMPLETED, SKIPPED], 3),
        ([SKIPPED, LATE], 5),
        ([SKIPPED, LATE, REFUSED], 4),
        ([SKIPPED, LATE, REFUSED, FAILED], 1),
        ([SKIPPED, LATE, REFUSED, FAILED, CANCELLED], 130),
        ([FAILED, (Status.SKIPPED, Reason.PREVIOUS_FAILED)], 1),
        ([(Status.FAILED, Reason.TARGET_BUSY)], 1),
        ([(Status.CANCELLED, Reason.SHUTDOWN)], 130),
        ([COMPLETED, LATE], 5),
        ([IN_PART], 5),
        ([COMPLETED, IN_PART, SKIPPED], 5),
        ([IN_PART, FAILED], 1),
        ([(Status.CANCELLED, Reason.TIME_LIMIT), LATE], 5),
        ([(Status.CANCELLED, Reason.TIME_LIMIT), FAILED], 1),
        ([(Status.CANCELLED, Reason.TIME_LIMIT), CANCELLED], 130),
        ([(Status.FAILED, Reason.OWNER_LOST), LATE], 1),
        ([COMPLETED, (Status.PENDING, None)], 130),
        ([COMPLETED, (Status.RUNNING, None)], 130),
    ],
)
def test_the_weightiest_cause_decides(children: list[tuple[Status, Reason | None]], code: int) -> None:
    job = parent(*(child(n, status, reason) for n, (status, reason) in enumerate(children, 1)))
    assert exit_code([parent(child()), job]) == code


@pytest.mark.parametrize("after", [{"steps_completed": 1, "steps_skipped": 302}, {"left_out": 302}, {"rows_lost": 95}])
def test_what_is_completed_but_for_what_was_not_done_is_no_success(after: Facts) -> None:
    assert exit_code([parent(replace(child(), after=after))]) == 3
    assert exit_code([parent(replace(child(), after=after), child(2, *FAILED))]) == 1
    assert exit_code([parent(replace(child(), after=dict.fromkeys(after, 0)))]) == 0


@pytest.mark.parametrize(
    ("kind", "code"),
    [(UsageError, 2), (TargetUnavailableError, 2), (StoreError, 2), (TargetRefusedError, 4), (TargetBusyError, 4)],
)
def test_errors_that_keep_a_command_from_its_work(kind: type[DbtendError], code: int) -> None:
    assert error_code(kind("x", "is wrong")) == code
