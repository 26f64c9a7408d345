"""`--needed` checks a database before it writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine import Advice, CheckLevel, Engine, Level, Operation, Options, ParentJob, Reason, Request, Status
from engine.domain.advice import needed
from engine.store.location import StoreLocation
from tests.building import SQLITE_OPERATIONS
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.sqlite_files import make_database, remove_index_entries

ORPHAN = 'CREATE TABLE bill(group_id REFERENCES "group"); INSERT INTO bill VALUES (777);'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that is to be analyzed, and was never checked."""
    return make_database(tmp_path / "a.db")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as opened:
        yield opened


async def request_of(engine: Engine, path: Path, **options: object) -> Request | None:
    everything = Request(target=str(path), operations=SQLITE_OPERATIONS, options=Options(**options))  # type: ignore[arg-type]
    return needed(everything, await engine.advise(str(path), budget=None))


async def carried_out(engine: Engine, request: Request | None) -> ParentJob:
    assert request is not None
    (job,) = await engine.submit([request])
    (done,) = await engine.wait([job.id])
    return done


def overwrite_a_page(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'group'")
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)


def orphaned(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(ORPHAN)


async def test_where_no_check_is_on_record_it_comes_first_and_finds_nothing(engine: Engine, path: Path) -> None:
    done = await carried_out(engine, await request_of(engine, path))
    assert [(child.operation, child.status) for child in done.children] == [
        (Operation.CHECK, Status.COMPLETED),
        (Operation.ANALYZE, Status.COMPLETED),
    ]


@pytest.mark.parametrize("damage", [overwrite_a_page, lambda path: remove_index_entries(path, "order")])
@pytest.mark.parametrize("level", CheckLevel)
async def test_when_the_check_finds_damage_nothing_is_written(
    engine: Engine, path: Path, damage: object, level: CheckLevel
) -> None:
    damage(path)  # type: ignore[operator]
    before = path.read_bytes()
    done = await carried_out(engine, await request_of(engine, path, check=level))
    check, analyze = done.children
    assert (check.status, done.status) == (Status.FAILED, Status.FAILED)
    assert (analyze.operation, analyze.status, analyze.reason) == (
        Operation.ANALYZE,
        Status.SKIPPED,
        Reason.PREVIOUS_FAILED,
    )
    assert path.read_bytes() == before


async def test_damaged_indexes_are_rebuilt_the_next_time_and_looked_at_afterwards(engine: Engine, path: Path) -> None:
    remove_index_entries(path, "order")
    await carried_out(engine, await request_of(engine, path, check=CheckLevel.FULL))
    request = await request_of(engine, path)
    assert request is not None
    assert (request.operations, request.options.rebuild) == (
        (Operation.REINDEX, Operation.CHECK, Operation.ANALYZE),
        ("order",),
    )
    done = await carried_out(engine, request)
    assert {child.status for child in done.children} == {Status.COMPLETED}


async def test_an_index_that_cannot_be_put_right_keeps_all_else_from_running(engine: Engine, path: Path) -> None:
    remove_index_entries(path, "order")
    await carried_out(engine, await request_of(engine, path, check=CheckLevel.FULL))
    remove_index_entries(path, "my-index")  # another one since
    done = await carried_out(engine, await request_of(engine, path))
    assert done.request.operations == (Operation.REINDEX, Operation.CHECK, Operation.ANALYZE)
    assert [child.status for child in done.children] == [Status.COMPLETED, Status.FAILED, Status.SKIPPED]


async def test_rows_that_break_a_rule_are_no_damage_and_keep_nothing_from_running(engine: Engine, path: Path) -> None:
    orphaned(path)
    done = await carried_out(engine, await request_of(engine, path))
    assert [(child.operation, child.status) for child in done.children] == [
        (Operation.CHECK, Status.FAILED),
        (Operation.ANALYZE, Status.COMPLETED),
    ]


async def backups_between_checks(engine: Engine, path: Path) -> list[list[Status]]:
    """The statuses of two jobs: with rows that break a rule, and with damage."""
    found = []
    for harm in (orphaned, overwrite_a_page):
        harm(path)
        backup = Request(target=str(path), operations=(Operation.BACKUP,), options=Options(verify=True))
        found.append([child.status for child in (await carried_out(engine, backup)).children])
    return found


ONLY_DAMAGE_STOPS = [
    [Status.FAILED, Status.COMPLETED, Status.FAILED],
    [Status.FAILED, Status.SKIPPED, Status.SKIPPED],
]


async def test_with_verify_only_damage_keeps_the_rest_from_running(engine: Engine, path: Path) -> None:
    assert await backups_between_checks(engine, path) == ONLY_DAMAGE_STOPS


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    with copied_store(postgres) as url:
        yield url


async def test_the_same_holds_in_a_shared_store(url: str, tmp_path: Path, path: Path) -> None:
    async with Engine.open(StoreLocation(tmp_path / "state" / "jobs.db", url), workers=1) as engine:
        assert await backups_between_checks(engine, path) == ONLY_DAMAGE_STOPS


async def test_a_check_that_could_not_look_keeps_all_else_from_running(engine: Engine, path: Path) -> None:
    request = await request_of(engine, path, lock_timeout=0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        done = await carried_out(engine, request)
    assert [child.status for child in done.children] == [Status.FAILED, Status.SKIPPED]


async def of(engine: Engine, path: Path) -> dict[Operation, Advice]:
    return {one.operation: one for one in await engine.advise(str(path), budget=None)}


async def test_a_clean_check_of_an_earlier_state_is_none_of_this_one(engine: Engine, path: Path) -> None:
    for level in CheckLevel:
        check = Request(target=str(path), operations=(Operation.CHECK,), options=Options(check=level))
        await carried_out(engine, check)
    request = await request_of(engine, path)
    assert request is not None
    assert request.operations == (Operation.ANALYZE,)  # nobody has written since

    with closing(sqlite3.connect(path)) as db:
        db.execute('INSERT INTO "group"(name) VALUES (?)', ("new",))
        db.commit()
    request = await request_of(engine, path)
    assert request is not None
    assert (request.operations, request.options.check) == ((Operation.CHECK, Operation.ANALYZE), CheckLevel.QUICK)
    advice = (await of(engine, path))[Operation.CHECK]
    assert (advice.level, advice.before_writing) == (Level.NONE, CheckLevel.QUICK)
    assert "; a quick check" in advice.reason


async def test_one_that_is_verified_is_checked_once(engine: Engine, path: Path) -> None:
    request = await request_of(engine, path, verify=True)
    assert request is not None
    assert (request.children, request.options.check_first) == (
        (Operation.CHECK, Operation.ANALYZE, Operation.CHECK),
        False,
    )


async def test_a_check_that_is_cancelled_before_it_begins_keeps_all_else_from_running(
    engine: Engine, path: Path
) -> None:
    request = await request_of(engine, path)
    assert request is not None
    await engine.pause("test")
    (job,) = await engine.submit([request])
    await engine.cancel(job.children[0].id)
    await engine.resume()
    (done,) = await engine.wait([job.id])
    assert [(child.status, child.reason) for child in done.children] == [
        (Status.CANCELLED, Reason.CANCELLED_BY_USER),
        (Status.SKIPPED, Reason.PREVIOUS_FAILED),
    ]
