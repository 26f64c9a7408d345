"""Jobs and plans as lines for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import ChildJob, Facts, JobId, LogLine, Operation, Options, ParentJob, Progress, Reason, Status, Step
from engine.domain.steps import FINISHING, WRITING_BACK, LogLevel, WaitsFor
from engine.store.ending_texts import NOT_RECOVERED, OVERWRITTEN
from tests.tui.jobs import SECOND, START, child, parent, rescued, vacuumed
from tui.commands import job_report, live_lines, report
from tui.commands.views import Milestones
from tui.console.views.remarks import remarks
from tui.presentation.job_status import ending, outcome
from tui.presentation.text import cells, local_time


def test_the_summary_of_a_job() -> None:
    assert report.summary(vacuumed()) == "#42 sales.db completed in 2.00 s  24.1 MB -> 14.3 MB, 9.80 MB back"
    assert report.summary(parent(child(1, Status.PENDING))) == "#42 sales.db pending"


@pytest.mark.parametrize(
    ("status", "reason", "error", "phrase"),
    [
        (Status.COMPLETED, None, None, "completed in 1.50 s"),
        (Status.FAILED, Reason.OPERATION_ERROR, "no\x1b[2J", "failed in 1.50 s (operation error): no\\x1b[2J"),
        (Status.CANCELLED, Reason.CANCELLED_BY_USER, None, "cancelled in 1.50 s"),
        (Status.SKIPPED, Reason.PREVIOUS_FAILED, None, "skipped (earlier failed)"),
        (Status.FAILED, Reason.OWNER_LOST, "it died", "failed in 1.50 s (worker died): it died"),
    ],
)
def test_how_a_child_ended(status: Status, reason: Reason | None, error: str | None, phrase: str) -> None:
    assert ending(child(1, status, reason, error=error)) == phrase


def test_a_file_that_was_overwritten_is_told_as_that_and_not_as_a_worker_that_died() -> None:
    facts = {"file_overwritten": True}
    lost = child(1, Status.FAILED, Reason.OWNER_LOST, error=f"{OVERWRITTEN}: put a good copy in its place")
    lost = replace(lost, after=facts)
    assert ending(lost) == f"failed in 1.50 s: {lost.error}"
    assert outcome(lost, "sqlite:///sales.db", 20) == "file overwritten"
    told = "\n".join(map(str, remarks(parent(lost), lost, 80)))
    assert OVERWRITTEN in told
    assert "worker died" not in told
    died = child(1, Status.FAILED, Reason.OWNER_LOST, error="the process that ran it died")
    assert outcome(died, "sqlite:///sales.db", 20) == "worker died"


def test_events_are_told_once_and_none_is_missed() -> None:
    waiting = parent(child(1, Status.PENDING), child(2, Status.PENDING))
    running = parent(child(1, Status.RUNNING), child(2, Status.PENDING))
    over = parent(child(1), child(2, Status.SKIPPED, Reason.PREVIOUS_FAILED, operation=Operation.ANALYZE))
    seen = {c.id: c for c in running.children}

    assert list(report.events({}, waiting)) == []
    assert list(report.events({}, running)) == ["#42.1 sales.db vacuum started"]
    assert list(report.events(seen, over)) == [
        "#42.1 sales.db vacuum completed in 1.50 s",
        "#42.2 sales.db analyze skipped (earlier failed)",
    ]
    assert next(report.events({}, over)) == "#42.1 sales.db vacuum started"


def test_an_error_that_is_told_already_is_told_in_a_few_words_once_more() -> None:
    error = "it waited 5 s for its lock: pid 4711 (somebody, psql, idle in transaction for 2s)"
    job = parent(child(1, Status.FAILED, Reason.TARGET_BUSY, error=error))
    assert report.summary(job).endswith(error)
    assert report.summary(job, short=True).endswith("  it waited 5 s for its lock: pid 4711 (somebody, psql, idle …")


def test_an_error_is_whole_in_what_is_no_terminal() -> None:
    error = "it waited 5 s for its lock: pid 4711 (somebody, psql, idle in transaction for 2s)"
    failed = child(1, Status.FAILED, Reason.TARGET_BUSY, error=error)
    job = parent(failed, child(2, operation=Operation.ANALYZE))
    assert report.summary(job).endswith(f"vacuum: {error}")
    assert report.history_table([job], short=False)[1].endswith(f"vacuum: {error}")
    assert report.history_table([job], short=True)[1].endswith("…")


def test_the_history_is_a_table() -> None:
    heading, first, second = report.history_table(
        [vacuumed(), parent(child(1, Status.FAILED, Reason.OPERATION_ERROR, error="disk\nfull"))],
        short=True,
    )
    assert heading.split() == ["JOB", "CREATED", "TARGET", "OPERATIONS", "STATUS", "TOOK", "EFFECT"]
    assert first.endswith("9.80 MB back")
    assert second.endswith("vacuum: disk full")
    assert first.index("sales.db") == second.index("sales.db") == heading.index("TARGET")


def test_one_job_whole_and_one_child_of_it() -> None:
    job = replace(vacuumed(), retry_of=41)
    lines = "\n".join(job_report.job_lines(job, START))
    assert "retry of #41" in lines
    assert "1.00 s   VACUUM" in lines
    assert "warning: hello\\x1b[2J" in lines
    two = parent(child(1), child(2, operation=Operation.ANALYZE))
    only = "\n".join(job_report.job_lines(two, START, JobId(42, 2)))
    assert "#42.2 analyze" in only
    assert "#42.1" not in only


CHECKED = replace(
    child(1, Status.FAILED, Reason.OPERATION_ERROR, operation=Operation.CHECK, error="the database has 7 defects"),
    after={"findings": 7, "level": "quick"},
    before={},
    log=tuple(
        LogLine(number=n, attempt=1, at=START, level=LogLevel.ERROR, message=f"row {n}\nis missing\x1b")
        for n in range(1, 8)
    ),
)


def test_what_a_check_found_is_told_line_by_line() -> None:
    lines = job_report.job_lines(parent(CHECKED), START)
    assert lines[-8:] == [
        "× #42.1 check failed in 1.50 s: 7 findings (quick)",
        *[f"  found    row {n} is missing\\x1b" for n in range(1, 8)],
    ]


def check_with_steps(count: int) -> ParentJob:
    steps = tuple(
        Step(
            number=n,
            attempt=1,
            object=f"public.t{n}",
            command=f"SELECT check_it('t{n}')",
            status=Status.FAILED if n == 3 else Status.COMPLETED,
            error="t3 is damaged" if n == 3 else None,
            started_at=START,
            finished_at=START + n * SECOND // 1000,
        )
        for n in range(1, count + 1)
    )
    return parent(replace(child(1, operation=Operation.CHECK), steps=steps))


def test_a_check_is_told_by_its_objects_and_of_many_by_those_that_took_longest() -> None:
    job = check_with_steps(101)
    lines = job_report.job_lines(job, START)
    assert "SELECT" not in "".join(lines)
    assert max(map(len, lines)) <= 80
    shown = [line.split()[-1] for line in lines if "public.t" in line]
    assert shown == ["public.t3", *(f"public.t{n}" for n in range(92, 102))]
    assert "t3 is damaged" in "".join(lines)
    assert lines[-1] == "  ✓ 4.18 s   90 shorter steps; --commands shows all"
    every = job_report.job_lines(job, START, commands=True)
    assert sum("SELECT check_it" in line for line in every) == 101
    few = job_report.job_lines(check_with_steps(20), START)
    assert sum("public.t" in line for line in few) == 20


def test_checks_of_the_whole_database_are_told_apart_by_their_commands() -> None:
    job = check_with_steps(2)
    whole = tuple(replace(step, object="main") for step in job.children[0].steps)
    lines = job_report.job_lines(parent(replace(job.children[0], steps=whole)), START)
    assert sum("SELECT check_it" in line for line in lines) == 2


def test_a_check_that_could_not_look_says_why() -> None:
    busy = replace(CHECKED, reason=Reason.TARGET_BUSY, error="the database is locked")
    assert ending(busy).startswith(f"failed in 1.50 s (target busy): {busy.error}")
    unknown = replace(CHECKED, after=None, error="no such collation sequence: x")
    assert ending(unknown) == f"failed in 1.50 s (operation error): {unknown.error}"


def test_the_line_of_a_job_whose_only_operation_failed_says_why() -> None:
    unknown = replace(CHECKED, before={"size": 5}, after={"size": 5}, error="no such collation sequence: x\x1b")
    assert report.summary(parent(unknown)).endswith(" sequence: x\\x1b")


def failed(operation: Operation, before: Facts, after: Facts, error: str = "the disk is full") -> ChildJob:
    return replace(child(1, Status.FAILED, operation=operation, error=error), before=before, after=after)


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        (Operation.ANALYZE, {}, {"stat_rows": 3, "changed_stat_rows": 0}),
        (Operation.REINDEX, {"index_size": 5}, {"index_size": 5}),
        (Operation.REINDEX, {"index_size": 5}, {"index_size": 9}),
        (Operation.VACUUM, {"size": 5}, {"size": 5}),
        (Operation.VACUUM, {"size": 5}, {"size": 9}),
        (Operation.CHECKPOINT, {"wal_size": 5}, {"wal_size": 5}),
        (Operation.FTS_OPTIMIZE, {"fts_segments": 5}, {"fts_segments": 5}),
    ],
)
def test_the_line_of_a_job_that_failed_and_did_nothing_says_why_alone(
    operation: Operation, before: Facts, after: Facts
) -> None:
    one = failed(operation, before, after, "/srv/sales.db: the disk\nis full")
    assert report.summary(parent(one)) == "#42 sales.db failed in 2.00 s  the disk is full"
    assert ending(one).endswith("is full")
    sized = failed(operation, {"size": 5, **before}, {"size": 5, **after})
    other = replace(child(2, Status.SKIPPED, Reason.PREVIOUS_FAILED), before=None)
    line = report.summary(parent(sized, other))
    assert line == f"#42 sales.db failed in 2.00 s  {operation}: the disk is full, 1 skipped (earlier failed)"


def test_the_line_of_a_job_that_failed_says_after_why_what_was_done_all_the_same() -> None:
    step = Step(
        number=1, attempt=1, object="i", command='REINDEX main."i"', status=Status.COMPLETED,
        operation=Operation.REINDEX, started_at=START, finished_at=START,
    )  # fmt: skip
    one = replace(failed(Operation.REINDEX, {"index_size": 9}, {"index_size": 5}), steps=(step,))
    assert report.summary(parent(one)).endswith(" full; 1 index rebuilt, 4 B smaller")
    vacuumed = replace(child(1), before={"size": 9}, after={"size": 5})
    two = replace(failed(Operation.ANALYZE, {"size": 5}, {"size": 5}), ordinal=2)
    assert report.summary(parent(vacuumed, two)).endswith("  analyze: the disk is full; 9 B -> 5 B, 4 B back")
    whole = replace(
        one, operation=Operation.VACUUM, steps=(replace(step, command="VACUUM", operation=Operation.VACUUM),)
    )
    whole = replace(whole, before={"size": 9}, after={"size": 5})
    assert report.summary(parent(whole)).endswith(" full; 9 B -> 5 B, 4 B back")


def test_a_run_shows_the_follow_up_lines_and_where_the_others_are() -> None:
    assert list(job_report.follow_up_lines(parent(CHECKED, child(2)))) == [
        *[f"row {n} is missing\\x1b" for n in range(1, 6)],
        "... and 2 more: dbtend show 42.1",
    ]
    few = replace(CHECKED, log=CHECKED.log[:2], after={"findings": 2})
    assert len(list(job_report.follow_up_lines(parent(few)))) == 2
    many = replace(CHECKED, after={"findings": 2000})
    assert list(job_report.finding_lines(many))[-1] == "... and 1,993 more that are not kept"


def test_a_job_shows_what_each_step_did_and_what_changed() -> None:
    job = vacuumed()
    (done,) = job.children
    (step,) = done.steps
    lines = job_report.job_lines(parent(replace(done, steps=(replace(step, effect={"freed_pages": 12}),))), START)
    assert "  size  24.1 MB -> 14.3 MB" in lines
    assert "  ✓ 1.00 s   VACUUM  (freed 12 pages)" in lines


def test_what_runs_says_how_far_it_is() -> None:
    progress = Progress(fraction=0.5, object="orders", phase="copying")
    now = START + 31 * SECOND
    lines = job_report.job_lines(parent(replace(child(1, Status.RUNNING), progress=progress)), now)
    assert "► #42.1 vacuum running  0:31  50%  0:31 left  copying  orders" in lines
    lines = job_report.job_lines(parent(child(1, Status.RUNNING)), now)
    assert "► #42.1 vacuum running  0:31" in lines


def test_what_was_not_needed_says_why_and_is_no_trouble() -> None:
    skipped = child(1, Status.SKIPPED, Reason.NOT_NEEDED, operation=Operation.CHECKPOINT, error="there is no log")
    assert ending(skipped) == f"skipped (not needed): {skipped.error}"
    assert report.history_table([parent(skipped)])[1].endswith("1 skipped (not needed)")
    assert report.summary(parent(skipped)).endswith("1 skipped (not needed)")


def test_the_effect_of_a_job_of_one_operation_is_that_of_the_operation() -> None:
    checked = replace(child(operation=Operation.CHECK), before={"size": 5}, after={"size": 5, "findings": 0})
    assert report.summary(parent(checked)) == "#42 sales.db completed in 2.00 s  no findings (quick)"
    assert report.summary(parent(checked, child(2))) == "#42 sales.db completed in 2.00 s  5 B"


def test_each_attempt_is_told_where_there_was_more_than_one() -> None:
    first, second = (
        Step(
            number=1, attempt=number, object="main", command="VACUUM", status=status,
            started_at=START, finished_at=START + SECOND,
        )
        for number, status in ((1, Status.FAILED), (2, Status.COMPLETED))
    )  # fmt: skip
    lines = job_report.job_lines(parent(replace(rescued(), steps=(first, second))), START + SECOND)
    began, died, again = map(local_time, (START, START + SECOND, START + 2 * SECOND))
    assert lines[-5:] == [
        "► #42.1 vacuum running, attempt 2  0:01",
        f"  attempt 1  pid 4711 on db1  {began} to {died}  worker died",
        "  × 1.00 s   VACUUM",
        f"  attempt 2  pid 4712 on db1  since {again}",
        "  ✓ 1.00 s   VACUUM",
    ]
    assert not [line for line in job_report.job_lines(vacuumed(), START) if "attempt" in line]


def test_lines_of_a_log_that_were_left_out_are_counted() -> None:
    numbers = (1, 2, 5, 6, 8)
    log = tuple(LogLine(number=n, attempt=1, at=START, level=LogLevel.INFO, message=f"line {n}") for n in numbers)
    lines = job_report.job_lines(parent(replace(child(), log=log)), START)
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
    assert not [line for line in job_report.job_lines(job, START) if "limit" in line or "pinned" in line]
    options = Options(time_limit=5400.0, until="06:00", stop_at_limit=True)
    job = replace(job, request=replace(job.request, options=options), deadline_at=START, pinned=True)
    lines = job_report.job_lines(job, START)
    limit = "no operation starts after 22:13:20 (after 1h30m, until 06:00), and running ones are cancelled"
    assert f"  limit    {limit}" in lines
    assert "  pinned   retention keeps it" in lines
    assert "✓ completed, pinned" in report.history_table([job])[1]


def test_a_frame_shows_parents_and_children() -> None:
    progress = Progress(fraction=0.5, object="orders", phase="sampling")
    running = replace(child(2, Status.RUNNING, operation=Operation.ANALYZE), progress=progress)
    lines = [text for _, text in live_lines.frame([parent(child(), running)], START + 2 * SECOND, 100)]
    assert lines == [
        "► #42 sales.db  running 75%  1/2 done  0:02  about 0:02 left",
        "   ✓ .1 vacuum    completed in 1.50 s",
        "   ► .2 analyze   ########........  50%  sampling  orders                 0:02  about 0:02 left",
    ]


def running(fraction: float | None, **more: object) -> ChildJob:
    progress = Progress(fraction=fraction, **more)  # type: ignore[arg-type]
    return replace(child(1, Status.RUNNING, operation=Operation.INCREMENTAL_VACUUM), progress=progress)


def live(child: ChildJob, seconds: int, width: int) -> str:
    return live_lines.frame([parent(child)], START + seconds * SECOND, width)[1][1]


def test_of_what_is_done_to_the_whole_database_no_object_is_named() -> None:
    assert "main" not in live(running(0.5, object="main"), 9, 119)
    assert "main" not in live(replace(running(0.5, object="main"), cancel_requested_at=START), 9, 119)


@pytest.mark.parametrize("width", [60, 79, 119, 300])
def test_what_changes_in_a_running_line_keeps_its_place(width: int) -> None:
    early = live(running(None, object="main"), 1, width)
    later = live(running(0.06, object="orders", phase="copying"), 59, width)
    late = live(running(0.99, object="a table with a rather long name", phase="writing back"), 3600, width)
    ends = {line.rindex(time) + len(time) for line, time in ((early, "0:01"), (later, "0:59"), (late, "1:00:00"))}
    assert len(ends) == 1
    assert later.index("about") == late.index("about")
    assert later.index("6%") == late.index("99%") + 1
    assert max(map(cells, (early, later, late))) <= width


def test_where_a_running_line_is_narrow_the_bar_gives_way_first_then_what_it_is_at() -> None:
    child = running(0.5, object="orders", phase="copying")
    assert "####" in live(child, 10, 100)
    assert "copying  orders" in live(child, 10, 100)
    narrow = live(child, 10, 84)
    assert "####" not in narrow
    assert "copying  orders" in narrow
    assert live(child, 10, 58).split()[3:] == ["50%", "0:10", "about", "0:10", "left"]


def test_what_is_over_says_in_fewer_words_what_it_did_where_it_is_narrow() -> None:
    copied = replace(
        child(operation=Operation.BACKUP), before={}, after={"backup": "/srv/copies/of/sales.db", "backup_size": 5}
    )
    assert live(copied, 2, 119).endswith("completed in 1.50 s, 5 B to /srv/copies/of/sales.db, checked")
    assert live(copied, 2, 60).endswith("completed in 1.50 s, 5 B to sales.db")


def test_what_is_to_stop_makes_no_promise() -> None:
    stopping = replace(running(0.5, object="orders"), cancel_requested_at=START)
    assert live(stopping, 10, 119).split()[3:] == ["0:10", "cancelling", "orders"]


def test_in_a_pipe_what_takes_long_tells_every_tenth_but_not_twice_in_half_a_minute() -> None:
    milestones = Milestones()

    def told(seconds: int, fraction: float | None, **more: object) -> list[str]:
        return list(milestones.reached(parent(running(fraction, **more)), START + seconds * SECOND))

    name = "#42.1 sales.db incremental-vacuum"
    assert told(29, 0.2) == []  # what is soon over says nothing
    assert told(31, 0.5, phase="copying", object="main") == [f"{name}  0:31  50%  0:31 left  copying"]
    assert told(45, 0.7) == []
    assert told(61, 0.79, object="orders\x1b") == [f"{name}  1:01  79%  0:17 left  orders\\x1b"]
    assert told(100, 0.79) == told(200, None) == []
    assert told(300, 0.9) == [f"{name}  5:00  90%  0:34 left"]


def test_another_attempt_begins_anew() -> None:
    milestones = Milestones()
    first = running(0.8)
    again = replace(first, attempt=2, started_at=START + 60 * SECOND, progress=Progress(fraction=0.3))
    assert len(list(milestones.reached(parent(first), START + 40 * SECOND))) == 1
    assert list(milestones.reached(parent(again), START + 70 * SECOND)) == []
    assert len(list(milestones.reached(parent(again), START + 91 * SECOND))) == 1
    over = replace(again, status=Status.COMPLETED, finished_at=START + 200 * SECOND)
    assert list(milestones.reached(parent(over), START + 200 * SECOND)) == []


def test_a_cancel_that_was_asked_for_is_said() -> None:
    running = child(1, Status.RUNNING)
    asked = replace(running, cancel_requested_at=START)
    finishing = replace(asked, progress=Progress(phase=FINISHING))
    assert live_lines.frame([parent(asked)], START, 79)[1][1].endswith("cancelling")
    words = "cancelling (finishing, cannot be interrupted)"
    assert live_lines.frame([parent(finishing)], START, 79)[1][1].endswith(words)
    full = replace(asked, progress=Progress(phase=FINISHING, waits_for=WaitsFor.SPACE))
    assert live_lines.frame([parent(full)], START, 79)[1][1].endswith("cancelling (waits for disk space)")
    assert any("free some space there" in line for line in job_report.job_lines(parent(full), START))
    assert f"► #42.1 vacuum {words}" in job_report.job_lines(parent(finishing), START)
    assert list(report.events({running.id: running}, parent(asked))) == ["#42.1 sales.db vacuum cancelling"]
    assert list(report.events({asked.id: asked}, parent(asked))) == []
    assert list(report.events({asked.id: asked}, parent(finishing))) == [f"#42.1 sales.db vacuum {words}"]


def test_a_child_that_lost_its_process_waits_to_run_again() -> None:
    running = child(1, Status.RUNNING)
    back = replace(child(1, Status.PENDING), attempt=1)
    assert list(report.events({running.id: running}, parent(back))) == ["#42.1 sales.db vacuum waits for a worker"]
    assert report.summary(parent(back)) == "#42 sales.db interrupted  vacuum: waits for a worker"
    assert "· interrupted " in report.history_table([parent(back)], short=True)[1]
    assert live_lines.frame([parent(back)], START, 79)[1][1].endswith("pending (waits for a worker)")
    known = parent(replace(back, attempts=rescued().attempts[:1]))
    assert "· #42.1 vacuum pending (worker died; waits for a worker)" in job_report.job_lines(known, START)
    begun_again = replace(running, attempt=running.attempt + 1)
    assert list(report.events({running.id: running}, parent(begun_again))) == ["#42.1 sales.db vacuum runs again"]
    assert list(report.events({back.id: back}, parent(begun_again))) == ["#42.1 sales.db vacuum runs again"]
    assert list(report.events({}, parent(begun_again))) == ["#42.1 sales.db vacuum runs again"]
    over = replace(child(1), attempt=running.attempt + 1)
    said = [f"#42.1 sales.db vacuum {what}" for what in ("runs again", ending(over))]
    assert list(report.events({running.id: running}, parent(over))) == said


def test_where_a_cancel_came_before_the_recovery_it_is_said_what_to_do() -> None:
    lost, _ = rescued().attempts
    ended = child(1, Status.CANCELLED, Reason.CANCELLED_BY_USER, error=NOT_RECOVERED)
    unrecovered = replace(ended, started_at=None, attempts=(lost,))
    to_do = (
        "  to do    A check of the database says whether it is sound. Run dbtend retry 42 to do the operation again."
    )
    assert to_do in job_report.job_lines(parent(unrecovered), START)
    handed_back = replace(unrecovered, attempts=(replace(lost, reason=Reason.SHUTDOWN),))
    assert to_do not in job_report.job_lines(parent(handed_back), START)


def test_what_became_of_a_wish_to_cancel() -> None:
    running = child(1, Status.RUNNING)
    asked = replace(running, cancel_requested_at=START)
    open_job, over = parent(running, child(2)), parent(child(1), child(2))
    what_follows = [
        "  it ends as soon as that is safe for the data",
        "  leaves: nothing changed while it copies; once it writes back, it cannot stop",
    ]
    assert list(report.cancel_lines(open_job, parent(asked, child(2)), JobId(42), START)) == [
        "#42.1 sales.db vacuum running, cancel requested",
        *what_follows,
        "#42.2 sales.db vacuum is already completed: nothing to cancel",
        "to see how it ends: dbtend show 42",
    ]
    assert list(report.cancel_lines(parent(asked), parent(asked), JobId(42, 1), START)) == [
        f"#42.1 sales.db vacuum running, cancel was requested at {local_time(START)}",
        *what_follows,
        "to see how it ends: dbtend show 42.1",
    ]
    assert list(report.cancel_lines(over, over, JobId(42), START)) == [
        "#42 sales.db is already completed: nothing to cancel"
    ]


def test_a_cancel_of_what_cannot_be_interrupted_says_so() -> None:
    running = replace(
        child(1, Status.RUNNING), started_at=START, progress=Progress(fraction=0.75, phase=WRITING_BACK, steps_total=1)
    )
    asked = replace(running, cancel_requested_at=START)
    assert list(report.cancel_lines(parent(running), parent(asked), JobId(42), START + 30_000_000)) == [
        "#42.1 sales.db vacuum running, cancel requested",
        "  it is writing back, which cannot be interrupted: it will complete, about 0:10 left",
        "  dbtend cancel 42.1 --force kills its process",
        "to see how it ends: dbtend show 42",
    ]


def test_what_was_cancelled_before_it_began_says_so() -> None:
    waits = replace(child(1, Status.PENDING), started_at=None)
    over = replace(waits, status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER)
    lines = list(report.cancel_lines(parent(waits), parent(over), JobId(42), START))
    assert lines == ["#42.1 sales.db vacuum cancelled: it had not begun"]
    assert ending(over) == "cancelled: it had not begun"


def test_what_failed_tells_its_effect_apart_from_what_to_do() -> None:
    statistics = {"stat_rows": 1, "changed_stat_rows": 1}
    failed = replace(
        child(1, Status.FAILED), operation=Operation.ANALYZE, error="try a longer lock timeout", after=statistics
    )
    assert ending(failed).endswith(f": {failed.error}; 1 of 1 statistics changed")


def test_a_step_says_what_it_left() -> None:
    step = Step(
        number=1, attempt=1, object="main", command="VACUUM", status=Status.CANCELLED,
        started_at=START, finished_at=START + 1_500_000, effect={"left": "nothing changed"},
    )  # fmt: skip
    stopped = replace(child(1, Status.CANCELLED), error="nothing changed", steps=(step,))
    lines = job_report.job_lines(parent(stopped), START)
    assert any(line.endswith("VACUUM  (nothing changed)") for line in lines)


def test_lines_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    lines = [(Status.COMPLETED, "売" * 50), *[(Status.PENDING, "waits")] * 10, (Status.RUNNING, "runs")]
    shown = live_lines.fitted(lines, width=24, height=6)
    assert len(shown) == 5
    assert max(map(cells, shown)) <= 23
    assert "runs" in shown
    assert shown[-1] == "... and 8 more lines"


def test_colour_only_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert live_lines.fitted([(Status.FAILED, "x")], 80, 24) == ["\x1b[31mx\x1b[0m"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert live_lines.fitted([(Status.FAILED, "x")], 80, 24) == ["x"]


def test_redrawing_writes_over_what_was_there() -> None:
    assert live_lines.redraw(0, ["a"]) == "\ra\x1b[K\n"
    assert live_lines.redraw(2, ["a", "b"]) == "\r\x1b[2A\ra\x1b[K\n\rb\x1b[K\n"
    assert live_lines.redraw(2, ["a"]).endswith("\x1b[J")


def test_a_child_whose_process_died_after_its_cancel_is_told_as_that() -> None:
    asked = replace(child(status=Status.RUNNING), cancel_requested_at=START)
    lost = replace(asked, status=Status.PENDING, started_at=None, recovering=True)
    recovery_text = replace(asked, attempt=2, recovering=True)
    name, said = "#42.1 sales.db vacuum", "cancelling (worker died; the database is checked first)"
    assert list(report.events({asked.id: asked}, parent(lost))) == [f"{name} {said}"]
    assert list(report.events({asked.id: lost}, parent(recovery_text))) == [f"{name} started"]
    assert f"{name.replace('sales.db ', '')} {said}, attempt 2" in " ".join(
        job_report.job_lines(parent(recovery_text), START)
    )


def test_a_child_whose_process_died_for_good_is_told_as_recovering() -> None:
    running = child(status=Status.RUNNING)
    lost = replace(running, status=Status.PENDING, started_at=None, recovering=True)
    said = "#42.1 sales.db vacuum recovering (worker died; the database is checked first)"
    assert list(report.events({running.id: running}, parent(lost))) == [said]


def test_a_cancel_of_what_was_to_be_looked_after_tells_what_that_means() -> None:
    lost = replace(child(status=Status.RUNNING), status=Status.PENDING, recovering=True, cancel_requested_at=START)
    over = replace(lost, status=Status.CANCELLED, error="not recovered yet")
    lines = list(report.cancel_lines(parent(lost), parent(over), JobId(42, 1), START))
    assert lines == [f"#42.1 sales.db vacuum cancelled: {over.error}"]


def test_a_job_is_cancelling_when_everything_that_is_not_over_is() -> None:
    asked = replace(child(2, Status.RUNNING), cancel_requested_at=START)
    job = parent(child(), asked)
    assert live_lines.frame([job], START, 79)[0][1].startswith("► #42 sales.db  cancelling  1/2 done")
    assert report.summary(job).startswith("#42 sales.db cancelling")
    assert "► cancelling" in report.history_table([job])[1]
    goes_on = parent(child(), asked, child(3, Status.PENDING))
    assert report.summary(goes_on).startswith("#42 sales.db running")


def test_what_failed_before_its_first_step_can_be_run_again() -> None:
    down = child(1, Status.FAILED, reason=Reason.OPERATION_ERROR, error="the server is down")
    down = replace(down, progress=Progress(), after=None)
    assert list(job_report.follow_up_lines(parent(down))) == [
        "Nothing was begun. Fix what the message names, then run dbtend retry 42."
    ]
    begun = replace(down, progress=Progress(steps_done=1, steps_total=2))
    assert list(job_report.follow_up_lines(parent(begun))) == []
