"""What by its estimate would end after the window is not begun, and the next that fits is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, ParentJob, Reason, Request, ServerOptions, Status
from engine.domain.claims import Outcome, Report
from engine.domain.requests import OnDuplicate
from engine.domain.steps import EXPECTED, TIME_LEFT, Step
from engine.history import estimates
from engine.store.protocol import NewJob
from engine.store.sqlite.store import SqliteStore
from engine.targets import resolve
from tests.building import StoppedClock
from tests.engine.closing import window_closing_after
from tests.sqlite_files import make_database
from tui.presentation.exit_codes import TIME_LIMIT, exit_code

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_databases import Database

REINDEX, VACUUM = Operation.REINDEX, Operation.VACUUM
HOUR = 3600.0
ALL = 10**6


async def took_before(store_path: Path, request: Request, seconds: dict[str, float]) -> None:
    """Put a run on record that did not complete, and how long its steps took, by their commands."""
    target = resolve(request.target)
    async with SqliteStore.open(store_path) as store:
        job = NewJob(request=request, engine=target.engine, target_key="of the past")
        await store.submit([job], OnDuplicate.REFUSE)
        claim = await store.claim("me")
        assert claim is not None
        steps = tuple(
            Step(
                number=number,
                attempt=claim.attempt,
                object="o",
                command=command,
                status=Status.COMPLETED,
                started_at=1,
                finished_at=1 + round(took * 1e6),
            )
            for number, (command, took) in enumerate(seconds.items(), 1)
        )
        await store.finish(claim, Outcome(status=Status.FAILED, error="it broke"), Report(steps=steps))


async def planned(engine: Engine, request: Request) -> list[tuple[str, str, Reason | None]]:
    """Object, command, and why it would not begin, of each step."""
    (operation,) = (await engine.plan(request)).operations
    return [(step.object, step.command, step.not_begun) for step in operation.steps]


async def run(engine: Engine, request: Request) -> tuple[ParentJob, list[str]]:
    with window_closing_after(ALL) as ran:
        (job,) = await engine.submit([request])
        async with asyncio.timeout(60):
            (job,) = await engine.wait([job.id])
    return job, ran


async def leaves_out_the_long_one(store_path: Path, url: str, server: ServerOptions) -> None:
    limited = Options(time_limit=HOUR, server=server)
    request = Request(target=url, operations=(REINDEX,), options=limited)
    async with Engine.open(store_path) as engine:
        steps = await planned(engine, request)
    assert len(steps) >= 3
    seconds = {command: 1.0 for _, command, _ in steps} | {steps[1][1]: 3 * HOUR}
    past = Request(target=url, operations=(REINDEX,), options=Options(server=server))
    await took_before(store_path, past, seconds)
    async with Engine.open(store_path, workers=1) as engine:
        told = {name: reason for name, _, reason in await planned(engine, request)}
        assert [name for name, reason in told.items() if reason is Reason.WILL_NOT_FIT] == [steps[1][0]]
        job, ran = await run(engine, request)
        assert sorted(ran) == sorted(name for name, _, _ in steps if name != steps[1][0])
        (child,) = job.children
        assert (child.status, child.reason, child.left) == (Status.COMPLETED, Reason.WILL_NOT_FIT, 1)
        assert exit_code([job]) == TIME_LIMIT
        (left,) = [step for step in child.steps if step.reason is Reason.WILL_NOT_FIT]
        assert (left.object, left.status, left.error) == (steps[1][0], Status.SKIPPED, None)
        assert (left.effect or {})[EXPECTED] == pytest.approx(3 * HOUR)
        assert 0 < float(str((left.effect or {})[TIME_LEFT])) < HOUR
        options = Options(time_limit=HOUR, fit=False, server=server)
        job, ran = await run(engine, Request(target=url, operations=(REINDEX,), options=options))
        assert len(ran) == len(steps)
        assert job.children[0].is_complete


async def test_a_long_index_of_a_file_is_left_out(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    await leaves_out_the_long_one(tmp_path / "jobs.db", resolve(str(path)).url, ServerOptions())


async def test_a_long_index_of_a_server_is_left_out(database: Database, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        database(f"CREATE TABLE {name} (a int)", f"CREATE INDEX i_{name} ON {name} (a)")
    url = resolve(database.url).url
    await leaves_out_the_long_one(tmp_path / "jobs.db", url, ServerOptions(schemas=("public",)))


async def test_the_operations_after_one_that_does_not_fit_still_run(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    url = resolve(str(path)).url
    await took_before(tmp_path / "jobs.db", Request(target=url, operations=(VACUUM,)), {"VACUUM": 3 * HOUR})
    request = Request(target=url, operations=(VACUUM, Operation.ANALYZE), options=Options(time_limit=HOUR))
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        job, ran = await run(engine, request)
        assert "main" not in ran
        assert [(c.status, c.reason) for c in job.children] == [
            (Status.SKIPPED, Reason.WILL_NOT_FIT),
            (Status.COMPLETED, None),
        ]
        assert exit_code([job]) == TIME_LIMIT
        again = await engine.retry(job.id, only_incomplete=True)
        assert again.request.operations == (VACUUM,)


async def test_without_a_limit_everything_is_begun(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    url = resolve(str(path)).url
    await took_before(tmp_path / "jobs.db", Request(target=url, operations=(VACUUM,)), {"VACUUM": 3 * HOUR})
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        request = Request(target=url, operations=(VACUUM,))
        assert (await planned(engine, request))[0][2] is None
        job, _ = await run(engine, request)
    assert job.children[0].is_complete


async def test_what_ran_slowly_on_other_files_is_not_begun_where_it_never_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "LONG_ENOUGH", 0.0)  # these files are small
    slow, first = make_database(tmp_path / "slow.db"), make_database(tmp_path / "first.db")
    store_path = tmp_path / "jobs.db"
    past = Request(target=resolve(str(slow)).url, operations=(VACUUM,))
    clock = StoppedClock()
    async with SqliteStore.open(store_path, clock=clock) as store:
        target = resolve(past.target)
        await store.submit([NewJob(request=past, engine=target.engine, target_key="slow")], OnDuplicate.REFUSE)
        claim = await store.claim("me")
        assert claim is not None
        clock.at += round(HOUR * 1e6)
        outcome = Outcome(status=Status.COMPLETED, estimate=0.001, size_estimate=0.001)
        await store.finish(claim, outcome, Report())
    request = Request(target=str(first), operations=(VACUUM,), options=Options(time_limit=60.0))
    async with Engine.open(store_path, workers=1) as engine:
        (plan,) = (await engine.plan(request)).operations
        assert plan.estimated_from.startswith("a first guess")
        assert plan.steps[0].not_begun is Reason.WILL_NOT_FIT
        job, ran = await run(engine, request)
        assert ran == []
        assert job.children[0].reason is Reason.WILL_NOT_FIT
