"""The next run begins with what the last one did not reach, then with what was done longest ago."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, ParentJob, Reason, Request, ServerOptions, Status
from engine.domain.claims import Report
from engine.domain.requests import OnDuplicate
from engine.domain.steps import Step
from engine.domain.turns import NO_TURNS, Turns
from engine.store.sqlite import queries
from engine.store.sqlite.store import SqliteStore
from tests.building import COMPLETED, FAILED, StoppedClock, new_job
from tests.engine.closing import window_closing_after
from tests.engine.store.test_queries import any_store as any_store
from tests.engine.store.test_queries import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.postgres_databases import Database

REINDEX, VACUUM, ANALYZE, CHECK = Operation.REINDEX, Operation.VACUUM, Operation.ANALYZE, Operation.CHECK
HOUR = 3_600_000_000
NAMES = [f"n{number}" for number in range(7)]
ALL = 10**6
PUBLIC = ServerOptions(schemas=("public",))


@pytest.fixture
def tenant(tmp_path: Path) -> Path:
    """A file with an index and a table of each name."""
    path = tmp_path / "tenant.db"
    with sqlite3.connect(path) as db:
        for name in NAMES:
            db.execute(f"CREATE TABLE {name} (a)")
            db.execute(f"CREATE INDEX i_{name} ON {name} (a)")
            db.execute(f"INSERT INTO {name} VALUES (1), (2)")
    db.close()
    return path


def many_indexes(path: Path, number: int) -> None:
    with sqlite3.connect(path) as db:
        numbers = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 60000)"
        db.execute(f"{numbers} INSERT INTO n0 SELECT n FROM r")
        for n in range(number):
            db.execute(f"CREATE INDEX many_{n} ON n0 (a, {n})")
    db.close()


async def run(engine: Engine, request: Request, steps: int = ALL) -> tuple[ParentJob, list[str]]:
    """The job, and the objects of its steps in the order in which they ran. Its window closes after so many steps."""
    with window_closing_after(steps) as ran:
        (job,) = await engine.submit([request])
        async with asyncio.timeout(60):
            (job,) = await engine.wait([job.id])
    return job, ran


async def planned(engine: Engine, request: Request) -> list[str]:
    """The objects of its only operation, in the order of the plan."""
    (operation,) = (await engine.plan(request)).operations
    return [step.object for step in operation.steps]


async def begins_with_what_was_left(engine: Engine, request: Request) -> None:
    every = await planned(engine, request)
    assert len(every) >= 7
    first, done = await run(engine, request, 3)
    assert done == every[:3]
    assert first.left == len(every) - 3
    assert first.children[0].reason is Reason.TIME_LIMIT
    assert await planned(engine, request) == [*every[3:], *every[:3]]
    second, went_on = await run(engine, request, 3)
    assert went_on == every[3:6]
    assert second.left == len(every) - 3
    third, rest = await run(engine, request)  # what runs is what the plan shows
    assert rest == [*every[6:], *every[:6]]
    assert (third.left, third.children[0].is_complete) == (0, True)
    assert await planned(engine, request) == every  # all that one job did has the same turn: the usual order


@pytest.mark.parametrize("operation", [REINDEX, ANALYZE, CHECK])
async def test_a_file_goes_on_where_it_was_left(tenant: Path, tmp_path: Path, operation: Operation) -> None:
    options = Options(objects=tuple(NAMES), jobs=1) if operation is CHECK else Options()
    request = Request(target=str(tenant), operations=(operation,), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await begins_with_what_was_left(engine, request)


@pytest.mark.parametrize("operation", [REINDEX, VACUUM, ANALYZE, Operation.VACUUM_FULL])
async def test_a_server_goes_on_where_it_was_left(database: Database, tmp_path: Path, operation: Operation) -> None:
    for name in NAMES:
        database(f"CREATE TABLE {name} (a int)", f"CREATE INDEX i_{name} ON {name} (a)")
    options = Options(objects=tuple(NAMES), server=PUBLIC, confirmed=True)
    request = Request(target=database.url, operations=(operation,), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await begins_with_what_was_left(engine, request)


async def test_groups_of_small_indexes_take_turns_too(tenant: Path, tmp_path: Path) -> None:
    many_indexes(tenant, 30)
    request = Request(target=str(tenant), operations=(REINDEX,))
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        every = [step.objects for step in (await engine.plan(request)).operations[0].steps]
        assert len(every) >= 2
        assert all(len(objects) > 1 for objects in every)
        await run(engine, request, 1)
        again = [step.objects for step in (await engine.plan(request)).operations[0].steps]
    assert again == [*every[1:], every[0]]


async def test_what_is_new_comes_before_what_was_done(tenant: Path, tmp_path: Path) -> None:
    request = Request(target=str(tenant), operations=(REINDEX,))
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await run(engine, request)
        with sqlite3.connect(tenant) as db:
            db.execute("CREATE INDEX younger ON n0 (a, 1)")
        db.close()
        assert (await planned(engine, request))[0] == "younger"


@pytest.mark.parametrize("jump", [-5 * HOUR, 5 * HOUR])
async def test_a_clock_that_jumps_changes_no_turn(tenant: Path, tmp_path: Path, jump: int) -> None:
    clock = StoppedClock()
    request = Request(target=str(tenant), operations=(REINDEX,))
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine:
        every = await planned(engine, request)
        await run(engine, request, 4)
        clock.at += jump
        await run(engine, request, 4)
        assert await planned(engine, request) == [*every[1:4], every[0], *every[4:]]


def test_first_comes_what_was_left_then_what_was_done_longest_ago() -> None:
    turns = Turns(
        done={(REINDEX, "a"): 5, (REINDEX, "b"): 4, (REINDEX, "c"): 3, (REINDEX, "failed"): 1},
        begun={(REINDEX, "a"): 5, (REINDEX, "b"): 4, (REINDEX, "c"): 3, (REINDEX, "failed"): 5},
        unfinished={REINDEX: 5},
    )

    def order(turns: Turns, operation: Operation = REINDEX, kind: Operation = REINDEX) -> list[str]:
        return sorted(["a", "b", "c", "failed", "new"], key=lambda name: turns.rank(operation, kind, [name]))

    assert order(turns) == ["new", "c", "b", "failed", "a"]
    assert order(Turns(done=turns.done, begun=turns.begun)) == ["new", "failed", "c", "b", "a"]
    assert order(turns, kind=VACUUM) == ["a", "b", "c", "failed", "new"]  # another kind of work
    assert order(NO_TURNS) == ["a", "b", "c", "failed", "new"]
    assert turns.rank(REINDEX, REINDEX, ["a", "b"]) == (False, 4)  # of a group the one that waits longest


async def turns_after(store: SqliteStore, *runs: tuple[Sequence[tuple[str, Status]], int]) -> Turns:
    """Each run: the steps that began, and how many it left."""
    for steps, left in runs:
        await store.submit([new_job("sales", REINDEX)], OnDuplicate.REFUSE)
        claim = await store.claim("me")
        assert claim is not None
        rows = tuple(
            Step(
                number=number,
                attempt=1,
                object=name,
                command=name,
                status=status,
                operation=REINDEX,
                started_at=1,
                finished_at=1,
            )
            for number, (name, status) in enumerate(steps, 1)
        )
        await store.finish(claim, replace(FAILED if left else COMPLETED, left=left), Report(steps=rows))
    return await store.turns("sqlite:///sales.db", jobs=10, steps=1000)


async def test_the_store_tells_what_completed_and_what_began(store: SqliteStore) -> None:
    turns = await turns_after(
        store,
        ([("a", Status.COMPLETED), ("b", Status.FAILED), ("c", Status.SKIPPED)], 0),
        ([("a", Status.FAILED), ("b", Status.CANCELLED)], 4),
    )
    assert turns.done == {(REINDEX, "a"): 1}
    assert turns.begun == {(REINDEX, "a"): 2, (REINDEX, "b"): 2}
    assert turns.unfinished == {REINDEX: 2}
    assert (await turns_after(store, ([("a", Status.COMPLETED)], 0))).unfinished == {}


def test_turns_are_found_along_the_jobs_of_the_target(any_store: sqlite3.Connection) -> None:
    plan = plan_of(any_store, queries.OBJECT_TURNS, {"target": "sqlite:///db1.db", "steps": 1000})
    searched = [line for line in plan if line.startswith(("SCAN p", "SCAN s", "SEARCH"))]
    assert searched[0] == "SEARCH p USING COVERING INDEX parent_job_target (target=?)"
    assert searched[1] == "SEARCH s USING PRIMARY KEY (parent_id=?)"
    unfinished = plan_of(any_store, queries.UNFINISHED_RUNS, {"target": "sqlite:///db1.db", "jobs": 10})
    assert not [line for line in unfinished if line.startswith("SCAN") and "subquery" not in line.lower()]


@pytest.mark.parametrize(("operation", "reads"), [(VACUUM, 0), (Operation.OPTIMIZE, 0), (REINDEX, 1), (ANALYZE, 1)])
async def test_only_an_operation_on_several_objects_reads_whose_turn_it_is(
    tenant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, reads: int
) -> None:
    read, asked = SqliteStore.turns, list[str]()

    async def counted(store: SqliteStore, target: str, *, jobs: int, steps: int) -> Turns:
        asked.append(target)
        return await read(store, target, jobs=jobs, steps=steps)

    monkeypatch.setattr(SqliteStore, "turns", counted)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await run(engine, Request(target=str(tenant), operations=(operation,)))
        assert asked == []  # nothing ran on it so far
        await run(engine, Request(target=str(tenant), operations=(operation,)))
    assert len(asked) == reads


@pytest.mark.parametrize(
    ("operation", "options", "is_read"),
    [
        (CHECK, Options(), False),
        (VACUUM, Options(), False),
        (CHECK, Options(objects=("n0", "n1")), True),
        (CHECK, Options(jobs=2), True),
        (REINDEX, Options(), True),
    ],
)
async def test_turns_are_read_only_where_the_order_of_steps_counts(
    tenant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, options: Options, is_read: bool
) -> None:
    read, asked = SqliteStore.turns, list[str]()

    async def counted(store: SqliteStore, target: str, *, jobs: int, steps: int) -> Turns:
        asked.append(target)
        return await read(store, target, jobs=jobs, steps=steps)

    monkeypatch.setattr(SqliteStore, "turns", counted)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        request = Request(target=str(tenant), operations=(operation,), options=options)
        await engine.plan(request)
        assert bool(asked) is is_read
        for number in range(2):  # the first job on a target knows that there is none before it
            job, _ = await run(engine, request)
            assert job.status is Status.COMPLETED
            assert len(asked) == (1 + number if is_read else 0)
