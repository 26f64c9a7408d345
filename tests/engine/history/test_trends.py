"""How an operation went on one database over time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine import Engine, Operation, Options, Status
from engine.domain.claims import Outcome, Report
from engine.domain.jobs import JobId
from engine.domain.past_runs import PastRun
from engine.domain.requests import CheckLevel, OnDuplicate, ServerOptions, Speed
from engine.domain.steps import Step
from engine.history.trends import RUNS, trend_of
from engine.store.sqlite import queries
from tests.building import CANCELLED, FAILED, new_job
from tests.engine.store.test_queries import any_store as any_store
from tests.engine.store.test_queries import plan_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from engine.store.sqlite.store import SqliteStore

SECOND = 1_000_000


def run(number: int, status: Status = Status.COMPLETED, options: Options | None = None) -> PastRun:
    return PastRun(
        job=JobId(number, 1), status=status, at=number * SECOND, seconds=number, size=None, options=options or Options()
    )


def test_the_newest_that_completed_are_told_oldest_first_and_the_others_between_them_counted() -> None:
    runs = [run(n, Status.FAILED if n % 10 == 0 else Status.CANCELLED if n % 10 == 5 else Status.COMPLETED)
            for n in range(100, 0, -1)]  # fmt: skip
    trend = trend_of(Operation.VACUUM, Options(), runs)
    assert len(trend.runs) == RUNS
    assert [trend.runs[0].seconds, trend.runs[-1].seconds] == [26, 99]
    assert (trend.failed, trend.cancelled) == (8, 7)


def test_only_runs_that_had_as_much_to_do_are_compared() -> None:
    quick, one = Options(check=CheckLevel.QUICK), Options(objects=("orders",))
    runs = [run(4), run(3, options=quick), run(2, options=one), run(1)]
    assert [r.seconds for r in trend_of(Operation.CHECK, Options(), runs).runs] == [1, 4]
    assert [r.seconds for r in trend_of(Operation.CHECK, quick, runs).runs] == [3]
    assert [r.seconds for r in trend_of(Operation.VACUUM, Options(), runs).runs] == [1, 3, 4]
    assert trend_of(Operation.CHECK, replace(quick, objects=("x",)), runs).runs == ()


def test_past_runs_are_found_along_the_jobs_of_the_target(any_store: sqlite3.Connection) -> None:
    values = {"target": "sqlite:///db1.db", "operation": "vacuum", "newest": 150, "jobs": 60, "runs": 9}
    plan = plan_of(any_store, queries.PAST_RUNS, values)
    assert [line for line in plan if "parent_job" in line or line.startswith(("SCAN", "SEARCH"))] == [
        "SEARCH p USING INDEX parent_job_target (target=? AND id>? AND id<?)",
        "SEARCH parent_job USING COVERING INDEX parent_job_target (target=? AND id<?)",
        "SEARCH c USING INDEX child_job_operation (operation=? AND parent_id=?)",
    ]
    assert not [line for line in plan if "TEMP B-TREE" in line]


def test_steps_of_past_runs_are_found_without_a_walk_through_all(any_store: sqlite3.Connection) -> None:
    values = {"target": "sqlite:///db1.db", "operation": "vacuum", "newest": 2**63 - 1, "jobs": 60, "runs": 5}
    values["speed"] = "full"
    assert [line for line in plan_of(any_store, queries.PAST_STEPS, values) if line.startswith("SCAN")] == ["SCAN r"]


def test_what_was_done_last_is_found_along_the_jobs_of_the_target(any_store: sqlite3.Connection) -> None:
    plan = plan_of(any_store, queries.LAST_DONE, {"target": "postgresql://a@b/c", "jobs": 60})
    searched = [line for line in plan if line.startswith(("SCAN", "SEARCH"))]
    assert searched[0].startswith("SEARCH p USING INDEX parent_job_target")
    assert "SEARCH s USING PRIMARY KEY (parent_id=?)" in searched


async def test_what_the_steps_of_past_runs_took_is_known_by_their_commands(store: SqliteStore) -> None:
    def step(number: int, command: str, seconds: int, status: Status = Status.COMPLETED) -> Step:
        finished_at = 1 + seconds * 1_000_000
        return Step(
            number=number, attempt=1, object="o", command=command, status=status, started_at=1, finished_at=finished_at
        )

    runs = [
        (step(1, "VACUUM a", 2), step(2, "VACUUM b", 1)),
        (replace(step(1, "VACUUM a", 64), effect={"waited": 60.0}), step(2, "VACUUM b", 9, Status.FAILED)),
    ]
    for target in ("sales", "other"):
        for steps in runs if target == "sales" else [(step(1, "VACUUM a", 90),)]:
            ids = await store.submit([new_job(target, Operation.VACUUM)], OnDuplicate.REFUSE)
            claim = await store.claim("me", ids)
            assert claim is not None
            await store.finish(claim, FAILED, Report(steps=steps))

    async def took(operation: Operation, runs: int) -> Mapping[str, float]:
        found = await store.past_steps("sqlite:///sales.db", operation, speed=Speed.FULL, jobs=50, runs=runs)
        return {command: step.seconds for command, step in found.items()}

    assert await took(Operation.VACUUM, 5) == {"VACUUM a": 3, "VACUUM b": 1}
    assert await took(Operation.VACUUM, 1) == {"VACUUM a": 4}
    assert await took(Operation.REINDEX, 5) == {}


async def test_trap_what_a_step_took_at_another_speed_tells_nothing(store: SqliteStore) -> None:
    taken = {Speed.FULL: 1, Speed.GENTLE: 64, None: 3}
    for speed, seconds in taken.items():
        job, server = (
            new_job("sales", Operation.VACUUM),
            ServerOptions() if speed is None else ServerOptions(speed=speed),
        )
        request = replace(job.request, options=Options(server=server))
        ids = await store.submit([replace(job, request=request)], OnDuplicate.REFUSE)
        claim = await store.claim("me", ids)
        assert claim is not None
        finished_at = 1 + seconds * 1_000_000
        step = Step(
            number=1,
            attempt=1,
            object="o",
            command="VACUUM a",
            status=Status.COMPLETED,
            started_at=1,
            finished_at=finished_at,
        )
        await store.finish(claim, FAILED, Report(steps=(step,)))

    async def took(speed: Speed, runs: int = 5) -> Mapping[str, float]:
        found = await store.past_steps("sqlite:///sales.db", "vacuum", speed=speed, jobs=50, runs=runs)
        return {command: step.seconds for command, step in found.items()}

    assert await took(Speed.FULL) == {"VACUUM a": 2}
    assert await took(Speed.GENTLE, runs=1) == {"VACUUM a": 64}
    assert await took(Speed.NORMAL) == {}


async def test_the_trend_of_a_job_is_of_its_target_up_to_then(store: SqliteStore, store_path: Path) -> None:
    outcomes = [
        Outcome(status=Status.COMPLETED, before={"size": 90}, after={"size": 70}),
        FAILED,
        Outcome(status=Status.COMPLETED, before={"size": 80}),
        CANCELLED,
        Outcome(status=Status.COMPLETED),
    ]
    jobs = []
    for outcome in outcomes:
        for target in ("sales", "other"):
            ids = await store.submit([new_job(target, Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
            while claim := await store.claim("me", ids):
                await store.finish(claim, outcome, Report())
            jobs += ids if target == "sales" else []
    async with Engine.open(store_path) as engine:
        vacuum, analyze = await engine.trend(await engine.job(jobs[3]))
        (last, _) = await engine.trend(await engine.job(jobs[4]))
    assert (vacuum.operation, analyze.operation) == (Operation.VACUUM, Operation.ANALYZE)
    assert [(r.job, r.size) for r in vacuum.runs] == [(JobId(jobs[0], 1), 70), (JobId(jobs[2], 1), 80)]
    assert (vacuum.failed, vacuum.cancelled) == (1, 1)
    assert [r.size for r in last.runs] == [70, 80, None]


async def test_what_has_not_begun_or_still_runs_is_no_past_run(store: SqliteStore, store_path: Path) -> None:
    (parent_id,) = await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    await store.claim("me")
    async with Engine.open(store_path) as engine:
        trends = await engine.trend(await engine.job(parent_id))
    assert [trend.runs for trend in trends] == [(), ()]
