"""The result of a full inspection is kept until the database is written to."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Level, Operation, Options, Request, Status

LARGE = """
CREATE TABLE t(a, b); CREATE INDEX i ON t(a);
INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 24000) SELECT i, zeroblob(1300) FROM n;
ANALYZE;
DELETE FROM t WHERE a % 3 <> 0;
"""
"""Of which a look without any time tells nothing: two thirds of 33 MB are wasted, and its statistics are stale."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(LARGE)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs.db"


@pytest.fixture
async def engine(store: Path) -> AsyncIterator[Engine]:
    async with Engine.open(store, workers=1) as opened:
        yield opened


async def told(engine: Engine, path: Path, *, budget: float | None = 0.0) -> dict[Operation, tuple[Level, str]]:
    advice = await engine.advise(str(path), budget=budget)
    return {one.operation: (one.level, one.reason) for one in advice if one.operation in {"vacuum", "analyze"}}


async def levels_told(engine: Engine, path: Path) -> dict[Operation, Level]:
    """Of a look without any time: what it says of bytes is from a sample, and differs a little each time."""
    return {operation: level for operation, (level, _) in (await told(engine, path)).items()}


def levels(advice: dict[Operation, tuple[Level, str]]) -> set[Level]:
    return {level for level, _ in advice.values()}


async def test_a_quick_look_knows_what_a_full_one_found(engine: Engine, store: Path, path: Path) -> None:
    quick = await told(engine, path)
    assert quick[Operation.ANALYZE][0] is Level.UNKNOWN
    full = await told(engine, path, budget=None)
    assert levels(full) == {Level.SOON}
    assert await told(engine, path) == full
    async with Engine.open(store) as another:
        assert await told(another, path) == full
    async with Engine.open(store, read_only=True) as another:
        assert await told(another, path) == full


async def test_a_plan_gives_the_same_reasons(engine: Engine, path: Path) -> None:
    full = await told(engine, path, budget=None)
    planned = await engine.plan(Request(target=str(path), operations=(Operation.VACUUM,)))
    assert planned.operations[0].steps[0].reason == full[Operation.VACUUM][1]


@pytest.mark.parametrize("operation", [Operation.CHECK, Operation.BACKUP])
async def test_an_operation_that_changes_nothing_does_not_throw_it_away(
    engine: Engine, path: Path, operation: Operation
) -> None:
    full = await told(engine, path, budget=None)
    request = Request(target=str(path), operations=(operation,), options=Options(backup_to=str(path.parent / "b.db")))
    if operation is Operation.CHECK:
        request = Request(target=str(path), operations=(operation,))
    (job,) = await engine.submit([request])
    (done,) = await engine.wait([job.id])
    assert done.status is Status.COMPLETED
    assert {level for level, _ in (await told(engine, path)).values()} == levels(full)


def written(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE t SET a = -a WHERE a = 3")
        db.commit()


def replaced(path: Path) -> None:
    shutil.copyfile(path, path.with_name("other.db"))
    path.with_name("other.db").rename(path)


@pytest.mark.parametrize("change", [written, replaced])
async def test_of_a_database_that_has_changed_nothing_is_known(
    engine: Engine, path: Path, change: Callable[[Path], None]
) -> None:
    before = await levels_told(engine, path)
    await told(engine, path, budget=None)
    change(path)
    assert await levels_told(engine, path) == before
    assert levels(await told(engine, path, budget=None)) == {Level.SOON}


async def test_what_is_only_in_the_log_is_a_change_too(engine: Engine, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        full = await told(engine, path, budget=None)
        assert await told(engine, path) == full
        db.execute("UPDATE t SET a = -a WHERE a = 3")
        assert Level.UNKNOWN in levels(await told(engine, path))


async def test_what_was_changed_by_hand_in_the_store_is_looked_for_again(
    engine: Engine, store: Path, path: Path
) -> None:
    before = await levels_told(engine, path)
    for found in ("", "[]", "{}", '{"packable": "x", "unused": 1, "tables": []}', '{"tables": 3}', "[" * 5000):
        await told(engine, path, budget=None)
        with closing(sqlite3.connect(store)) as db:
            assert db.execute("UPDATE measured SET found = ?", (found,)).rowcount == 1
            db.commit()
        assert await levels_told(engine, path) == before


async def test_without_a_store_a_look_only_keeps_nothing(tmp_path: Path, path: Path) -> None:
    missing = tmp_path / "no" / "jobs.db"
    async with Engine.open(missing, read_only=True) as engine:
        assert levels(await told(engine, path, budget=None)) == {Level.SOON}
        assert Level.UNKNOWN in levels(await told(engine, path))
    assert not missing.parent.exists()
