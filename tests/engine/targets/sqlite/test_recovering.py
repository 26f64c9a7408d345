"""Crash recovery: it rolls back the unfinished operation and looks for damage."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.session import Recovery
from engine.targets.step_execution import StepContext
from tests.engine.targets.sqlite.a_session import connected, run, statuses
from tests.engine.targets.sqlite.another_process import BEGINS_TO_WRITE, another_process
from tests.sqlite_files import content, files_beside, integrity, make_database, remove_index_entries


async def recovered(path: Path) -> Recovery:
    async with resolve(str(path)).connect(lock_timeout=1) as session:
        return await session.recover((), Options(), StepContext())


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_what_was_left_half_done_is_undone(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode)
    before = content(path)
    with another_process(path, program=BEGINS_TO_WRITE) as pid:
        os.kill(pid, signal.SIGKILL)
    assert len(files_beside(path)) > 1
    assert (await recovered(path)).is_well
    assert files_beside(path) == {"a.db"}
    assert (content(path), integrity(path)) == (before, [])


async def test_a_long_log_is_written_back_although_others_keep_the_database_open(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    with another_process(path, "PRAGMA user_version"):
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("UPDATE item SET price = 1")
            db.commit()
        assert path.with_name("a.db-wal").stat().st_size > 0
        assert (await recovered(path)).is_well
        assert path.with_name("a.db-wal").stat().st_size == 0


async def test_damage_is_told(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    remove_index_entries(path, "order")
    result = await recovered(path)
    assert (result.is_well, result.is_damaged) == (False, True)
    assert result.found.endswith(" in index order")


async def test_who_is_in_the_way_is_waited_for_or_named(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    async with connected(path, lock_timeout=0) as (session, _):
        with another_process(path, "BEGIN EXCLUSIVE") as pid:
            result = await session.recover((), Options(), StepContext())
    assert not result.is_well
    assert f"process {pid} (" in result.found
    loop, tries = asyncio.get_running_loop(), 0
    with ExitStack() as other:
        async with connected(path, lock_timeout=600) as (session, connection):
            other.enter_context(another_process(path, "BEGIN EXCLUSIVE"))

            def note(sql: str) -> None:
                nonlocal tries
                tries += 1
                if tries == 2:
                    loop.call_soon_threadsafe(other.close)

            await connection.set_trace_callback(note)
            assert (await session.recover((), Options(), StepContext())).is_well


async def test_a_database_that_was_recovered_can_be_maintained(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with another_process(path, program=BEGINS_TO_WRITE) as pid:
        os.kill(pid, signal.SIGKILL)
    await recovered(path)
    assert statuses(await run(path, Operation.VACUUM)) == {Status.COMPLETED}
