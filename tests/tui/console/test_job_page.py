"""What the detail pane and the page of a job say, as plain functions of jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import (
    Attempt,
    ChildJob,
    JobId,
    LogLine,
    Operation,
    Options,
    ParentJob,
    Progress,
    Reason,
    Request,
    Status,
    Step,
)
from engine.domain.steps import FINISHING, LogLevel
from tests.tui.jobs import SECOND, START, child, parent
from tui.console.views.detail import detail_lines
from tui.console.views.job_document import job_document
from tui.console.views.line import Role

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


def page(job: ParentJob, width: int = 100, *, unfolded: bool = False) -> list[str]:
    document = job_document(job, "sales.db", now=NOW, width=width, unfolded=unfolded)
    return [line.text.rstrip() for line in document]


def about(job: ParentJob, width: int = 100) -> list[str]:
    """The lines about its first child, below the picture."""
    lines = page(job, width)
    return lines[lines.index("") + 1 :]


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
    assert about(parent(tried))[1:] == [
        "    attempt 1  pid 4709 on db1  22:13:20 to 22:13:50  worker died",
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
            "attempt 2: attempt 1 ended at",
        ),
        (
            replace(RUNNING, attempt=2, attempts=(LOST, SECOND_TRY)),
            "1 ended at 22:13:50 (worker died)",
        ),
        (
            replace(RUNNING, attempt=2, attempts=(HANDED_BACK, SECOND_TRY)),
            "ended at 22:13:50 (handed back at a shutdown)",
        ),
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
        assert "Cancel was requested: it ends" in said


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_what_ended_all_the_same_after_a_cancel_says_so(status: Status) -> None:
    for said in both(parent(replace(child(status=status), cancel_requested_at=NOW))):
        assert f"Cancel was requested, but it {status}." in said
    for said in both(parent(replace(child(status=Status.CANCELLED), cancel_requested_at=NOW))):
        assert "Cancel was requested" not in said


def limited(job: ChildJob, seconds: float = 3600 - 800, *, stop: bool = False) -> ParentJob:
    """A parent with a limit; its submit was at 22:13:20."""
    request = Request(target="sqlite:///srv/sales.db", operations=(job.operation,), options=Options(stop_at_limit=stop))
    return replace(parent(job), request=request, deadline_at=START + round(seconds) * SECOND)


def test_a_time_limit_is_said_before_it_is_reached() -> None:
    for said in both(limited(RUNNING)):
        assert "no operation starts after 23:00" in said
        assert "stopped" not in said
    for said in both(limited(RUNNING, 86_400, stop=True)):
        assert "no operation starts after 2023-11-15 22:13:20, and running ones are cancelled" in said


def test_what_a_time_limit_ended_says_what_to_do() -> None:
    skipped = child(status=Status.SKIPPED, reason=Reason.TIME_LIMIT)
    for said in both(limited(skipped)):
        assert "The time limit of the job had passed. Press t" in said
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


@pytest.mark.parametrize("width", range(40, 130, 7))
def test_no_time_and_no_option_of_a_job_is_torn(width: int) -> None:
    rows = page(replace(parent(child()), batch=17, pinned=True), width)
    for part in ("batch b17", "pinned", "on failure continue"):
        assert any(part in row for row in rows)


def test_a_job_that_is_pinned_says_so() -> None:
    assert "pinned" in " ".join(page(replace(parent(child()), pinned=True)))
    assert "pinned" not in " ".join(page(parent(child())))


@pytest.mark.parametrize("width", [40, 51, 80])
def test_a_long_name_is_cut_in_its_middle_in_the_detail_of_what_runs(width: int) -> None:
    name = "a table with a long name " * 5 + "and an end"
    job = replace(RUNNING, progress=Progress(object=name, steps_done=2, steps_total=9))
    first, _, below = detail(parent(job), width)
    assert first == "#42.1 vacuum  ► running  1:00"
    assert len(below) == width
    assert below.startswith("2 of 9 ste")
    assert below.endswith("and an end")


def test_the_detail_of_what_runs_says_how_far_it_is_and_how_long_it_will_go_on() -> None:
    progress = Progress(fraction=0.75, object="orders", phase="copying", steps_done=2, steps_total=9)
    head = "#42.1 vacuum  ► running  1:00"
    measured, work = "75%  0:20 left  30 s a step", "copying  2 of 9 steps done, at orders"
    assert detail(parent(replace(RUNNING, progress=progress))) == [head, measured, work]
    unknown = replace(progress, fraction=None, phase=None)
    assert detail(parent(replace(RUNNING, progress=unknown))) == [head, "30 s a step", "2 of 9 steps done, at orders"]
    cancelled = detail(parent(replace(RUNNING, progress=progress, cancel_requested_at=NOW)))
    assert "left" not in " ".join(cancelled)


@pytest.mark.parametrize(
    ("done", "running", "words"),
    [
        (0, 3, "0 of 3 steps done, 3 running"),
        (1, 2, "1 of 3 steps done, 2 running"),
        (2, 1, "2 of 3 steps done, at orders"),
        (2, 3, "2 of 3 steps done, at orders"),  # the steps were read before
        (3, 0, "3 of 3 steps done"),
    ],
)
def test_of_steps_that_run_at_once_it_is_said_how_many_are_done(done: int, running: int, words: str) -> None:
    steps = tuple(
        Step(
            number=number, attempt=1, object=f"t{number}", command="ANALYZE", status=Status.RUNNING, started_at=START
        )
        for number in range(1, running + 1)
    )  # fmt: skip
    progress = Progress(object="orders", steps_done=done, steps_total=3)
    assert words in detail(parent(replace(RUNNING, progress=progress, steps=steps)))


@pytest.mark.parametrize(("name", "words"), [("main", []), ("orders", ["at orders"])])
def test_a_single_step_is_not_counted(name: str, words: list[str]) -> None:
    assert detail(parent(replace(RUNNING, progress=Progress(object=name, steps_total=1))))[1:] == words


CHECKED = replace(
    child(1, Status.FAILED, Reason.OPERATION_ERROR, operation=Operation.CHECK, error="the database has 4 defects"),
    before={"size": 5},
    after={"size": 5, "findings": 4, "damaged_indexes": ["i_a", "i_b"]},
    log=tuple(
        LogLine(number=number, attempt=1, at=START, level=level, message=message)
        for number, (level, message) in enumerate(
            (
                (LogLevel.INFO, "looked at every page"),
                (LogLevel.ERROR, "row 5 missing from index i_a"),
                (LogLevel.ERROR, "wrong # of entries in index i_b\x1b[2J"),
            ),
            1,
        )
    ),
)


def test_what_a_check_found_is_told_line_by_line_and_not_again_in_the_log() -> None:
    assert about(parent(CHECKED)) == [
        ".1 check  × failed  1.50 s  4 findings (quick)",
        "    the database has 4 defects",
        "    × row 5 missing from index i_a",
        "    × wrong # of entries in index i_b\\x1b[2J",
        "    ... and 2 more that are not kept",
        "    damaged indexes  i_a, i_b",
        "      22:13:20  info  looked at every page",
    ]


TO_DO = "Put right what is named. Then check again."
BROKE = replace(
    CHECKED,
    error="row 5 missing from index i_a, the first of 2 findings",
    after={"size": 5, "findings": 2, "remedy": TO_DO},
    steps=(
        replace(step(1), status=Status.COMPLETED, effect={"findings": 0}),
        replace(
            step(1),
            number=2,
            status=Status.FAILED,
            error="row 5 missing from index i_a, the first of 2 findings",
            error_is_finding=True,
            effect={"findings": 2},
        ),
    ),
)


def test_a_finding_is_told_once_with_what_to_do_about_it() -> None:
    lines = about(parent(BROKE))
    assert len([line for line in lines if "row 5 missing" in line]) == 1
    assert lines[1:4] == [
        f"    {TO_DO}",
        "    × row 5 missing from index i_a",
        "    × wrong # of entries in index i_b\\x1b[2J",
    ]
    in_short = detail(parent(BROKE))
    assert len([line for line in in_short if "row 5 missing" in line]) == 1
    assert TO_DO in in_short
    assert not [line for line in in_short if "try again" in line]


def test_what_else_failed_beside_a_finding_is_told() -> None:
    busy = replace(step(1), status=Status.FAILED, error="the lock could not be had in 5 s: somebody reads it")
    why = f"{busy.error}; 1 of 2 steps failed. Found: {BROKE.error}"
    lines = page(parent(replace(BROKE, error=why, steps=(busy, *BROKE.steps[1:]))))
    assert [line for line in lines if "1 of 2 steps failed" in line]
    assert [line for line in lines if "the lock could not be had" in line]


def test_a_check_that_was_cancelled_says_so_beside_what_it_had_found() -> None:
    why = "stopped after 1 of 2 steps. By then: row 5 missing from index i_a. Not through: PRAGMA main.integrity_check"
    facts = {**(BROKE.after or {}), "complete": False}
    job = parent(replace(BROKE, error=why, after=facts, cancel_requested_at=START))
    for lines in (page(job), detail(job)):
        assert "2 findings so far, cancelled" in " ".join(lines)
        assert why in " ".join(line.strip() for line in lines)
        assert [line for line in lines if "The check was cancelled after it had found something." in line]


def test_a_lock_that_could_not_be_had_is_told_once_with_one_thing_to_do() -> None:
    why = "the lock could not be had in 5 s: pid 4711 (psql) reads it"
    error = why
    busy = replace(step(1), status=Status.FAILED, error=error)
    failed = child(1, Status.FAILED, Reason.TARGET_BUSY, error=f"/srv/sales.db: {error}")
    said = " ".join(page(parent(replace(failed, steps=(busy,)))))
    assert said.count(why) == 1
    assert "Try again later" not in said
    of_two = replace(failed, error=f"a: {error}; 1 of 2 steps failed", steps=(busy, replace(step(1), number=2)))
    said = " ".join(page(parent(of_two)))
    assert said.count(why) == 2
    assert "Try again later" not in said


def test_errors_in_the_log_of_what_is_no_check_stay_in_the_log() -> None:
    lines = about(parent(replace(CHECKED, operation=Operation.REINDEX)))
    assert "      22:13:20  error  row 5 missing from index i_a" in lines
    assert not [line for line in lines if line.strip().startswith("×")]


def test_what_a_step_did_stands_behind_it_or_where_there_is_no_room_below() -> None:
    freed = replace(step(1), status=Status.COMPLETED, effect={"freed_pages": 1000})
    job = parent(replace(child(), steps=(freed,)))
    assert page(job)[-1] == "    ✓    1.00 s  VACUUM -- 1  freed 1,000 pages"
    assert page(job, 40)[-2:] == ["    ✓    1.00 s  VACUUM -- 1", "                 freed 1,000 pages"]


def test_the_page_says_how_far_it_is_what_runs() -> None:
    progress = Progress(fraction=0.75, object="orders", phase="copying", steps_done=2, steps_total=9)
    lines = page(parent(replace(RUNNING, progress=progress)))
    assert ".1 vacuum  ► running  1:00  75%  0:20 left  copying  2 of 9 steps done, at orders" in lines


def test_what_was_not_needed_is_no_failure() -> None:
    skipped = child(1, Status.SKIPPED, Reason.NOT_NEEDED, operation=Operation.CHECKPOINT, error="there is no log")
    for lines in (
        job_document(parent(skipped), "sales.db", now=NOW, width=100),
        detail_lines(parent(skipped), JobId(42, 1), "sales.db", now=NOW, width=100),
    ):
        roles = {text.strip(): role for line in lines for text, role in line.spans}
        assert roles["there is no log"] is Role.DIM


def test_before_and_after_are_a_table_in_the_detail_and_on_the_page() -> None:
    done = replace(child(), before={"size": 24_100_000, "free_pages": 9}, after={"size": 14_300_000, "free_pages": 0})
    rows = ["size        24.1 MB -> 14.3 MB", "free pages        9 -> 0"]
    assert detail(parent(done), 52)[-2:] == rows
    assert page(parent(done))[-2:] == [f"    {row}" for row in rows]


def test_how_operations_do_their_work_is_told_on_the_page() -> None:
    options = Options(verify=True, jobs=2, objects=("a", "b\x1b"), analysis_limit=1000, backup_to="/b.db", force=True)
    job = parent(RUNNING)
    said = " ".join(page(replace(job, request=replace(job.request, options=options)), width=300))
    assert (
        "on failure continue, lock timeout 5 s, verified by quick checks, 2 at once, only a and b\\x1b, "
        "analysis limit 1,000 rows, backup to /b.db, forced"
    ) in said


def test_the_steps_of_a_check_are_told_by_their_objects_or_with_their_commands() -> None:
    found = replace(step(1), object="public.item", command="SELECT check_it()", status=Status.COMPLETED)
    job = parent(replace(child(operation=Operation.CHECK), steps=(found,)))
    assert about(job)[1] == "    ✓    1.00 s  public.item"
    assert "    ✓    1.00 s  SELECT check_it()" in page(job, unfolded=True)


def test_of_many_completed_steps_those_that_took_longest_are_told_or_all() -> None:
    steps = [
        replace(step(1), number=n, command=f"ANALYZE t{n}", status=Status.COMPLETED, finished_at=START + n * SECOND)
        for n in range(1, 31)
    ]
    steps[1] = replace(steps[1], status=Status.FAILED, error="it is locked")
    job = parent(replace(RUNNING, steps=tuple(steps)))
    told = [line.split()[-1] for line in page(job) if "ANALYZE t" in line]
    assert told == ["t2", *(f"t{n}" for n in range(21, 31))]
    assert "    ✓      3:28  19 shorter steps: z" in page(job)
    assert sum("ANALYZE t" in line for line in page(job, unfolded=True)) == 30


def test_log_lines_that_only_name_settings_are_folded() -> None:
    settings = replace(log_line(1), message="temporary files in memory", is_settings=True)
    job = parent(replace(RUNNING, log=(settings, log_line(2))))
    text = "\n".join(page(job))
    assert "temporary files in memory" not in text
    assert "line 2" in text
    assert "left out" not in text
    assert page(job)[-1] == "1 log line on settings: z"
    unfolded = "\n".join(page(job, unfolded=True))
    assert "temporary files in memory" in unfolded
    assert "log line on settings" not in unfolded
