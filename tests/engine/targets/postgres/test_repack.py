"""Tables that are rewritten while they are in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest

from engine.domain.requests import Operation, Options, ServerOptions
from engine.domain.statuses import Reason, Status
from engine.targets.postgres.planning import repack_steps
from engine.targets.postgres.planning.repack_steps import is_unreleased, unable
from engine.targets.postgres.reading.repack import Surroundings
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import first_step, until
from tests.engine.targets.server_session import Told, connected, plan, run
from tests.postgres_databases import Database, new_database
from tests.postgres_server import NOT_UNPACKED, PostgresServer, every_server
from tests.waiting import eventually

ALONE = Surroundings([], 0, None, None, 5, None)
HALF_DEAD = (
    "CREATE TABLE item (id int PRIMARY KEY, note text)",
    "INSERT INTO item SELECT g, repeat('x', 200) FROM generate_series(1, 20000) AS g",
    "DELETE FROM item WHERE id % 4 <> 0",
)
WAITS_AT_ITS_END = """
SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'relation' AND application_name ~ '^dbtend'
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("19rc1 (Debian 19~rc1-1)", True),
        ("19beta2", True),
        ("20devel", True),
        ("19.0", False),
        ("19.1 (Debian 19.1-1.pgdg13+1)", False),
        ("18.6", False),
    ],
)
def test_a_server_that_is_not_released_is_recognized(text: str, expected: bool) -> None:
    assert is_unreleased(text) is expected


@pytest.mark.parametrize(
    ("version", "text", "around", "expected"),
    [
        (190_000, "19.0", ALONE, ""),
        (190_000, "19rc1 (Debian 19~rc1-1)", ALONE, "REPACK (CONCURRENTLY) of 19rc1 can lose changes to long values"),
        (190_000, "19.0", Surroundings([], 0, None, None, 0, None), "max_repack_replication_slots is 0"),
        (
            180_006,
            "18.6",
            Surroundings([], 0, None, None, 0, None),
            "cannot rewrite a table that is in use, 19 and newer",
        ),
        (180_006, "18.6", Surroundings([], 0, None, None, 0, None), "install pg_repack"),
        (180_006, "18.6", Surroundings([], 0, None, None, 0, None, True), "CREATE EXTENSION pg_repack"),
        (180_006, "18.6", Surroundings([], 0, None, None, 0, "1.5.3"), ""),
    ],
)
def test_a_server_that_cannot_do_it_says_what_to_do(
    version: int, text: str, around: Surroundings, expected: str
) -> None:
    said = unable(version, text, around)
    assert expected in said
    assert bool(said) is bool(expected)


@pytest.fixture
def unreleased(servers: Callable[[int | None], PostgresServer]) -> Iterator[Database]:
    """A database on PostgreSQL 19, which may not be released yet."""
    if 19 not in every_server():
        pytest.skip(NOT_UNPACKED)
    with new_database(servers(19)) as database:
        yield database


