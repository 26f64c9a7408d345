"""Jobs and plans as lines for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import (
    JobId,
    LogLine,
    Operation,
    Options,
    Progress,
    Reason,
    Status,
    Step,
)
from engine.jobs import FINISHING, LogLevel
from tests.tui.jobs import SECOND, START, child, parent, rescued, vacuumed
from tui.commands import report, views
from tui.text import cells, local_time


def test_the_summary_of_a_job() -> None:
    assert report.summary(vacuumed()) == "#42 sales.db completed in 2.00 s  24.1 MB -> 14.3 MB, 9.80 MB back"
    assert report.summary(parent(child(1, Status.PENDING))) == "#42 sales.db pending"


@pytest.mark.parametrize(
    ("status", "reason", "error", "phrase"),
    [
        (Status.COMPLETED, None, None, "completed in 1.50 s"),
        (Status.FAILED, Reason.OPERATION_ERROR, "no\x1b[2J", "failed in 1.50 s (operation error): no\\x1b[2J"),
        (Status.CANCELLED, Reason.CANCELLED_BY_USER, None, "cancelled in 1.50 s"),
        (Status.SKIPPED, Reason.PREVIOUS_FAILED, None, "skipped (previous failed)"),
    ],
)
def test_how_a_child_ended(status: Status, reason: Reason | None, error: str | None, phrase: str) -> None:
    assert report.ending(child(1, status, reason, error=error)) == phrase


def test_events_are_told_once_and_none_is_missed() -> None:
    waiting = parent(child(1, Status.PENDING), child(2, Status.PENDING))
    running = parent(child(1, Status.RUNNING), child(2, Status.PENDING))
    over = parent(child(1), child(2, Status.SKIPPED, Reason.PREVIOUS_FAILED, operation=Operation.ANALYZE))
    seen = {c.id: c for c in running.children}

    assert list(report.events({}, waiting)) == []
    assert list(report.events({}, running)) == ["#42.1 sales.db vacuum started"]
    assert list(report.events(seen, over)) == [
        "#42.1 sales.db vacuum completed in 1.50 s",
        "#42.2 sales.db analyze skipped (previous failed)",
    ]
    assert next(report.events({}, over)) == "#42.1 sales.db vacuum started"


def test_the_history_is_a_table() -> None:
    heading, first, second = report.history_table(
        [vacuumed(), parent(child(1, Status.FAILED, Reason.OPERATION_ERROR, error="disk\nfull"))]
    )
    assert heading.split() == ["JOB", "CREATED", "TARGET", "OPERATIONS", "STATUS", "TOOK", "EFFECT"]
    assert first.endswith("9.80 MB back")
    assert second.endswith("vacuum: disk full")
    assert first.index("sales.db") == second.index("sales.db") == heading.index("TARGET")


def test_one_job_whole_and_one_child_of_it() -> None:
    job = replace(vacuumed(), retry_of=41)
    lines = "\n".join(report.job_lines(job))
    assert "retry of #41" in lines
    assert "1.00 s   VACUUM" in lines
    assert "warning: hello\\x1b[2J" in lines
    two = parent(child(1), child(2, operation=Operation.ANALYZE))
    only = "\n".join(report.job_lines(two, JobId(42, 2)))
    assert "#42.2 analyze" in only
    assert "#42.1" not in only


def test_each_attempt_is_told_where_there_was_more_than_one() -> None:
    first, second = (
        Step(
            number=1, attempt=number, object="main", command="VACUUM", status=status,
            started_at=START, finished_at=START + SECOND,
        )
        for number, status in ((1, Status.FAILED), (2, Status.COMPLETED))
    )  # fmt: skip
    lines = report.job_lines(parent(replace(rescued(), steps=(first, second))))
    began, died, again = map(local_time, (START, START + SECOND, START + 2 * SECOND))
    assert lines[-5:] == [
        "► #42.1 vacuum running, attempt 2",
        f"  attempt 1  pid 4711 on db1  {began} to {died}  its process died",
        "  × 1.00 s   VACUUM",
        f"  attempt 2  pid 4712 on db1  since {again}",
        "  ✓ 1.00 s   VACUUM",
    ]
    assert not [line for line in report.job_lines(vacuumed()) if "attempt" in line]


def test_lines_of_a_log_that_were_left_out_are_counted() -> None:
    numbers = (1, 2, 5, 6, 8)
    log = tuple(LogLine(number=n, attempt=1, at=START, level=LogLevel.INFO, message=f"line {n}") for n in numbers)
    lines = report.job_lines(parent(replace(child(), log=log)))
    told = [line.strip() for line in lines if "line" in line]
    at = local_time(START)
    assert told == [
        f"{at}  line 1",
        f"{at}  line 2",
        "... 2 lines left out ...",
        f"{at}  line 5",
        f"{at}  line 6",
        "... 1 line left out ...",
        f"{at}  line 8",
    ]


def test_limits_and_pins_are_told() -> None:
    job = parent(child())
    assert not [line for line in report.job_lines(job) if "limit" in line or "pinned" in line]
    options = Options(time_limit=5400.0, until="06:00", stop_at_limit=True)
    job = replace(job, request=replace(job.request, options=options), deadline_at=START, pinned=True)
    lines = report.job_lines(job)
    assert f"  limit    {local_time(START)} (after 1h30m, until 06:00), what runs then is asked to stop" in lines
    assert "  pinned   kept whatever its age" in lines
    assert "✓ completed, pinned" in report.history_table([job])[1]


def test_a_frame_shows_parents_and_children() -> None:
    progress = Progress(fraction=0.5, object="orders")
    running = replace(child(2, Status.RUNNING, operation=Operation.ANALYZE), progress=progress)
    lines = [text for _, text in views.frame([parent(child(), running)], START + 2 * SECOND)]
    assert lines == [
        "► #42 sales.db  running  1/2  0:02",
        "   ✓ .1 vacuum    completed in 1.50 s",
        "   ► .2 analyze   ########........  50%  0:02  orders",
    ]


def test_a_cancel_that_was_asked_for_is_said() -> None:
    running = child(1, Status.RUNNING)
    asked = replace(running, cancel_requested_at=START)
    finishing = replace(asked, progress=Progress(phase=FINISHING))
    assert views.frame([parent(asked)], START)[1][1].endswith("cancelling")
    assert views.frame([parent(finishing)], START)[1][1].endswith("cancelling (finishing, cannot be interrupted)")
    assert "► #42.1 vacuum cancelling (finishing, cannot be interrupted)" in report.job_lines(parent(finishing))
    assert list(report.events({running.id: running}, parent(asked))) == ["#42.1 sales.db vacuum cancelling"]
    assert list(report.events({asked.id: asked}, parent(asked))) == []
    assert list(report.events({asked.id: asked}, parent(finishing))) == [
        "#42.1 sales.db vacuum cancelling (finishing, cannot be interrupted)"
    ]


def test_a_child_that_lost_its_process_waits_to_run_again() -> None:
    running = child(1, Status.RUNNING)
    back = replace(child(1, Status.PENDING), attempt=1)
    assert list(report.events({running.id: running}, parent(back))) == ["#42.1 sales.db vacuum waits to run again"]


def test_what_became_of_a_wish_to_cancel() -> None:
    running = child(1, Status.RUNNING)
    asked = replace(running, cancel_requested_at=START)
    open_job, over = parent(running, child(2)), parent(child(1), child(2))
    assert list(report.cancel_lines(open_job, parent(asked, child(2)), JobId(42))) == [
        "#42.1 sales.db vacuum running, cancel requested",
        "#42.2 sales.db vacuum is completed already: there was nothing to cancel",
    ]
    assert list(report.cancel_lines(parent(asked), parent(asked), JobId(42, 1))) == [
        f"#42.1 sales.db vacuum running, cancel was requested already at {local_time(START)}"
    ]
    assert list(report.cancel_lines(over, over, JobId(42))) == [
        "#42 sales.db is completed already: there was nothing to cancel"
    ]


def test_lines_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    lines = [(Status.COMPLETED, "売" * 50), *[(Status.PENDING, "waits")] * 10, (Status.RUNNING, "runs")]
    shown = views.fitted(lines, width=24, height=6)
    assert len(shown) == 5
    assert max(map(cells, shown)) <= 23
    assert "runs" in shown
    assert shown[-1] == "... and 8 more lines"


def test_colour_only_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert views.fitted([(Status.FAILED, "x")], 80, 24) == ["\x1b[31mx\x1b[0m"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert views.fitted([(Status.FAILED, "x")], 80, 24) == ["x"]


def test_redrawing_writes_over_what_was_there() -> None:
    assert views.redraw(0, ["a"]) == "\ra\x1b[K\n"
    assert views.redraw(2, ["a", "b"]) == "\x1b[2A\ra\x1b[K\n\rb\x1b[K\n"
    assert views.redraw(2, ["a"]).endswith("\x1b[J")
