"""A server that goes down under a check: it is told, the check is not begun again, and other tables are checked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import Advice, Engine, Operation, Options, ParentJob, Request, Status
from engine.config.model import TargetEntry
from engine.domain.damage import DamageSource
from engine.domain.errors import ServerDiedError, ServerUnavailableError
from engine.domain.statuses import Reason
from engine.domain.surveys import FleetLevel, SurveyCause
from engine.targets.mysql.connection.server import Flavor
from tests.engine.schedules.suspect_tables import two_nights
from tests.engine.targets.mysql.a_session import filled
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.waiting import eventually
from tui.presentation.exit_codes import SKIPPED, exit_code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

PAGE = 16_384
# MariaDB reports a damaged page, and goes on: see test_damaged_pages.py.
pytestmark = pytest.mark.parametrize(
    "server", [pytest.param(Flavor.MYSQL, marks=pytest.mark.long)], ids=str, indirect=True, scope="session"
)


@pytest.fixture
def shop(own_server: MySqlServer) -> Iterator[MySqlDatabase]:
    """With a table whose check ends the server."""
    with own_server.running(), new_database(own_server) as database:
        filled(database, "inn", 20_000)
        filled(database, "well", 1_000)
        own_server.stop()
        with (own_server.data / database.name / "inn.ibd").open("r+b") as file:
            for page in range(6, 30):
                file.seek(page * PAGE + 100)
                file.write(b"\x13" * 3_000)
        own_server.start()
        database.reconnect()
        yield database
        if own_server.process is None or own_server.process.poll() is not None:
            own_server.start()
        database.reconnect()


@asynccontextmanager
async def restarted_when_it_dies(
    server: MySqlServer, after: Callable[[], Awaitable[object]] | None = None
) -> AsyncIterator[list[int]]:
    """As systemd does it. Gives the exit codes. `after`: what each restart waits for."""
    codes: list[int] = []

    def exit_code() -> int | None:
        """A server that died has another one than 0."""
        return server.process.poll() if server.process is not None else None

    async def restart() -> None:
        while True:
            codes.append(await eventually(exit_code))
            if after is not None:
                await after()
            await asyncio.to_thread(server.start)

    restarting = asyncio.create_task(restart())
    try:
        yield codes
    finally:
        restarting.cancel()
        with suppress(asyncio.CancelledError):
            await restarting


async def run(engine: Engine, database: MySqlDatabase, options: Options | None = None) -> ParentJob:
    request = Request(target=database.url, operations=(Operation.CHECK,), options=options or Options())
    (job,) = await engine.submit([request])
    async with asyncio.timeout(120):
        (job,) = await engine.wait([job.id])
    return job


async def test_a_damaged_table_that_ends_the_server_is_named_and_checked_once_and_the_other_is_checked(
    shop: MySqlDatabase, tmp_path: Path
) -> None:
    async with restarted_when_it_dies(shop.server) as codes, Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        job = await run(engine, shop)
    (check,) = job.children
    inn, well = check.steps
    assert len(codes) == 1
    assert (inn.object, inn.status, inn.reason) == ("inn", Status.FAILED, Reason.SERVER_DIED)
    assert inn.error == "the server died while checking inn: read its error log"
    assert (well.object, well.status) == ("well", Status.COMPLETED)
    assert (check.status, check.reason) == (Status.FAILED, Reason.SERVER_DIED)


async def test_the_table_is_left_out_by_a_retry_the_next_check_and_what_is_needed_until_it_is_named(
    shop: MySqlDatabase, tmp_path: Path
) -> None:
    async with restarted_when_it_dies(shop.server) as codes, Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        first = await run(engine, shop, Options(objects=("inn",)))
        (check,) = (await ended(engine, await engine.retry(first.id))).children
        assert (check.reason, check.steps) == (Reason.DAMAGED, ())
        (check,) = (await run(engine, shop)).children
        assert [(step.object, step.status) for step in check.steps] == [("well", Status.COMPLETED)]
        advice = {one.operation: one for one in await engine.advise(shop.url)}
        assert "the server died while checking inn: read its error log" in advice[Operation.CHECK].reason
        for one in advice.values():
            assert "inn" not in one.objects
        assert [(one.object, one.source) for one in await engine.known_damage(shop.url)] == [
            ("inn", DamageSource.SERVER_LOST)
        ]
        await engine.accept_damage(shop.url, "ann@host")
        (check,) = (await run(engine, shop)).children
        assert [(step.object, step.status) for step in check.steps] == [("well", Status.COMPLETED)]
        (survey,) = [one.survey async for one in engine.survey([TargetEntry(name="s", url=shop.url)], refresh=True)]
        assert survey.level is not FleetLevel.CRITICAL
        request = Request(target=shop.url, operations=(Operation.ANALYZE, Operation.OPTIMIZE))
        (job,) = await engine.submit([request])
        analyzed = {step.object for child in (await ended(engine, job)).children for step in child.steps}
        assert "well" in analyzed
        assert "inn" not in analyzed
        assert len(codes) == 1
        (check,) = (await run(engine, shop, Options(objects=("inn",)))).children
        assert check.reason is Reason.SERVER_DIED
        assert len(codes) == 2


async def test_the_second_night_of_a_schedule_leaves_the_table_out_and_its_target_is_critical(
    shop: MySqlDatabase, tmp_path: Path
) -> None:
    async with restarted_when_it_dies(shop.server) as codes:
        first, second = await two_nights(tmp_path, shop.url, '["check"]')
    assert len(codes) == 1
    assert first is not None
    assert second is not None
    assert first.reason is Reason.SERVER_DIED
    assert [(step.object, step.status) for step in second.steps] == [("well", Status.COMPLETED)]


async def test_a_night_of_what_is_needed_checks_the_other_tables_and_its_target_is_critical_while_it_starts(
    shop: MySqlDatabase, tmp_path: Path
) -> None:
    async with restarted_when_it_dies(shop.server) as codes:
        first, second = await two_nights(tmp_path, shop.url, '"needed"')
    assert len(codes) == 1
    assert first is not None
    assert [(step.object, step.status) for step in first.steps] == [("well", Status.COMPLETED)]
    assert second is None  # the check of the others is not due again
    shop.server.stop()
    async with Engine.open(tmp_path / "jobs.db") as engine:
        entry = TargetEntry(name="shop", url=shop.url)
        (down,) = [one.survey async for one in engine.survey([entry], refresh=True)]
    assert (down.level, [one.cause for one in down.reasons]) == (
        FleetLevel.CRITICAL, [SurveyCause.DAMAGE, SurveyCause.UNAVAILABLE]
    )  # fmt: skip


async def ended(engine: Engine, job: ParentJob) -> ParentJob:
    async with asyncio.timeout(120):
        (job,) = await engine.wait([job.id])
    return job


async def test_a_table_whose_sample_ends_the_server_is_not_read_by_the_next_inspection(
    shop: MySqlDatabase, tmp_path: Path
) -> None:
    async with restarted_when_it_dies(shop.server) as codes, Engine.open(tmp_path / "jobs.db") as engine:
        with pytest.raises(ServerDiedError) as met:
            await engine.advise(shop.url)
        assert met.value.table == "inn"
        (known,) = await engine.known_damage(shop.url)
        assert (known.object, known.source) == ("inn", DamageSource.SERVER_LOST)

        async def advice_of_all() -> dict[Operation, Advice] | None:
            with suppress(ServerUnavailableError):
                return {one.operation: one for one in await engine.advise(shop.url)}
            return None

        advice = await eventually(advice_of_all)  # until it is up again
    assert "the server died while reading inn" in advice[Operation.CHECK].reason
    assert len(codes) == 1


async def test_r31_a_table_under_which_the_server_died_is_known_by_each_name_of_the_server(
    shop: MySqlDatabase, tmp_path: Path
) -> None:
    by_port = shop.server.tcp_url(shop.name, "ann")
    shop("CREATE USER IF NOT EXISTS ann@'%'", "GRANT ALL ON *.* TO ann@'%'")
    async with restarted_when_it_dies(shop.server) as codes, Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await run(engine, shop, Options(objects=("inn",)))
        assert len(codes) == 1
        advice = await engine.advise(by_port)
        assert all("inn" not in one.objects for one in advice)
        assert [(one.object, one.source) for one in await engine.known_damage(by_port)] == [
            ("inn", DamageSource.SERVER_LOST)
        ]
        other = by_port.replace("127.0.0.1", "localhost")  # opened by no inspection before
        (job,) = await engine.submit([Request(target=other, operations=(Operation.ANALYZE, Operation.CHECK))])
        done = {step.object for child in (await ended(engine, job)).children for step in child.steps}
        assert "inn" not in done
        assert "well" in done
        (job,) = await engine.submit([Request(target=by_port, operations=(Operation.CHECK,))])
        job = await ended(engine, job)
        assert (job.children[0].after or {})["suspected_tables"] == ["inn"]
        assert exit_code([job]) == SKIPPED
        (survey,) = [one.survey async for one in engine.survey([TargetEntry(name="s", url=by_port)], refresh=True)]
        assert (survey.level, survey.checked_at) == (FleetLevel.CRITICAL, None)
        assert len(codes) == 1
