"""R21: of very long logs head and tail are kept, whatever the store took when; and progress never goes back."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.claims import Claim, Report
from engine.domain.errors import StoreError
from engine.domain.jobs import ALMOST_ALL, JobId
from engine.domain.requests import OnDuplicate, Operation, Options
from engine.domain.statuses import Status
from engine.domain.steps import (
    CLEANING_UP,
    FINISHING,
    LOG_HEAD,
    LOG_LINE_LIMIT,
    LOG_TAIL,
    WAITING,
    LogLevel,
    Progress,
    WaitsFor,
)
from engine.execution.plan_progress import ONE_BY_ONE, PlanProgress
from engine.execution.reporter import FIRST_INTERVAL, Reporter
from engine.store.sqlite import connections, transactions
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import PlannedStep
from engine.targets.step_execution import StepProgress, StepResult
from tests.building import COMPLETED, StoppedClock, new_job, ticking_clock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.store.sqlite.store import SqliteStore

STEP = PlannedStep(object="main", command="VACUUM", reason="", lock=NO_LOCK)
CLAIM = Claim(job=JobId(1, 1), type="", attempt=1, owner="me", target="", operation=Operation.VACUUM, options=Options())
DONE = StepResult(status=Status.COMPLETED)


async def refuse(report: Report) -> None:
    raise StoreError("the store of jobs", "the disk is full")


def kept(last: int, head: int = LOG_HEAD, tail: int = LOG_TAIL) -> list[int]:
    """The numbers of the lines that should be there where `last` were written."""
    return [*range(1, min(head, last) + 1), *range(max(head, last - tail) + 1, last + 1)]


async def claimed(store: SqliteStore) -> Claim:
    claim = await store.claim("me")
    assert claim is not None
    return claim


async def test_r21_of_a_hundred_thousand_lines_head_and_tail_are_stored(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.reporter.INTERVAL", 0)
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await claimed(store)
    most, sent = 0, asyncio.Event()

    async def send(report: Report) -> None:
        nonlocal most
        await store.report(claim, report)
        most = max(most, len((await store.job(1)).children[0].log))
        sent.set()

    reporter = Reporter(claim, send, ticking_clock())
    for number in range(1, 100_001):
        reporter.log(LogLevel.INFO, f"line {number}")
        if number % 1_700 == 0:
            await sent.wait()
            sent.clear()
    await store.finish(claim, COMPLETED, await reporter.stop())
    log = (await store.job(1)).children[0].log
    assert [line.number for line in log] == kept(100_000)
    assert {line.message == f"line {line.number}" for line in log} == {True}
    assert most == LOG_HEAD + LOG_TAIL


async def test_r21_a_store_that_takes_nothing_lets_no_log_grow_in_memory() -> None:
    reporter = Reporter(CLAIM, refuse, ticking_clock())
    for number in range(100_000):
        reporter.log(LogLevel.INFO, f"line {number}")
    report = await reporter.stop()
    assert [line.number for line in report.log] == kept(100_000)


async def test_what_ends_in_a_moment_sends_nothing_before_its_end() -> None:
    sent: list[Report] = []

    async def send(report: Report) -> None:
        sent.append(report)

    reporter = Reporter(CLAIM, send, ticking_clock())
    reporter.begin([STEP])
    reporter.begin_step(1)
    await asyncio.sleep(0)
    reporter.end_step(1, DONE)
    report = await reporter.stop()
    assert (sent, [step.status for step in report.steps]) == ([], [Status.COMPLETED])


async def test_what_recovery_needs_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.execution.reporter.FIRST_INTERVAL", 3600)
    monkeypatch.setattr("engine.execution.reporter.INTERVAL", 3600)
    sent = asyncio.get_running_loop().create_future()

    async def send(report: Report) -> None:
        sent.set_result(report)

    reporter = Reporter(CLAIM, send, ticking_clock())
    reporter.begin([STEP])
    reporter.begin_step(1)
    await asyncio.sleep(0)
    reporter.note(1, {"left": "a copy"})
    assert [step.effect for step in (await sent).steps] == [{"left": "a copy"}]
    await reporter.stop()


async def test_only_what_recovery_needs_waits_for_the_disk(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[int] = []
    write = transactions.write_report

    def noticed(db: sqlite3.Connection, claim: Claim, report: Report) -> None:
        levels.extend(level for (level,) in db.execute("PRAGMA synchronous"))
        write(db, claim, report)

    monkeypatch.setattr(transactions, "write_report", noticed)
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await claimed(store)
    reporter = Reporter(claim, partial(store.report, claim), ticking_clock())
    reporter.begin([STEP, STEP])
    reporter.begin_step(1)
    reporter.log(LogLevel.INFO, "it begins")
    assert await reporter.flush()
    reporter.end_step(1, DONE)
    assert await reporter.flush()
    reporter.begin_step(2)
    reporter.note(2, {"file": 7})
    assert await reporter.flush()
    await reporter.stop()
    normal, full = 1, 2
    assert (levels[:2], set(levels[2:])) == ([normal, normal], {full})


async def test_r21_each_attempt_has_a_log_of_its_own(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    for _ in range(2):
        claim = await claimed(store)
        reporter = Reporter(claim, lambda report, claim=claim: store.report(claim, report), ticking_clock())  # type: ignore[misc]
        for number in range(2 * (LOG_HEAD + LOG_TAIL)):
            reporter.log(LogLevel.INFO, f"line {number}")
        await store.release(claim, await reporter.stop())
    log = (await store.job(1)).children[0].log
    assert [(line.attempt, line.number) for line in log] == [
        (attempt, number) for attempt in (1, 2) for number in kept(2 * (LOG_HEAD + LOG_TAIL))
    ]


async def test_r21_of_a_very_long_line_both_ends_are_kept(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await claimed(store)
    reporter = Reporter(claim, lambda report: store.report(claim, report), ticking_clock())
    reporter.log(LogLevel.ERROR, "x" * LOG_LINE_LIMIT)
    reporter.log(LogLevel.ERROR, f"begin {'x' * 10_000_000} end")
    await store.finish(claim, COMPLETED, await reporter.stop())
    whole, shortened = (line.message for line in (await store.job(1)).children[0].log)
    assert whole == "x" * LOG_LINE_LIMIT
    assert shortened.startswith("begin x")
    assert shortened.endswith("x end")
    assert "... 9,992,010 characters left out ..." in shortened
    assert len(shortened) < LOG_LINE_LIMIT + 100


@settings(max_examples=60)
@given(chunks=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=12))
def test_r21_whatever_the_store_took_when_head_and_tail_are_there_in_the_end(chunks: list[tuple[int, bool]]) -> None:
    """`chunks`: so many lines, then whether the store takes what it is given meanwhile."""
    head, tail = 5, 7

    async def write() -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = connections.create_file(Path(directory) / "jobs.db")
            with closing(connections.connect_writer(path)) as file:
                file.execute("PRAGMA synchronous = OFF")
                transactions.submit(file, [new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE, 1)
                claim = transactions.claim(file, "me", None, 2, 2)
                assert claim is not None
                takes = True

                async def send(report: Report) -> None:
                    if not takes:
                        raise StoreError("the store of jobs", "the disk is full")
                    transactions.write_report(file, claim, report)

                reporter = Reporter(claim, send, ticking_clock())
                for lines, takes in chunks:  # noqa: B007 - `send` looks at it
                    for _ in range(lines):
                        reporter.log(LogLevel.INFO, "line")
                    for _ in range(3):
                        await asyncio.sleep(0)
                unsent = await reporter.stop()
                assert len(unsent.log) <= head + tail
                transactions.finish(file, claim, COMPLETED, unsent, 3)
                stored = [number for (number,) in file.execute("SELECT number FROM log ORDER BY number")]
                assert stored == kept(sum(lines for lines, _ in chunks), head, tail)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("engine.execution.reporter", "engine.store.sqlite.transactions"):
            patch.setattr(f"{module}.LOG_HEAD", head)
            patch.setattr(f"{module}.LOG_TAIL", tail)
        patch.setattr("engine.execution.reporter.INTERVAL", 0)
        asyncio.run(write())


async def test_the_phase_of_a_step_ends_with_it(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await claimed(store)
    sent = asyncio.Event()

    async def send(report: Report) -> None:
        await store.report(claim, report)
        sent.set()

    reporter = Reporter(claim, send, ticking_clock())
    reporter.begin([STEP, STEP])
    reporter.begin_step(1)
    reporter.report_progress(1, StepProgress(phase="copying"))
    await sent.wait()
    assert (await store.job(1)).children[0].progress.phase == "copying"
    reporter.end_step(1, StepResult(status=Status.COMPLETED))
    report = await reporter.stop()
    assert report.progress.phase is None
    await store.finish(claim, COMPLETED, report)
    assert (await store.job(1)).children[0].progress.phase is None


async def test_looks_at_what_a_step_did_take_none_of_its_time() -> None:
    clock = ticking_clock()
    reporter = Reporter(CLAIM, refuse, clock)
    reporter.begin([STEP, STEP])
    reporter.begin_step(1)
    reporter.command_finished(1)
    over_at = clock()
    reporter.begin_step(2)
    report = await reporter.stop()
    assert [step.number for step in report.steps] == [2]  # nobody is shown that the first runs
    assert report.progress.steps_done == 1
    reporter.end_step(1, DONE)
    report = await reporter.stop()
    assert [(step.number, step.status) for step in report.steps] == [(2, Status.RUNNING), (1, Status.COMPLETED)]
    assert (report.steps[1].finished_at or 0) < over_at


def estimated(*seconds: float | None) -> list[PlannedStep]:
    return [replace(STEP, object=f"object {n}", estimate=estimate) for n, estimate in enumerate(seconds, 1)]


def overall(
    steps: Sequence[PlannedStep], over: Collection[int], running: Mapping[int, StepProgress], *, at_once: int = 1
) -> Progress:
    return PlanProgress(steps, at_once=at_once).snapshot(over, running)


def test_each_step_weighs_as_much_as_the_seconds_it_is_expected_to_take() -> None:
    steps = estimated(1, 8, 1)
    assert overall(steps, {1}, {2: StepProgress(fraction=0.5)}).fraction == pytest.approx(0.5)
    assert overall(steps, {1, 2}, {}).fraction == pytest.approx(0.9)
    assert overall(steps, {1, 2, 3}, {}).fraction == pytest.approx(1)


def test_the_time_that_planning_took_counts_and_leaves_the_rest_as_it_is() -> None:
    def told(fraction: float, *, before: float, worked: float, ending: float = 0.0) -> float | None:
        progress = PlanProgress(estimated(8), at_once=1)
        running = {1: StepProgress(fraction=fraction)}
        return progress.snapshot((), running, before=before, worked=worked, ending=ending).fraction

    assert told(0.5, before=2, worked=4) == pytest.approx(6 / 10)
    assert told(0.5, before=2, worked=8) == pytest.approx(10 / 18), "the steps take longer than expected"
    assert told(0.25, before=2, worked=0.1) == pytest.approx(4 / 10), "a quick start promises nothing"
    assert told(0.5, before=2, worked=4, ending=2) == pytest.approx(6 / 12), "what follows the steps takes time, too"
    assert told(1.0, before=2, worked=8) == 1
    assert told(0.5, before=0, worked=4) == pytest.approx(0.5)
    assert told(0.0, before=2, worked=4) == 0


def test_a_step_without_an_estimate_weighs_as_much_as_the_others_on_average() -> None:
    assert overall(estimated(2, None, 6), {2}, {}).fraction == pytest.approx(4 / 12)
    assert overall(estimated(None, None), {1}, {}).fraction == pytest.approx(1 / 2)
    assert overall(estimated(0, 0), {1}, {}).fraction == pytest.approx(1 / 2)


def test_what_a_damaged_database_makes_of_an_estimate_does_no_harm() -> None:
    assert overall(estimated(-1, -2), {1}, {}).fraction == pytest.approx(1 / 2)
    assert overall(estimated(-1), {1}, {}).fraction == pytest.approx(1)


def test_of_steps_that_run_at_once_the_longest_decides() -> None:
    steps = estimated(8, 1, 1, 2)
    half = {1: StepProgress(fraction=0.5)}
    assert overall(steps, {2, 3, 4}, half, at_once=2).fraction == pytest.approx(0.5)
    assert overall(steps, {2}, half, at_once=2).fraction == pytest.approx(0.5)
    assert overall(steps, {1}, {}, at_once=2).fraction == pytest.approx(1 - 3 / 8)


def test_steps_that_must_not_run_at_once_take_the_time_of_them_all() -> None:
    steps = [replace(step, conflict="a" if n < 3 else "") for n, step in enumerate(estimated(4, 4, 4, 1, 1))]
    assert overall(steps, {1, 4, 5}, {}, at_once=2).fraction == pytest.approx(1 - 8 / 12)


def test_of_very_many_steps_it_is_known_as_well() -> None:
    steps = estimated(*[1.0] * 2 * ONE_BY_ONE)
    assert overall(steps, range(1, ONE_BY_ONE + 1), {}, at_once=4).fraction == pytest.approx(0.5)
    assert overall([*estimated(3.0 * ONE_BY_ONE), *steps], (), {1: StepProgress(fraction=0.5)}, at_once=2).fraction == (
        pytest.approx(1 - 1.75 / 3, abs=0.01)
    )


def test_in_the_first_step_nothing_is_known_until_it_tells() -> None:
    steps = estimated(1, 1)
    assert overall(steps, (), {1: StepProgress()}) == Progress(object="object 1", steps_total=2)
    told = overall(steps, (), {1: StepProgress(fraction=0.2, phase="copying")})
    assert told.fraction == pytest.approx(0.1)
    assert replace(told, fraction=None) == Progress(object="object 1", steps_total=2, phase="copying")
    assert overall([], (), {}) == Progress()


def test_trap_of_steps_that_run_at_once_one_that_waits_is_shown_with_who_is_in_its_way() -> None:
    steps, works = estimated(1, 1, 1), StepProgress(fraction=0.5, phase="scanning heap")
    waits = StepProgress(phase=f"{WAITING}: pid 786 (psql, joe)", waits_for=WaitsFor.LOCK)
    assert overall(steps, (), {1: works, 2: works}, at_once=3).object == "object 1"
    told = overall(steps, (), {1: works, 2: waits, 3: waits}, at_once=3)
    assert (told.object, told.phase) == ("object 2", waits.phase)


_fractions = st.none() | st.floats(0, 1)
_estimates = st.none() | st.floats(0, 1e9)


@given(steps=st.lists(st.tuples(_estimates, st.sampled_from(["waits", "runs", "is over"]), _fractions), min_size=1))
def test_the_whole_is_never_less_than_nothing_nor_more_than_all(
    steps: list[tuple[float | None, str, float | None]],
) -> None:
    planned = estimated(*(estimate for estimate, _, _ in steps))
    over = {n for n, (_, state, _) in enumerate(steps, 1) if state == "is over"}
    running = {n: StepProgress(fraction=part) for n, (_, state, part) in enumerate(steps, 1) if state == "runs"}
    progress = overall(planned, over, running)
    assert progress.fraction is None or 0 <= progress.fraction <= 1
    assert (progress.steps_done, progress.steps_total) == (len(over), len(steps))
    assert not running or progress.object in {planned[n - 1].object for n in running}


async def test_a_report_says_how_far_the_job_will_be_when_it_is_read_also_in_the_next_step() -> None:
    clock = StoppedClock()
    begun = clock.at

    async def told(after: float) -> float | None:
        clock.at = begun + round(1e6 * after)
        return (await reporter.stop()).progress.fraction

    reporter = Reporter(CLAIM, refuse, clock)
    reporter.begin(estimated(1, 1, 2))
    reporter.begin_step(1)
    clock.at = begun + 1_000_000
    reporter.end_step(1, DONE)
    reporter.begin_step(2)
    age = FIRST_INTERVAL / 2
    assert await told(1.0) == pytest.approx(0.25 * (1 + age))
    assert await told(1.2) == pytest.approx(0.25 * (1.2 + age))
    clock.at = begun + 2_000_000
    reporter.report_progress(2, StepProgress(fraction=0.9, waits_for=WaitsFor.LOCK))
    assert await told(2.2) == pytest.approx(1.9 / 4)  # which stands
    reporter.report_progress(2, StepProgress(fraction=1.0))
    reporter.begin_step(3)
    reporter.report_progress(3, StepProgress(fraction=0.98))
    assert await told(4.0) == pytest.approx(ALMOST_ALL)


async def test_of_a_plan_that_has_grown_the_percent_is_that_of_all_steps() -> None:
    reporter = Reporter(CLAIM, refuse, ticking_clock())
    reporter.begin([STEP])
    reporter.begin_step(1)
    reporter.end_step(1, DONE)
    assert (await reporter.stop()).progress.fraction == 1.0
    reporter.extend([STEP] * 4, at_once=1)
    reporter.begin_step(2)
    progress = (await reporter.stop()).progress
    assert progress.fraction is not None
    assert (progress.fraction < 0.5, progress.steps_done, progress.steps_total) == (True, 1, 5)


@given(
    estimates=st.lists(_estimates, min_size=1, max_size=6),
    at_once=st.integers(1, 4),
    events=st.lists(st.tuples(st.sampled_from(["tell", "end", "goes on"]), st.integers(0, 3), _fractions), max_size=20),
)
def test_the_bar_never_goes_back_in_whatever_order_steps_run_and_tell(
    estimates: list[float | None], at_once: int, events: list[tuple[str, int, float | None]]
) -> None:
    seen: list[float | None] = []

    async def run() -> None:
        reporter = Reporter(CLAIM, refuse, ticking_clock())
        reporter.begin(estimated(*estimates))
        waiting, running = list(range(1, len(estimates) + 1)), list[int]()
        endings = [("end", 0, None)] * len(estimates)
        for kind, which, fraction in [*events, *endings]:
            while waiting and len(running) < at_once:
                running.append(waiting.pop(0))
                reporter.begin_step(running[-1])
            if not running:
                break
            number = running[which % len(running)]
            if kind == "tell":
                reporter.report_progress(number, StepProgress(fraction=fraction))
            elif kind == "goes on":
                reporter.mark_uninterruptible()
            else:
                running.remove(number)
                reporter.end_step(number, DONE)
            seen.append((await reporter.stop()).progress.fraction)

    asyncio.run(run())
    known = [fraction for fraction in seen if fraction is not None]
    assert seen[len(seen) - len(known) :] == known  # once it is known it stays known
    assert known == sorted(known)
    assert known[-1] == pytest.approx(1)


async def test_what_was_asked_to_stop_and_goes_on_is_said_to_finish_until_its_step_is_over() -> None:
    reporter = Reporter(CLAIM, refuse, ticking_clock())
    reporter.begin(estimated(1, 1))
    reporter.begin_step(1)
    reporter.mark_uninterruptible()
    reporter.report_progress(1, StepProgress(fraction=0.5, phase="writing back"))
    assert (await reporter.stop()).progress.phase == FINISHING
    reporter.report_progress(1, StepProgress(phase=CLEANING_UP))
    assert (await reporter.stop()).progress.phase == CLEANING_UP
    reporter.end_step(1, DONE)
    assert (await reporter.stop()).progress.phase is None


async def test_the_effect_of_a_step_is_kept_with_it() -> None:
    reporter = Reporter(CLAIM, refuse, ticking_clock())
    reporter.begin([STEP])
    reporter.begin_step(1)
    reporter.end_step(1, replace(DONE, effect={"freed_pages": 7}))
    (step,) = (await reporter.stop()).steps
    assert (step.object, step.status, step.effect) == ("main", Status.COMPLETED, {"freed_pages": 7})
    assert step.finished_at is not None
    assert step.finished_at > step.started_at


async def test_what_is_noted_of_a_step_is_told_as_long_as_it_has_not_ended() -> None:
    reporter = Reporter(CLAIM, refuse, ticking_clock())
    reporter.begin([STEP])
    reporter.begin_step(1)
    reporter.note(1, {"file": 7})
    assert [step.effect for step in (await reporter.stop()).steps] == [{"file": 7}]
    reporter.end_step(1, DONE)
    assert [step.effect for step in (await reporter.stop()).steps] == [None]


async def test_where_how_far_it_is_cannot_be_told_the_work_and_its_report_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absurd(*_: object, **__: object) -> Progress:
        raise ZeroDivisionError

    monkeypatch.setattr(PlanProgress, "snapshot", absurd)
    reporter = Reporter(CLAIM, refuse, ticking_clock())
    reporter.begin([STEP])
    reporter.begin_step(1)
    reporter.end_step(1, DONE)
    assert [step.status for step in (await reporter.stop()).steps] == [Status.COMPLETED]
    assert f"progress of #{CLAIM.job} " in caplog.text
