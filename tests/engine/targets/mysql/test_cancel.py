"""Cancel: a command is killed and its answer awaited, and what must not be stopped is not."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest

from engine import Operation, Options, ServerOptions, Status
from engine.domain.humanize import NOT_BEGUN
from engine.domain.statuses import Reason
from engine.domain.steps import GAVE_WAY, Step, WaitsFor
from engine.domain.time_limits import window
from engine.targets import command_monitor
from engine.targets.limits import NotBegunError
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.planning.steps import MySqlStep
from engine.targets.mysql.running.operation import KILLED_CHECK
from engine.targets.mysql.running.result import NO_HISTOGRAMS
from engine.targets.step_execution import NOTHING_CHANGED, StepContext, StepProgress, StepResult
from tests.engine.targets.mysql.a_session import filled, runs, until, waits
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.server_session import Told, connected
from tests.mysql_databases import MySqlDatabase
from tests.waiting import eventually

pytestmark = LONG_ON_MYSQL

HOLDS = "SELECT * FROM item LIMIT 1"


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.CHECK, Operation.REBUILD])
async def test_a_command_that_is_cancelled_ends_and_its_connection_is_not_used_again(
    database: MySqlDatabase, operation: Operation
) -> None:
    filled(database, "item", 1_000)
    filled(database, "other")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=30) as session:
        first, second = (await session.plan(operation, Options())).steps
        cancel = asyncio.Event()
        with database.session("LOCK TABLES item WRITE"):
            running = asyncio.create_task(session.execute(first, StepContext(cancel=cancel)))
            await until(database, runs("", "Waiting for table metadata lock"))
            cancel.set()
            result = await running
        assert (result.status, result.error) == (Status.CANCELLED, None)
        assert result.left
        assert (await session.execute(second, StepContext())).status is Status.COMPLETED


async def test_r32_a_repair_that_waits_for_its_table_is_cancelled(database: MySqlDatabase) -> None:
    """It is never stopped in its work."""
    filled(database, "item", engine="MyISAM")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=3600) as session:
        (step,) = (await session.plan(Operation.REPAIR, Options(objects=("item",)))).steps
        cancel = asyncio.Event()
        with database.session("LOCK TABLES item READ"):
            running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
            await until(database, runs("REPAIR", "Waiting for table metadata lock"))
            cancel.set()
            result = await running
        assert (result.status, result.error) == (Status.CANCELLED, None)
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.REBUILD, Operation.REPAIR])
async def test_r32_what_waits_for_its_table_at_the_end_of_the_window_does_not_begin(
    database: MySqlDatabase, operation: Operation
) -> None:
    filled(database, "item", engine="MyISAM" if operation is Operation.REPAIR else "InnoDB")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=3600) as session:
        step = (await session.plan(operation, Options(objects=("item",), confirmed=True))).steps[0]
        with database.session("LOCK TABLES item WRITE"), window(0.5) as open_for_a_moment:
            result = await session.execute(step, StepContext(window=open_for_a_moment))
        assert (result.status, result.reason) == (Status.SKIPPED, Reason.TIME_LIMIT)
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("holds", "ending"),
    [(HOLDS, "limit"), ("LOCK TABLES item READ", "limit"), (HOLDS, "cancel"), (HOLDS, "lock timeout")],
)
async def test_r32_a_rebuild_that_waits_for_its_last_lock_ends_with_the_time_limit(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch, holds: str, ending: str
) -> None:
    """Another session takes its lock while the rows are copied: with ever more rows, until it is in time."""
    monkeypatch.setattr(command_monitor, "INTERVAL", 0.02)
    monkeypatch.setattr(command_monitor, "LAST_WAIT", 0.5)
    filled(database, "item", rows := 40_000)
    async with (
        asyncio.timeout(120),
        connected(database.url, lock_timeout=1 if ending == "lock timeout" else 3600) as session,
    ):
        result = None
        while result is None or result.status is Status.COMPLETED:
            told, context = Told(), StepContext(cancel=asyncio.Event())
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            running = asyncio.create_task(session.execute(step, replace(context, report=told)))
            await eventually(lambda told=told, running=running: told.phases or running.done())  # type: ignore[misc]
            with database.session(holds) as other:
                await eventually(partial(_waits_or_is_over, database, running))
                if ending == "limit":
                    context.window.closed.set()
                elif ending == "cancel":
                    context.cancel.set()
                result = await running
                number = other.thread_id()  # type: ignore[no-untyped-call]
            if result.status is Status.COMPLETED:
                database(f"INSERT INTO item SELECT id + {rows}, b FROM item")
                rows *= 2
        if ending == "cancel":
            assert (result.status, result.left) == (Status.CANCELLED, NOTHING_CHANGED)
        else:
            assert (result.status, result.reason, result.left) == (Status.FAILED, Reason.TARGET_BUSY, NOTHING_CHANGED)
            assert ("time limit" in (result.error or "")) is (ending == "limit")
            assert f"connection {number} " in (result.error or "") or "INSTALL SONAME" in (result.error or "")
        assert not list((database.server.data / database.name).glob("#sql*"))
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED


async def test_r32_the_repair_of_a_dead_process_waits_for_its_table_until_a_cancel(database: MySqlDatabase) -> None:
    filled(database, "item", engine="MyISAM")
    effect = {"method": "repair", "table": "item"}
    earlier = Step(number=1, attempt=1, object="item", command="", status=Status.FAILED, started_at=0, effect=effect)
    async with asyncio.timeout(60), connected(database.url, lock_timeout=3600) as session:
        context = StepContext(cancel=asyncio.Event())
        with database.session("LOCK TABLES item WRITE"):
            recovering = asyncio.create_task(session.recover([earlier], Options(), context))
            await until(database, waits("CHECK TABLE", "Waiting for table metadata lock"))
            context.cancel.set()
            with pytest.raises(NotBegunError):
                await recovering


async def test_a_rebuild_that_is_cancelled_in_the_middle_leaves_nothing(database: MySqlDatabase) -> None:
    filled(database, "item", 80_000)
    async with asyncio.timeout(60), connected(database.url) as session:
        (step,) = (await session.plan(Operation.REBUILD, Options())).steps
        cancel = asyncio.Event()
        running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
        await until(database, runs("ALTER", "altering table"))
        cancel.set()
        result = await running
        assert (result.status, result.left) == (Status.CANCELLED, NOTHING_CHANGED)
    assert not list((database.server.data / database.name).glob("#sql*"))
    assert database("CHECK TABLE item QUICK")[-1][3] == "OK"


async def _waits_or_is_over(database: MySqlDatabase, running: asyncio.Task[StepResult]) -> bool:
    waiting = runs("ALTER", "Waiting for table metadata lock")
    return running.done() or bool(await asyncio.to_thread(database.value, waiting))


async def _is_seen(database: MySqlDatabase, running: asyncio.Task[StepResult]) -> bool:
    """Whether its CHECK is seen at work before it is over."""
    while not running.done():
        if await asyncio.to_thread(database.value, runs("CHECK")):
            return True
    return False


@pytest.mark.parametrize("engine", ["InnoDB", "MyISAM"])
async def test_a_check_that_was_killed_is_no_clean_check_and_finds_no_damage(
    database: MySqlDatabase, engine: str
) -> None:
    filled(database, "item", 80_000, engine=engine)
    async with asyncio.timeout(60), connected(database.url, writing=False) as session:
        for by_us in (True, False):
            for _ in range(30):  # it may come when the check is over
                (step,) = (await session.plan(Operation.CHECK, Options())).steps
                cancel = asyncio.Event()
                running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
                if await _is_seen(database, running):
                    if by_us:
                        cancel.set()
                    elif number := database.value(runs("CHECK").replace("COUNT(*)", "MAX(id)")):
                        database(f"KILL QUERY {number}")
                result = await running
                if result.status is not Status.COMPLETED:
                    break
            assert result.status is (Status.CANCELLED if by_us else Status.FAILED)
            assert (result.effect, result.error_is_finding) == (None, False)
            assert (await session.planned.facts())["complete"] is False


async def test_a_kill_of_something_else_fails_a_check_only_where_the_server_tells_no_difference(
    database: MySqlDatabase,
) -> None:
    filled(database, "item")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=60, writing=False) as session:
        (step,) = (await session.plan(Operation.CHECK, Options())).steps
        with database.session("LOCK TABLES item WRITE") as locks, database.session() as another:
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, runs("CHECK", "Waiting for table metadata lock"))
            database(f"KILL {another.thread_id()}")  # type: ignore[no-untyped-call]
            locks.close()
            result = await running
        if database.flavor is Flavor.MYSQL:
            assert (result.status, result.error) == (Status.COMPLETED, None)
        else:
            assert (result.status, result.error) == (Status.FAILED, KILLED_CHECK.format(said="OK"))
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED


async def test_a_task_that_is_cancelled_ends_its_command_first(database: MySqlDatabase) -> None:
    filled(database, "item")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=30) as session:
        (step,) = (await session.plan(Operation.REBUILD, Options())).steps
        with database.session(HOLDS):
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, runs("ALTER"))
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            # MariaDB lists a command for a moment after its answer.
            await until(database, runs("ALTER").replace("COUNT(*)", "COUNT(*) = 0"))


async def test_a_repair_is_not_stopped_by_a_cancel(database: MySqlDatabase) -> None:
    filled(database, "item", engine="Aria" if database.flavor == "mariadb" else "MyISAM")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=30) as session:
        (step,) = (await session.plan(Operation.REPAIR, Options(objects=("item",)))).steps
        assert isinstance(step, MySqlStep)
        assert not step.stops_safely
        cancel = asyncio.Event()
        with database.session("LOCK TABLES item READ"):
            running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
            await until(database, runs("REPAIR"))
            cancel.set()
        assert (await running).status is Status.COMPLETED


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.REBUILD])
async def test_a_step_that_gets_no_lock_says_who_has_it(database: MySqlDatabase, operation: Operation) -> None:
    filled(database, "item")
    holds = HOLDS if operation is Operation.REBUILD else "LOCK TABLES item WRITE"
    async with asyncio.timeout(60), connected(database.url, lock_timeout=2) as session:
        (step,) = (await session.plan(operation, Options())).steps
        told = Told()
        with database.session(holds) as other:
            number = other.thread_id()  # type: ignore[no-untyped-call]
            result = await session.execute(
                step, StepContext(report=told, command_finished=lambda: told(StepProgress()))
            )
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    if operation is Operation.REBUILD:  # of LOCK TABLES without a transaction only MySQL knows
        assert f"connection {number} " in (result.error or "")
        assert any(f"connection {number} " in phase for phase in told.phases)
    elif database.flavor is Flavor.MARIADB:
        assert "names after INSTALL SONAME 'metadata_lock_info'" in (result.error or "")
    *waits, last = [progress.waits_for for progress in told.all]
    assert WaitsFor.LOCK in waits
    assert set(waits[waits.index(WaitsFor.LOCK) :]) == {WaitsFor.LOCK}  # it may be seen before it has come that far
    assert last is None, "its result is not known yet, but it waits no more"


async def test_a_plan_warns_of_who_holds_its_tables(database: MySqlDatabase) -> None:
    filled(database, "item")
    filled(database, "other")
    async with connected(database.url) as session:
        await session.plan(Operation.REBUILD, Options())
        with database.session(HOLDS) as other:
            number = other.thread_id()  # type: ignore[no-untyped-call]
            # A list of transactions that was read less than 100 ms ago is old.
            found = await eventually(lambda: session.find_blockers(has_window=False))
            assert f"connection {number} " in found
            assert (") on item. New" if database.flavor is Flavor.MYSQL else "INSTALL SONAME") in found


@pytest.mark.parametrize(("elsewhere", "name"), [("", "item"), ("information_schema", "{}.item"), ("{}_views", "seen")])
async def test_a_rebuild_that_others_wait_behind_gives_way_and_runs_again(
    database: MySqlDatabase, elsewhere: str, name: str
) -> None:
    """`elsewhere`: the database that the session behind it uses, as reports and dumps do. `name`: what it reads."""
    filled(database, "item")
    if name == "seen":
        views = elsewhere.format(database.name)
        database(f"CREATE DATABASE {views}", f"CREATE VIEW {views}.seen AS SELECT * FROM {database.name}.item")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=30) as session:
        options = Options(server=ServerOptions(yield_after=0.2))
        (step,) = (await session.plan(Operation.REBUILD, options)).steps
        with database.session(HOLDS), database.session() as behind:
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, runs("ALTER", "Waiting for table metadata lock"))
            with behind.cursor() as cursor:
                cursor.execute(f"USE {elsewhere.format(database.name) or database.name}")
                reading = asyncio.to_thread(cursor.execute, f"SELECT COUNT(*) FROM {name.format(database.name)}")
                assert await reading == 1  # it gets through once the rebuild has given way
            result = await running
        assert (result.status, result.requeue) == (Status.SKIPPED, True)
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        assert (await session.facts(Operation.REBUILD))[GAVE_WAY] == 1
    database(f"DROP DATABASE IF EXISTS {database.name}_views")


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_r32_histograms_that_wait_for_their_table_do_not_begin_and_the_statistics_are_new(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch, *, is_cancelled: bool
) -> None:
    if database.flavor is Flavor.MARIADB:
        pytest.skip("one command makes both")
    database("CREATE TABLE item (id INT PRIMARY KEY, kind INT)", "INSERT INTO item VALUES (1, 1), (2, 2)")
    command = Connection.command
    with ExitStack() as unlock:

        async def locked_before_histograms(self: Connection, text: str) -> list[tuple[str | None, ...]]:
            if "HISTOGRAM" in text:
                unlock.enter_context(database.session("LOCK TABLES item WRITE"))
            return await command(self, text)

        monkeypatch.setattr(Connection, "command", locked_before_histograms)
        async with asyncio.timeout(60), connected(database.url, lock_timeout=3600) as session:
            (step,) = (await session.plan(Operation.ANALYZE, Options())).steps
            context = StepContext(cancel=asyncio.Event())
            running = asyncio.create_task(session.execute(step, context))
            await until(database, runs("ANALYZE%HISTOGRAM", "Waiting for table metadata lock"))
            (context.cancel if is_cancelled else context.window.closed).set()
            result = await running
    if is_cancelled:
        assert (result.status, result.left) == (Status.CANCELLED, NO_HISTOGRAMS)
    else:
        assert (result.status, result.warnings) == (Status.COMPLETED, (f"item: {NO_HISTOGRAMS}",))


@pytest.mark.parametrize("ending", ["limit", "cancel", "lock timeout"])
@pytest.mark.parametrize("is_held_before", [True, False])
async def test_r32_a_global_read_lock_keeps_no_histogram_from_its_end(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch, ending: str, *, is_held_before: bool
) -> None:
    """MySQL ends that wait neither by lock_wait_timeout nor by KILL."""
    if database.flavor is Flavor.MARIADB:
        pytest.skip("it hears both")
    database("CREATE TABLE item (id INT PRIMARY KEY, kind INT)", "INSERT INTO item VALUES (1, 1), (2, 2)")
    monkeypatch.setattr(command_monitor, "LAST_WAIT", 0.5)
    command = Connection.command
    with ExitStack() as unlock:

        async def locked_before_histograms(self: Connection, text: str) -> list[tuple[str | None, ...]]:
            if "HISTOGRAM" in text and not is_held_before:
                unlock.enter_context(database.session("FLUSH TABLES WITH READ LOCK"))
            return await command(self, text)

        monkeypatch.setattr(Connection, "command", locked_before_histograms)
        lock_timeout = 1 if ending == "lock timeout" else 3600
        async with asyncio.timeout(60), connected(database.url, lock_timeout=lock_timeout) as session:
            (step,) = (await session.plan(Operation.ANALYZE, Options())).steps
            if is_held_before:
                unlock.enter_context(database.session("FLUSH TABLES WITH READ LOCK"))
            told = Told()
            context = StepContext(cancel=asyncio.Event(), report=told)
            running = asyncio.create_task(session.execute(step, context))
            waiting = await eventually(lambda: [each for each in told.all if each.waits_for is WaitsFor.LOCK])
            assert " (root@localhost, idle" in (waiting[0].phase or "")
            assert database.value(runs("ANALYZE")) == (0 if is_held_before else 1)
            if ending != "lock timeout":
                (context.cancel if ending == "cancel" else context.window.closed).set()
            result = await running
    if ending == "cancel":
        left = NOT_BEGUN if is_held_before else NO_HISTOGRAMS
        assert (result.status, result.left) == (Status.CANCELLED, left)
    elif not is_held_before:
        assert (result.status, result.warnings) == (Status.COMPLETED, (f"item: {NO_HISTOGRAMS}",))
    elif ending == "limit":
        assert (result.status, result.reason) == (Status.SKIPPED, Reason.TIME_LIMIT)
    else:
        assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
        assert " (root@localhost, idle" in (result.error or "")
    await until(database, runs("ANALYZE").replace("COUNT(*)", "COUNT(*) = 0"))
