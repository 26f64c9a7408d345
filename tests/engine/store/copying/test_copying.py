"""The history of a store moves to a shared one: all of it, once, and nothing else."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine import store_admin
from engine.domain.errors import StoreError, UsageError
from engine.domain.events import HistoryFilter
from engine.domain.requests import OnDuplicate, Operation
from engine.store.copying import copying
from engine.store.copying.tables import TABLES
from engine.store.location import StoreLocation
from engine.store.postgres import administration
from engine.store.postgres.schema import LOCKS
from engine.store.postgres.store import PostgresStore
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.engine.processes import python
from tests.engine.store.copying.embedded_stores import make_history
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store

JOBS = 60


@pytest.fixture
def to(postgres: PostgresServer) -> Iterator[str]:
    with copied_store(postgres) as url:
        yield url


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return make_history(tmp_path / "jobs.db", JOBS)


def at(place: Path | str) -> StoreLocation:
    return StoreLocation.parse(str(place))


def nothing(done: int, total: int) -> None:
    """No progress is shown."""


def contents(url: str) -> dict[str, list[str]]:
    with as_admin(url) as admin:
        return {table: sorted(map(str, admin.execute(f"SELECT * FROM dbtend.{table}"))) for table in TABLES}


async def test_each_table_is_copied_with_its_numbers(history: Path, to: str) -> None:
    done = await store_admin.copy(at(history), at(to), nothing)
    assert not done.was_complete
    with closing(sqlite3.connect(history)) as file:
        for table in TABLES:
            assert done.rows[table] == file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, table
    assert {table: len(rows) for table, rows in contents(to).items()} == done.rows
    assert not any((await store_admin.check(at(to))).broken.values())


@pytest.mark.parametrize("last", ["many", -7, 1.5, None])
async def test_a_last_number_that_was_edited_by_hand_gives_no_number_twice(
    history: Path, to: str, last: str | float | None
) -> None:
    with closing(sqlite3.connect(history)) as file:
        file.execute("UPDATE sqlite_sequence SET seq = ?", (last,))
        file.commit()
    await store_admin.copy(at(history), at(to), nothing)
    assert not any((await store_admin.check(at(to))).broken.values())
    async with PostgresStore.open(to, what="the store") as shared:
        (submitted,) = await shared.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        assert submitted == JOBS + 1


async def test_jobs_are_the_same_for_who_looks_at_them(history: Path, to: str) -> None:
    await store_admin.copy(at(history), at(to), nothing)
    async with SqliteStore.open(history) as embedded, PostgresStore.open(to, what="the store") as shared:
        for number in range(1, JOBS + 1):
            here, there = await embedded.job(number), await shared.job(number)
            assert [replace(c, after=None, log=()) for c in here.children] == [
                replace(c, after=None, log=()) for c in there.children
            ]
            assert replace(here, children=()) == replace(there, children=())
        every = HistoryFilter()
        listed = [job.id for job in await embedded.history(every, before=None, limit=JOBS)]
        assert [job.id for job in await shared.history(every, before=None, limit=JOBS)] == listed
        assert await embedded.batch(20) == await shared.batch(20)
        assert await embedded.firings(limit=9) == await shared.firings(limit=9)
        assert await embedded.schedule_states() == await shared.schedule_states()
        targets = ["sqlite:///srv/t1.db"]
        assert await embedded.surveys(targets) == await shared.surveys(targets)
        assert await embedded.waiting_messages() == await shared.waiting_messages()


async def test_new_jobs_go_on_where_the_old_ones_ended(history: Path, to: str) -> None:
    await store_admin.copy(at(history), at(to), nothing)
    last = (await store_admin.check(at(to))).events
    async with PostgresStore.open(to, what="the store") as shared:
        ids = await shared.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        assert ids == [JOBS + 1]
        assert [change.seq for change in await shared.changes(last, 9)] == [last + 1, last + 2]
    assert not any((await store_admin.check(at(to))).broken.values())


async def test_a_copy_that_is_repeated_does_nothing(history: Path, to: str) -> None:
    await store_admin.copy(at(history), at(to), nothing)
    before = contents(to)
    async with PostgresStore.open(to, what="the store") as shared:
        (job,) = await shared.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        await shared.cancel_all([job])
    again = await store_admin.copy(at(history), at(to), nothing)
    assert again.was_complete
    assert set(before["parent_job"]) < set(contents(to)["parent_job"])


async def test_a_copy_that_was_killed_goes_on_without_doubles(
    history: Path, to: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    large = make_history(tmp_path / "large.db", 2_000)
    script = """
    import asyncio, sys
    from engine import store_admin
    from engine.store.copying import copying
    from engine.store.location import StoreLocation
    copying.PORTION, copying.EVENTS_AT_ONCE = 20, 100
    source, to = map(StoreLocation.parse, sys.argv[1:])
    asyncio.run(store_admin.copy(source, to, lambda done, total: None))
    """
    for least in (100, 600):
        with python(script, large, to) as process, as_admin(to) as admin:
            give_up = time.monotonic() + 60
            while admin.execute("SELECT count(*) >= %s FROM dbtend.parent_job", (least,)).fetchone() != (True,):
                assert time.monotonic() < give_up
            process.kill()
        assert len(contents(to)["parent_job"]) < 2_000
    assert (await administration.check(to)).unfinished_copy.endswith("large.db")
    done = await store_admin.copy(at(large), at(to), nothing)
    assert done.jobs == 2_000
    assert (await administration.check(to)).unfinished_copy == ""
    with copied_store(postgres) as other:
        await store_admin.copy(at(large), at(other), nothing)
        assert contents(other) == contents(to)


async def test_a_shared_store_is_copied_to_another_one(history: Path, to: str, postgres: PostgresServer) -> None:
    await store_admin.copy(at(history), at(to), nothing)
    with copied_store(postgres) as other:
        await store_admin.copy(at(to), at(other), nothing)
        assert contents(other) == contents(to)


async def test_a_difference_is_found(history: Path, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program changes a row while the copy runs."""
    compare = copying._Copy._compare

    async def changed_first(copy: copying._Copy) -> object:
        with as_admin(to) as admin:
            admin.execute("UPDATE dbtend.log SET message = 'x' WHERE parent_id = 7 AND ordinal = 2")
        return await compare(copy)

    monkeypatch.setattr(copying._Copy, "_compare", changed_first)
    with pytest.raises(StoreError, match="its table log is not the same"):
        await store_admin.copy(at(history), at(to), nothing)


