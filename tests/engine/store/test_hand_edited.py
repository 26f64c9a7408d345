"""A store that was damaged, or edited by hand, gives one error, and no data of it is used."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Request
from engine.domain.errors import StoreError
from engine.domain.events import HistoryFilter
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.store.sqlite.schema import drop_triggers
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.engine.store.loosened import loosen, restore_triggers
from tests.sqlite_files import make_database

EVIL = [
    ("parent_job", "status", "donne"),
    ("parent_job", "engine", "Oracle"),
    ("parent_job", "operations", '["drop"]'),
    ("parent_job", "operations", "[" * 100_000),
    ("parent_job", "target", None),
    ("parent_job", "created_at", 10**18),
    ("parent_job", "created_at", -1),
    ("parent_job", "created_at", "yesterday"),
    ("parent_job", "deadline_at", 2**63 - 1),
    ("child_job", "operation", b"\xff"),
    ("child_job", "status", 7),
    ("child_job", "reason", "because"),
    ("child_job", "started_at", 1e308),
    ("child_job", "attempt", None),
    ("child_job", "warnings", "{}"),
    ("child_job", "warnings", "[1]"),
    ("child_job", "before", "[]"),
    ("child_job", "before", '{"size": 1e400}'),
    ("child_job", "before", '{"size": {"a": 1}}'),
    ("child_job", "after", '{"size": ' + "9" * 30 + "}"),
    ("child_job", "fraction", 7.5),
    ("child_job", "pid", -5),
    ("step", "status", "x"),
    ("step", "started_at", None),
    ("step", "effect", "3"),
    ("log", "level", "loud"),
    ("log", "at", 2**62),
    ("worker", "id", "../../etc/passwd"),
    ("worker", "pid", 2**40),
    ("worker", "started_at", "x"),
    ("pause", "at", -(2**63)),
    ("pause", "by", b"\0"),
]


async def made(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        loosen(file)
        file.execute(
            "INSERT INTO step (parent_id, ordinal, attempt, number, object, command, status, started_at, finished_at)"
            " VALUES (1, 1, 0, 1, 'main', 'VACUUM', 'completed', 5, 6)"
        )
        file.execute("INSERT INTO log (parent_id, ordinal, attempt, number, at, level, message)"
                     " VALUES (1, 1, 0, 1, 5, 'info', 'm')")  # fmt: skip
        file.execute("INSERT INTO worker (id, pid, host, started_at) VALUES ('a', 1, 'elsewhere', 1)")
        file.execute("INSERT INTO pause VALUES (1, 5, 'me')")
        restore_triggers(file)


async def read_all(store: SqliteStore) -> None:
    await store.job(1)
    await store.open_jobs()
    await store.history(HistoryFilter(), before=None, limit=10)
    await store.workers()
    await store.paused()


@pytest.mark.parametrize(("table", "column", "value"), EVIL, ids=lambda value: str(value)[:20])
async def test_what_dbtend_never_writes_is_told(store_path: Path, table: str, column: str, value: object) -> None:
    await made(store_path)
    async with SqliteStore.open_read_only(store_path) as store:
        await read_all(store)
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("PRAGMA ignore_check_constraints = ON")
        drop_triggers(file)
        file.execute(f"UPDATE {table} SET {column} = ?", (value,))
        restore_triggers(file)
        file.commit()
    async with SqliteStore.open_read_only(store_path) as store:
        with pytest.raises(StoreError) as told:
            await read_all(store)
    said = str(told.value)
    assert "changed by hand" in said or "cannot be read" in said
    assert len(said) < 400


async def test_the_changes_are_read_whatever_stands_in_the_table_of_the_last_numbers(store_path: Path) -> None:
    await made(store_path)
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("UPDATE sqlite_sequence SET seq = 'many'")
        file.commit()
    async with SqliteStore.open_read_only(store_path) as store:
        assert store.last_change() == 3


async def test_an_unknown_status_is_told_among_the_numbers_of_open_jobs(store_path: Path) -> None:
    await made(store_path)
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("PRAGMA ignore_check_constraints = ON")
        drop_triggers(file)
        file.execute("UPDATE parent_job SET status = 'donne'")
        restore_triggers(file)
        file.commit()
    async with SqliteStore.open_read_only(store_path) as store:
        with pytest.raises(StoreError, match="changed by hand"):
            await store.overview()


async def test_an_odd_number_of_a_recipient_is_told(store_path: Path) -> None:
    await made(store_path)
    async with SqliteStore.open(store_path) as store:
        await store.register_recipients(["ops"])
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("UPDATE recipient SET seen = -1")
        file.commit()
    async with SqliteStore.open_read_only(store_path) as store:
        with pytest.raises(StoreError, match="changed by hand"):
            await store.seen_by_recipients()


async def test_text_that_is_not_utf8_is_told(store_path: Path) -> None:
    await made(store_path)
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("UPDATE parent_job SET target = CAST(x'ff80c3' AS TEXT)")
        file.commit()
    async with SqliteStore.open_read_only(store_path) as store:
        with pytest.raises(StoreError, match="not UTF-8"):
            await read_all(store)


async def test_a_claim_of_what_was_changed_by_hand_is_refused_at_once(store_path: Path) -> None:
    await made(store_path)
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("DELETE FROM pause")
        file.execute("DELETE FROM worker")
        file.execute("PRAGMA ignore_check_constraints = ON")
        file.execute("UPDATE child_job SET attempt = 1")
        file.execute("UPDATE step SET status = 'x', attempt = 1")
        file.commit()
    async with SqliteStore.open(store_path) as store, store.hosting_workers() as owner, asyncio.timeout(5):
        with pytest.raises(StoreError, match="changed by hand"):
            await store.claim(owner)


async def test_nothing_is_submitted_after_a_job_of_an_absurd_time(store_path: Path) -> None:
    await made(store_path)
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("UPDATE parent_job SET created_at = 9223372036854775807")
        file.commit()
    async with SqliteStore.open(store_path) as store:
        with pytest.raises(StoreError, match="changed by hand"):
            await store.submit([new_job("other", Operation.VACUUM)], OnDuplicate.REFUSE)
        assert await store.count() == 1


async def test_a_store_without_one_of_its_triggers_is_none(store_path: Path) -> None:
    await made(store_path)
    with closing(sqlite3.connect(store_path)) as file:
        file.execute("DROP TRIGGER child_job_moved")
    with pytest.raises(StoreError, match="trigger child_job_moved "):
        async with SqliteStore.open(store_path):
            pass


async def test_an_operation_whose_history_was_changed_by_hand_fails_for_that(store_path: Path, tmp_path: Path) -> None:
    sales = str(make_database(tmp_path / "sales.db"))
    async with Engine.open(store_path, workers=1) as engine:
        (first,) = await engine.submit([Request(target=sales, operations=(Operation.CHECK,))])
        await engine.wait([first.id])
    async with Engine.open(store_path) as engine:
        (again,) = await engine.submit([Request(target=sales, operations=(Operation.CHECK,))])
    with closing(sqlite3.connect(store_path, isolation_level=None)) as file:
        loosen(file)
        file.execute("UPDATE child_job SET waited = 'x' WHERE parent_id = 1")
        restore_triggers(file)
    Path(f"{sales}-journal").write_bytes(bytes(512))  # what the history says of a journal, counts
    async with Engine.open(store_path, workers=1) as engine:
        (child,) = (await engine.wait([again.id]))[0].children
    assert child.status is Status.FAILED
    assert str(child.error).startswith("the store of jobs: is damaged, or was changed by hand: job #1: ")
    assert child.log == ()


async def test_an_earlier_step_of_no_operation_keeps_no_later_job_from_its_work(
    store_path: Path, tmp_path: Path
) -> None:
    sales = str(make_database(tmp_path / "sales.db"))
    async with Engine.open(store_path, workers=1) as engine:
        (first,) = await engine.submit([Request(target=sales, operations=(Operation.ANALYZE,))])
        await engine.wait([first.id])
    with closing(sqlite3.connect(store_path, isolation_level=None)) as file:
        loosen(file)
        file.execute("UPDATE step SET operation = '[]'")
        restore_triggers(file)
    async with Engine.open(store_path, workers=1) as engine:
        (again,) = await engine.submit([Request(target=sales, operations=(Operation.ANALYZE,))])
        (child,) = (await engine.wait([again.id]))[0].children
    assert (child.status, child.error) == (Status.COMPLETED, None)
