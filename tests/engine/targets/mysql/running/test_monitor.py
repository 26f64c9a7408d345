"""What a command does, and which sessions wait behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.domain.requests import Options
from engine.system.local_servers import milliseconds_of_thread, process_of_server
from engine.targets.mysql.planning.operation_steps import rebuild_steps
from engine.targets.mysql.reading import locks
from engine.targets.mysql.reading.tables import Table, tables
from engine.targets.mysql.running.monitor import Monitor, ThreadAtStart, Waiter, Watched, is_behind
from engine.targets.mysql.running.progress import Progress, Seen
from engine.targets.step_execution import StepProgress
from tests.engine.targets.mysql.a_session import a_user, filled, until
from tests.engine.targets.mysql.looking import looking
from tests.engine.targets.mysql.running.test_progress import STEP
from tests.engine.targets.server_session import Told
from tests.mysql_databases import MySqlDatabase

ITEM = Table(database="shop", name="item", engine="InnoDB")
HERE, ELSEWHERE = True, False


@pytest.mark.parametrize(
    ("waiter", "waited", "expected"),
    [
        (Waiter(HERE, "CALL nightly()", 9), 5.0, True),
        (Waiter(HERE, "CALL nightly()", 9), None, False),
        (Waiter(HERE, "SELECT * FROM item", 9), None, True),
        (Waiter(HERE, "SELECT * FROM `Item`", 9), None, True),
        (Waiter(HERE, "SELECT * FROM items", 9), None, False),
        (Waiter(ELSEWHERE, "SELECT * FROM shop.Item", 9), None, True),
        (Waiter(ELSEWHERE, "ALTER TABLE workshop.parts FORCE", 9), None, False),  # names the database, shop, by chance
        (Waiter(ELSEWHERE, "SELECT * FROM seen", 2), 5.0, True),  # perhaps a view of the table
        (Waiter(ELSEWHERE, "SELECT * FROM seen", 9), 5.0, False),
        (Waiter(ELSEWHERE, "/* dbtend 1 1/1 */ ALTER TABLE crm.parts FORCE", 2), 5.0, False),
    ],
)
def test_behind_a_command_is_who_names_its_table_or_waits_after_it(
    waiter: Waiter, waited: float | None, *, expected: bool
) -> None:
    assert is_behind(waiter, ITEM, waited, is_sure=False) is expected


def test_where_the_server_names_who_waits_for_a_table_no_other_session_counts_but_those_of_the_database() -> None:
    assert not is_behind(Waiter(ELSEWHERE, "SELECT * FROM seen", 2), ITEM, 5.0, is_sure=True)
    assert is_behind(Waiter(HERE, "SELECT * FROM seen", 2), ITEM, 5.0, is_sure=True)


def test_a_command_that_still_waits_for_its_lock_has_not_begun() -> None:
    watched = Watched(step=STEP, progress=Progress(STEP, began=0.0, seconds=None), report=lambda _: None)
    found = []
    for state in ("Waiting for table metadata lock", "Waiting for disk space", "Waiting for table metadata lock"):
        watched.note(Seen(state=state), 1.0)
        found.append((watched.has_begun, watched.only_waited))
    assert found == [(False, True), (True, False), (True, False)]


async def test_the_first_look_at_a_rebuild_sees_its_new_file(database: MySqlDatabase) -> None:
    filled(database, "item", 60_000)
    async with looking(database.url) as reader:
        (step,) = rebuild_steps(await tables(reader), Options(), reader.server, {})
        told = Told()
        while not told.all:  # until it was still at work when it was looked at
            with database.session() as other, other.cursor() as cursor:
                cursor.execute("SELECT CONNECTION_ID()")
                ((number,),) = cursor.fetchall()
                rebuilding = asyncio.create_task(asyncio.to_thread(cursor.execute, step.command))
                shown = f"FROM information_schema.processlist WHERE id = {number} AND state LIKE 'alter%table%'"
                while not (rebuilding.done() or database.value(f"SELECT COUNT(*) {shown}")):
                    await asyncio.wait({rebuilding}, timeout=0.01)
                monitor = Monitor(reader)
                monitor.watched[number] = Watched(
                    step=step, progress=Progress(step, began=0.0, seconds=None), report=told
                )
                await monitor.poll()
                await rebuilding
    assert told.all[0].fraction


async def test_a_command_that_ended_while_the_holder_of_its_lock_was_asked_for_is_not_shown_as_waiting(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(database, "item", 10)
    holders = locks.holders
    async with looking(database.url) as reader, looking(database.url) as other:
        (step,) = rebuild_steps(await tables(reader), Options(), reader.server, {})
        told, monitor, number = Told(), Monitor(reader), other.connection.id

        async def ended(*args: Any, **more: Any) -> str:
            found = await holders(*args, **more)
            monitor.unwatch(number)
            return found

        with database.session() as holder, holder.cursor() as cursor:
            cursor.execute("LOCK TABLES item WRITE")
            running = asyncio.create_task(other.connection.command(step.command))
            shown = f"FROM information_schema.processlist WHERE id = {number} AND state LIKE 'Waiting for table%'"
            await until(database, f"SELECT COUNT(*) {shown}")
            progress = Progress(step, began=0.0, seconds=None)
            monitor.watched[number] = Watched(step=step, progress=progress, report=told)
            await monitor.poll()
            assert len(told.all) == 1
            monkeypatch.setattr(locks, "holders", ended)
            await monitor.poll()
            cursor.execute("UNLOCK TABLES")
            await asyncio.wait({running})
    assert len(told.all) == 1


async def test_without_a_right_to_see_its_threads_the_server_still_shows_what_a_command_does(
    database: MySqlDatabase,
) -> None:
    with a_user(database, "SELECT") as url:
        async with looking(url) as reader, looking(url) as other:
            told, monitor, number = Told(), Monitor(reader), other.connection.id
            running = asyncio.create_task(other.connection.command("SELECT SLEEP(60)"))
            shown = f"FROM information_schema.processlist WHERE id = {number} AND state = 'User sleep'"
            await until(database, f"SELECT COUNT(*) {shown}")
            progress = Progress(STEP, began=0.0, seconds=None)
            monitor.watched[number] = Watched(step=STEP, progress=progress, report=told)
            await monitor.poll()
            database(f"KILL QUERY {number}")
            await asyncio.wait({running})
    assert told.phases == ["user sleep"]


async def test_the_work_of_a_command_counts_from_its_beginning_however_late_it_is_looked_at(
    database: MySqlDatabase,
) -> None:
    seen = []

    class Seeing(Progress):
        def update(self, of: Seen, now: float, blockers: str = "") -> StepProgress:
            seen.append(of)
            return super().update(of, now, blockers)

    query = "SELECT BENCHMARK(20000000, 1 + 1)"
    async with looking(database.url) as reader, looking(database.url) as other:
        monitor, connection = Monitor(reader), other.connection
        await connection.command(query)
        process, thread = process_of_server(connection.line), await monitor.thread_of(connection)
        assert process
        assert thread
        before = milliseconds_of_thread(process, thread)
        assert before
        while not seen:  # until it was still at work when it was looked at
            before = milliseconds_of_thread(process, thread)
            assert before is not None
            running = asyncio.create_task(connection.command(query))
            used = 0
            while not running.done() and used < 50:
                await asyncio.wait({running}, timeout=0.01)
                used = (milliseconds_of_thread(process, thread) or 0) - before
            monitor.watched[connection.id] = Watched(
                step=STEP,
                progress=Seeing(STEP, began=0.0, seconds=None),
                report=Told(),
                thread=ThreadAtStart(process, thread, before),
            )
            await monitor.poll()
            await running
    assert (seen[0].used or 0) >= 50