async def test_nobody_submits_while_a_store_is_copied(history: Path, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = copying._Copy._compare
    refused = []

    async def submitted_first(copy: copying._Copy) -> object:
        async with SqliteStore.open(history, timeout=0.1) as embedded:
            with pytest.raises(StoreError) as here:
                await embedded.submit([new_job("sales")], OnDuplicate.REFUSE)
        with as_admin(to) as admin:
            admin.execute("SET lock_timeout = '100ms'")
            with pytest.raises(Exception, match="lock timeout"):
                admin.execute(f"SELECT pg_advisory_lock_shared({LOCKS['GATE']})")
        refused.append(here.value)
        return await compare(copy)

    monkeypatch.setattr("engine.store.sqlite.writer.BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr(copying._Copy, "_compare", submitted_first)
    await store_admin.copy(at(history), at(to), nothing)
    assert refused


async def test_files_are_named_with_the_host_as_its_workers_call_it(
    history: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBTEND_HOST", "db7")
    await store_admin.copy(at(history), at(to), nothing)
    files = [job for job in contents(to)["parent_job"] if "'sqlite://" in job]
    assert files
    assert all("'sqlite://db7/" in job for job in files)


async def test_open_jobs_are_not_copied(tmp_path: Path, to: str) -> None:
    path = tmp_path / "open.db"
    async with SqliteStore.open(path) as embedded:
        await embedded.submit([new_job("sales")], OnDuplicate.REFUSE)
    with pytest.raises(StoreError, match="has a job that is not over"):
        await store_admin.copy(at(path), at(to), nothing)
    assert contents(to)["parent_job"] == []


async def test_a_store_with_workers_is_not_copied(history: Path, to: str) -> None:
    async with SqliteStore.open(history) as embedded, embedded.hosting_workers():
        with pytest.raises(StoreError, match="worker processes use it"):
            await store_admin.copy(at(history), at(to), nothing)
    async with PostgresStore.open(to, what="the store") as shared, shared.hosting_workers():
        with pytest.raises(StoreError, match="worker processes use it"):
            await store_admin.copy(at(history), at(to), nothing)


async def test_a_store_with_jobs_of_its_own_is_left_alone(history: Path, to: str) -> None:
    async with PostgresStore.open(to, what="the store") as shared:
        (job,) = await shared.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        await shared.cancel_all([job])
    before = contents(to)
    with pytest.raises(StoreError, match="holds jobs of its own"):
        await store_admin.copy(at(history), at(to), nothing)
    assert contents(to) == before


async def test_a_second_history_is_refused(history: Path, to: str, tmp_path: Path) -> None:
    await store_admin.copy(at(history), at(to), nothing)
    other = make_history(tmp_path / "other.db", 5)
    with pytest.raises(StoreError, match="holds the history of another store already"):
        await store_admin.copy(at(other), at(to), nothing)


async def test_what_is_no_store_is_refused(history: Path, to: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such store"):
        await store_admin.copy(at(tmp_path / "missing.db"), at(to), nothing)
    assert not (tmp_path / "missing.db").exists()
    with pytest.raises(UsageError, match="into itself"):
        await store_admin.copy(at(to), at(to), nothing)
    with pytest.raises(UsageError, match="embedded store"):
        await store_admin.copy(at(to), at(history), nothing)


async def test_only_who_made_the_store_copies_into_it(history: Path, to: str) -> None:
    with as_admin(to) as admin:
        admin.execute("DROP ROLE IF EXISTS joe")
        admin.execute("CREATE ROLE joe LOGIN IN ROLE dbtend_operator")
    try:
        with pytest.raises(StoreError, match="belongs to role postgres"):
            await store_admin.copy(at(history), at(to.replace("//postgres@", "//joe@")), nothing)
    finally:
        with as_admin(to) as admin:
            admin.execute("DROP ROLE joe")
