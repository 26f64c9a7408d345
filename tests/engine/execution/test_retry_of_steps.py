"""A retry of what did not complete repeats only the steps that failed or were not reached."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, ParentJob, Reason, Request, ServerOptions, Status
from engine.domain.errors import UsageError
from engine.domain.option_specs import covers_whole_database
from engine.targets.plans import ALL_DONE
from tests.engine.closing import window_closing_after
from tests.sqlite_files import add_index_that_cannot_be_rebuilt, integrity, make_database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.postgres_databases import Database

REINDEX, ANALYZE, VACUUM, CHECK = Operation.REINDEX, Operation.ANALYZE, Operation.VACUUM, Operation.CHECK
NAMES = [f"n{number}" for number in range(6)]
ALL = 10**6


def tables(path: Path, names: Sequence[str], journal_mode: str = "delete") -> Path:
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA journal_mode = {journal_mode}")
        for name in names:
            db.execute(f"CREATE TABLE {name} (a)")
            db.execute(f"CREATE INDEX i_{name} ON {name} (a)")
            db.execute(f"INSERT INTO {name} VALUES (1), (2)")
    db.close()
    return path


async def submitted(engine: Engine, request: Request, steps: int = ALL) -> tuple[ParentJob, list[str]]:
    with window_closing_after(steps) as ran:
        (job,) = await engine.submit([request])
        async with asyncio.timeout(60):
            (job,) = await engine.wait([job.id])
    return job, ran


async def retried(engine: Engine, job: ParentJob, steps: int = ALL) -> tuple[ParentJob, list[str]]:
    with window_closing_after(steps) as ran:
        again = await engine.retry(job.id, only_incomplete=True, confirmed=True)
        async with asyncio.timeout(60):
            (again,) = await engine.wait([again.id])
    return again, ran


@pytest.mark.parametrize("operation", [REINDEX, ANALYZE, CHECK])
async def test_of_a_file_what_the_window_left_is_repeated_and_nothing_else(
    tmp_path: Path, operation: Operation
) -> None:
    path = tables(tmp_path / "tenant.db", NAMES)
    options = Options(objects=tuple(NAMES), jobs=1) if operation is CHECK else Options()
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        first, done = await submitted(engine, Request(target=str(path), operations=(operation,), options=options), 2)
        second, went_on = await retried(engine, first, 2)
        third, rest = await retried(engine, second)
        assert [len(done), len(went_on), len(rest)] == [2, 2, 2]
        assert len({*done, *went_on, *rest}) == 6
        assert third.children[0].is_complete
        assert third.request.options.done_by(operation) == {*done, *went_on}
        assert not covers_whole_database(operation, third.request.options)
        with pytest.raises(UsageError, match="every operation completed"):
            await engine.retry(third.id, only_incomplete=True)
        again = await engine.retry(third.id)  # the same request as it was
        assert again.request.options.done == third.request.options.done


@pytest.mark.parametrize("operation", [REINDEX, VACUUM, ANALYZE, Operation.VACUUM_FULL])
async def test_of_a_server_too(database: Database, tmp_path: Path, operation: Operation) -> None:
    for name in NAMES:
        database(f"CREATE TABLE {name} (a int)", f"CREATE INDEX i_{name} ON {name} (a)")
    options = Options(objects=tuple(NAMES), server=ServerOptions(schemas=("public",)), confirmed=True)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        first, done = await submitted(engine, Request(target=database.url, operations=(operation,), options=options), 4)
        again, rest = await retried(engine, first)
    assert [len(done), len(rest)] == [4, 2]
    assert len({*done, *rest}) == 6
    assert again.children[0].is_complete


async def test_what_is_left_of_a_whole_server_is_repeated(database: Database, tmp_path: Path) -> None:
    for name in NAMES:
        database(f"CREATE TABLE {name} (a int)", f"CREATE INDEX i_{name} ON {name} (a)")
    options = Options(server=ServerOptions(schemas=("public",)))
    operations = (REINDEX, VACUUM)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        first, done = await submitted(engine, Request(target=database.url, operations=operations, options=options), 4)
        assert [child.left for child in first.children] == [2, 0]
        database("DROP TABLE n5")
        again, rest = await retried(engine, first)
    assert rest[:1] == ["public.i_n4"]
    assert not {*done} & {*rest[:1]}
    assert {*rest[1:]} == {*(f"public.{name}" for name in NAMES[:5]), "database"}
    assert all(child.is_complete for child in again.children)


async def test_a_step_that_failed_is_repeated_alone(tmp_path: Path) -> None:
    path = make_database(tmp_path / "tenant.db")
    add_index_that_cannot_be_rebuilt(path, "broken")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        first, ran = await submitted(engine, Request(target=str(path), operations=(REINDEX,)))
        assert first.children[0].reason is Reason.OPERATION_ERROR
        assert len(ran) > 2
        again, rest = await retried(engine, first)
    assert rest == ["broken"]
    assert again.children[0].status is Status.FAILED


async def test_of_a_group_of_small_indexes_only_what_failed_is_repeated(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(40)]
    path = tables(tmp_path / "tenant.db", names)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        request = Request(target=str(path), operations=(REINDEX,))
        (operation,) = (await engine.plan(request)).operations
        assert len(operation.steps) == 1  # of 40 indexes
        done = Options(done=tuple((REINDEX, f"i_{name}") for name in names[:38]))
        (operation,) = (await engine.plan(Request(target=str(path), operations=(REINDEX,), options=done))).operations
        assert [step.object for step in operation.steps] == ["i_n38", "i_n39"]
        done = Options(done=tuple((REINDEX, f"i_{name}") for name in names))
        (operation,) = (await engine.plan(Request(target=str(path), operations=(REINDEX,), options=done))).operations
        assert (operation.steps, operation.not_needed) == ((), ALL_DONE)


async def test_where_only_the_checkpoint_is_missing_it_comes_alone(tmp_path: Path) -> None:
    path = tables(tmp_path / "tenant.db", NAMES, "wal")
    done = Options(done=tuple((REINDEX, f"i_{name}") for name in NAMES))
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        job, ran = await submitted(engine, Request(target=str(path), operations=(REINDEX,), options=done))
    assert ran == ["main"]
    (step,) = job.children[0].steps
    assert (step.command, step.status) == ("PRAGMA main.wal_checkpoint(TRUNCATE)", Status.COMPLETED)
    assert integrity(path) == []


async def test_a_batch_repeats_of_each_job_what_did_not_complete(tmp_path: Path) -> None:
    paths = [tables(tmp_path / f"{number}.db", NAMES) for number in range(3)]
    requests = [Request(target=str(path), operations=(REINDEX,)) for path in paths]
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        with window_closing_after(4):
            jobs = await engine.submit(requests)
            await engine.wait([job.id for job in jobs])
        with window_closing_after(ALL) as ran:
            again = await engine.retry_batch(1, only_incomplete=True)
            ended = await engine.wait([job.id for job in again])
    assert len(ran) == 6
    assert all(child.is_complete for job in ended for child in job.children)
