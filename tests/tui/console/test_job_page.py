"""What the detail pane and the page of a job say, as plain functions of jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Attempt, ChildJob, JobId, LogLine, Options, ParentJob, Progress, Reason, Request, Status, Step
from engine.jobs import FINISHING, LogLevel
from tests.tui.jobs import SECOND, START, child, parent
from tui.views.detail import detail_lines
from tui.views.job_document import job_document

NOW = START + 60 * SECOND
LOST = Attempt(
    number=1, pid=4709, host="db1", started_at=START, finished_at=START + 30 * SECOND, status=Status.FAILED,
    reason=Reason.OWNER_LOST,
)  # fmt: skip
HANDED_BACK = replace(LOST, status=Status.CANCELLED, reason=Reason.SHUTDOWN)
SECOND_TRY = Attempt(
    number=2, pid=4711, host="db2\x1b", started_at=START + 31 * SECOND, finished_at=None, status=Status.RUNNING
)
RUNNING = child(status=Status.RUNNING)


def page(job: ParentJob, width: int = 100) -> list[str]:
    return [line.text.rstrip() for line in job_document(job, "sales.db", now=NOW, width=width)]


def detail(job: ParentJob, width: int = 100) -> list[str]:
    return [line.text.rstrip() for line in detail_lines(job, JobId(42, 1), "sales.db", now=NOW, width=width)]


def step(attempt: int) -> Step:
    return Step(
        number=1, attempt=attempt, object="main", command=f"VACUUM -- {attempt}", status=Status.FAILED,
        started_at=START, finished_at=START + SECOND,
    )  # fmt: skip


def log_line(number: int, attempt: int = 1) -> LogLine:
    return LogLine(number=number, attempt=attempt, at=START, level=LogLevel.INFO, message=f"line {number}")


def both(job: ParentJob) -> tuple[str, str]:
    return " ".join(page(job)), " ".join(detail(job))


def test_each_attempt_is_told_with_its_process_its_end_and_its_steps() -> None:
    tried = replace(RUNNING, attempt=2, attempts=(LOST, SECOND_TRY), steps=(step(1), step(2)), log=(log_line(1, 2),))
    lines = page(parent(tried))
    assert lines[6:] == [
        "    attempt 1  pid 4709 on db1  22:13:20 to 22:13:50  its process died",
        "    ×    1.00 s  VACUUM -- 1",
        "    attempt 2  pid 4711 on db2\\x1b  since 22:13:51",
        "    ×    1.00 s  VACUUM -- 2",
        "      22:13:20  info  line 1",
    ]


def test_an_attempt_on_another_day_is_told_with_its_date() -> None:
    tried = replace(RUNNING, attempts=(replace(SECOND_TRY, number=1, started_at=START + 86_400 * SECOND),))
    assert "    attempt 1  pid 4711 on db2\\x1b  since 2023-11-15 22:13:20" in page(parent(tried))


def test_the_process_of_what_ended_plainly_is_not_worth_a_line() -> None:
    done = replace(SECOND_TRY, number=1, finished_at=NOW, status=Status.COMPLETED)
    assert "pid" not in " ".join(page(parent(replace(child(), attempts=(done,)))))


def test_steps_of_attempts_that_nothing_is_known_of_are_shown() -> None:
    assert "VACUUM -- 1" in " ".join(
        page(parent(replace(RUNNING, attempt=2, attempts=(SECOND_TRY,), steps=(step(1),))))
    )


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (
            replace(child(status=Status.PENDING), attempt=1, attempts=(LOST,)),
            "attempt 2: attempt 1 lost its process at",
        ),
        (replace(RUNNING, attempt=2, attempts=(LOST, SECOND_TRY)), "attempt 2: attempt 1 lost its process at 22:13:50"),
        (replace(RUNNING, attempt=2, attempts=(HANDED_BACK, SECOND_TRY)), "attempt 1 was handed back at 22:13:50"),
        (replace(RUNNING, attempt=2), "attempt 2"),
    ],
)
def test_the_detail_says_why_it_is_not_the_first_attempt(job: ChildJob, words: str) -> None:
    assert words in " ".join(detail(parent(job)))


def test_a_handed_back_attempt_is_told_on_the_page() -> None:
    tried = replace(child(status=Status.PENDING), attempt=1, attempts=(HANDED_BACK,))
    assert "handed back at a shutdown" in " ".join(page(parent(tried)))


def test_what_cannot_be_interrupted_is_said_in_words() -> None:
    finishing = replace(RUNNING, cancel_requested_at=NOW, progress=Progress(phase=FINISHING))
    for said in both(parent(finishing)):
        assert "Cancelling (finishing, cannot be interrupted)" in said
    for said in both(parent(replace(finishing, progress=Progress()))):
        assert "Asked to stop" in said


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_what_ended_all_the_same_after_a_cancel_says_so(status: Status) -> None:
    for said in both(parent(replace(child(status=status), cancel_requested_at=NOW))):
        assert f"Cancel was requested; it {status} all the same." in said
    for said in both(parent(replace(child(status=Status.CANCELLED), cancel_requested_at=NOW))):
        assert "all the same" not in said


def limited(job: ChildJob, seconds: float = 3600 - 800, *, stop: bool = False) -> ParentJob:
    """A parent with a limit; its submit was at 22:13:20."""
    request = Request(target="sqlite:///srv/sales.db", operations=(job.operation,), options=Options(stop_at_limit=stop))
    return replace(parent(job), request=request, deadline_at=START + round(seconds) * SECOND)


def test_a_time_limit_is_said_before_it_is_reached() -> None:
    for said in both(limited(RUNNING)):
        assert "no operation starts after 23:00" in said
        assert "stopped" not in said
    for said in both(limited(RUNNING, 86_400, stop=True)):
        assert "no operation starts after 2023-11-15 22:13:20, and what runs is stopped then" in said


def test_what_a_time_limit_ended_says_what_to_do() -> None:
    skipped = child(status=Status.SKIPPED, reason=Reason.TIME_LIMIT)
    for said in both(limited(skipped)):
        assert "The time limit of its job had passed. Press t" in said
    asked = replace(RUNNING, cancel_requested_at=START + 3600 * SECOND)
    for said in both(limited(asked, stop=True)):
        assert "The time limit has passed: it ends as soon as that is safe" in said


def test_what_was_left_out_of_a_long_log_is_counted() -> None:
    log = (log_line(1), log_line(2), log_line(1203), log_line(1204), log_line(1, 2))
    text = [line.strip() for line in page(parent(replace(RUNNING, log=log)))]
    assert [line for line in text if "line" in line] == [
        "22:13:20  info  line 1",
        "22:13:20  info  line 2",
        "... 1,200 lines left out ...",
        "22:13:20  info  line 1203",
        "22:13:20  info  line 1204",
        "22:13:20  info  line 1",
    ]


def test_a_job_that_is_pinned_says_so() -> None:
    assert "pinned" in " ".join(page(replace(parent(child()), pinned=True)))
    assert "pinned" not in " ".join(page(parent(child())))


@pytest.mark.parametrize("width", [40, 51, 80])
def test_the_first_line_of_the_detail_is_cut_with_an_ellipsis(width: int) -> None:
    job = replace(RUNNING, progress=Progress(object="a table with a long name" * 5, steps_done=2, steps_total=9))
    first = detail(parent(job), width)[0]
    assert len(first) <= width
    assert first.endswith("…")
