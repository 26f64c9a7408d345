"""A plan says which steps need a function or collation of the application, before anything runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.targets.plans import Verdict
from tests.engine.targets.sqlite.a_session import plan, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_collation('mi"ne', lambda a, b: (a > b) - (a < b))
        db.create_function("twice", 1, lambda value: value * 2, deterministic=True)
        db.executescript("""
            CREATE TABLE t(a TEXT COLLATE "mi""ne", b);
            CREATE INDEX it ON t(a);
            CREATE INDEX sound ON t(b COLLATE NOCASE);
            CREATE TABLE u(c); CREATE INDEX doubled ON u(twice(c)); CREATE INDEX other ON u(c);
            INSERT INTO t VALUES ('x', 1); INSERT INTO u VALUES (1);
        """)
    return path


async def test_a_collation_that_sqlite_only_read_of_in_the_schema_is_missing(path: Path) -> None:
    refused = (await plan(path, Operation.VACUUM)).refused
    assert """: 'mi"ne' of it.""" in str(refused)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # so says SQLite
        for into in "", f" INTO '{path.with_name('copy.db')}'":
            with pytest.raises(sqlite3.OperationalError, match="no such collation"):
                db.execute("VACUUM" + into)


@pytest.mark.parametrize("operation", [Operation.REINDEX, Operation.ANALYZE])
async def test_the_plan_warns_of_exactly_what_fails_when_it_runs(path: Path, operation: Operation) -> None:
    planned = await plan(path, operation)
    results = await run(path, operation)
    failed = [step.object for step in planned.steps if results[step.command].status is Status.FAILED]
    assert failed == {Operation.REINDEX: ["it", "doubled"], Operation.ANALYZE: ["t"]}[operation]
    assert [warning.partition(":")[0].rpartition(" ")[2] for warning in planned.warnings] == failed
    assert planned.verdict is Verdict.WARN


@pytest.mark.parametrize("operation", [Operation.REINDEX, Operation.ANALYZE])
async def test_objects_that_have_what_they_need_come_without_a_warning(path: Path, operation: Operation) -> None:
    objects = ("other",) if operation is Operation.REINDEX else ("u",)
    assert (await plan(path, operation, objects=objects)).warnings == ()
