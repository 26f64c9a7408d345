"""Changes by others between the plan and a step: each step checks whether it may begin."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.errors import TargetMissingError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets import resolve
from tests.engine.targets.sqlite.a_session import execute
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import content, files_beside, make_database, set_schema_sql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "a.db", rows=20)


async def test_a_second_name_that_the_file_got_after_the_first_step_stops_the_next(path: Path) -> None:
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        first, second, *_ = (await session.plan(Operation.REINDEX, Options())).steps
        assert (await execute(session, first)).status is Status.COMPLETED
        os.link(path, path.with_name("same.db"))
        result = await execute(session, second)
    assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
    assert "hard links" in str(result.error)


async def test_a_file_that_is_gone_fails_its_step_in_words(path: Path) -> None:
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        step, *_ = (await session.plan(Operation.VACUUM, Options())).steps
        path.unlink()
        result = await execute(session, step)
    assert (result.status, result.reason) == (Status.FAILED, TargetMissingError.reason)
    assert str(result.error).startswith("there is no such file")


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.BACKUP])
async def test_a_table_that_would_be_dropped_since_the_plan_is_kept(path: Path, operation: Operation) -> None:
    before = content(path)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        step, *_ = (await session.plan(operation, Options(backup_to=str(path.with_name("copy.db"))))).steps
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            set_schema_sql(db, "group", 'create table "group"(id INTEGER PRIMARY KEY, name TEXT)')
        result = await execute(session, step)
    assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
    assert "drop 'group'" in str(result.error)
    assert content(path) == before
    assert files_beside(path) == {"a.db"}