@pytest.fixture
def of_19(unreleased: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The same; nothing here changes long values, which a release candidate may lose."""
    monkeypatch.setattr(repack_steps, "is_unreleased", lambda version_text: False)
    return unreleased


async def test_a_release_candidate_is_refused(unreleased: Database) -> None:
    unreleased(*HALF_DEAD)
    if is_unreleased(unreleased.value("SHOW server_version")):
        assert "upgrade to a released version" in ((await plan(unreleased.url, Operation.REPACK)).refused or "")


async def test_it_gives_dead_space_back_and_renews_the_counters(of_19: Database) -> None:
    of_19(*HALF_DEAD)
    result = (await run(of_19.url, Operation.REPACK))["public.item"]
    assert result.status is Status.COMPLETED
    assert result.effect is not None
    assert int(str(result.effect["size"])) * 2 < int(str(result.effect["size_before"]))
    assert of_19.value("SELECT count(*) FROM item") == 5000
    assert of_19.value("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'item'") == 0


async def test_each_table_that_the_server_refuses_is_left_out_with_the_reason(of_19: Database) -> None:
    tables = {
        "no_key": ("CREATE TABLE no_key (id int)",),
        "identity_full": ("CREATE TABLE identity_full (id int PRIMARY KEY)", "REPLICA IDENTITY FULL"),
        "identity_nothing": ("CREATE TABLE identity_nothing (id int PRIMARY KEY)", "REPLICA IDENTITY NOTHING"),
        "deferred": ("CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE)",),
        "unlogged": ("CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)",),
        "view": ("CREATE MATERIALIZED VIEW view AS SELECT 1 AS id",),
        "of_users": ("CREATE TABLE of_users (id int PRIMARY KEY) WITH (user_catalog_table = true)",),
    }
    for name, (make, *alter) in tables.items():
        of_19(make, *(f"ALTER TABLE {name} {how}" for how in alter))
        with pytest.raises(psycopg.Error) as refused:
            of_19(f"REPACK (CONCURRENTLY) {name}")
        assert refused.value.sqlstate in {"55000", "0A000"}
        assert (await plan(of_19.url, Operation.REPACK, objects=(name,))).refused
    of_19("CREATE TABLE chosen (id int NOT NULL)", "CREATE UNIQUE INDEX chosen_id ON chosen (id)")
    of_19("ALTER TABLE chosen REPLICA IDENTITY USING INDEX chosen_id")
    of_19("CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    of_19("CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10)")
    planned = await plan(of_19.url, Operation.REPACK)
    assert {step.object for step in planned.steps} == {"public.chosen", "public.part"}
    said = " ".join(planned.warnings)
    assert all(f"public.{name}" in said for name in tables)


async def test_a_transaction_that_has_written_is_waited_for_and_named(of_19: Database) -> None:
    of_19(*HALF_DEAD, "CREATE TABLE other (id int)")
    told = Told()
    with of_19.session("INSERT INTO other VALUES (1)") as writer:
        async with connected(of_19.url) as session:
            step = (await session.plan(Operation.REPACK, Options(server=ServerOptions(snapshot_wait=60)))).steps[0]
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            who = f"transaction of pid {writer.info.backend_pid}"
            await eventually(lambda: running.done() or any(who in phase for phase in told.phases))
            assert not running.done(), running.result()
            writer.rollback()
            assert (await running).status is Status.COMPLETED


async def test_a_prepared_transaction_is_waited_for_and_named(of_19: Database) -> None:
    of_19(*HALF_DEAD, "BEGIN", "SELECT txid_current()", "PREPARE TRANSACTION 'lost'")
    try:
        async with connected(of_19.url, lock_timeout=0.2) as session:
            step = await first_step(session, Operation.REPACK)
            named = await eventually(lambda: session.find_blockers(has_window=False))  # it counts once it lasts
            assert "prepared transaction 'lost'" in named
            assert (await session.execute(step, StepContext())).status is not Status.COMPLETED
    finally:
        of_19("ROLLBACK PREPARED 'lost'")


async def test_without_the_lock_at_its_end_nothing_is_left_and_it_is_tried_again(of_19: Database) -> None:
    of_19(*HALF_DEAD)
    size = of_19.value("SELECT pg_relation_size('item')")
    with of_19.session("SELECT FROM item LIMIT 1"):
        async with connected(of_19.url, lock_timeout=0.2) as session:
            step = await first_step(session, Operation.REPACK)
            first = await session.execute(step, StepContext())
            assert (first.requeue, first.status) == (True, Status.SKIPPED)
            assert "it runs again" in str(first.error)
            assert (await session.execute(step, StepContext())).requeue
            last = await session.execute(step, StepContext())
            assert (last.status, last.reason, last.left) == (Status.FAILED, Reason.TARGET_BUSY, "nothing changed")
    assert of_19.value("SELECT pg_relation_size('item')") == size
    assert of_19.value("SELECT count(*) FROM pg_replication_slots") == 0


async def test_a_cancel_while_it_waits_leaves_nothing(of_19: Database) -> None:
    of_19(*HALF_DEAD)
    context = StepContext()
    with of_19.session("SELECT FROM item LIMIT 1"):
        async with connected(of_19.url, lock_timeout=60) as session:
            running = asyncio.create_task(session.execute(await first_step(session, Operation.REPACK), context))
            await until(of_19, WAITS_AT_ITS_END)
            context.cancel.set()
            result = await running
    assert (result.status, result.left) == (Status.CANCELLED, "nothing changed")
    assert of_19.value("SELECT count(*) FROM pg_replication_slots") == 0


async def test_an_inactive_slot_is_a_warning(of_19: Database) -> None:
    of_19(*HALF_DEAD, "SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        assert "forgotten" in " ".join((await plan(of_19.url, Operation.REPACK)).warnings)
    finally:
        of_19("SELECT pg_drop_replication_slot('forgotten')")
