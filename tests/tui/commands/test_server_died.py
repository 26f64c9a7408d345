"""`run --needed` where its inspection ends the server: it says so, and does not read that table again."""

from __future__ import annotations

import asyncio
import os
import pty
import signal

import pytest

from engine import Engine, Operation, Request, Status
from engine.domain.damage import DamageSource
from engine.domain.errors import ServerDiedError
from engine.targets.mysql.connection.server import Flavor
from tests.engine.targets.mysql.conftest import own_server, server
from tests.engine.targets.mysql.test_server_died import shop
from tests.mysql_databases import MySqlDatabase
from tests.tui.command_line import CommandLine, err_line
from tests.tui.commands.test_run import chunks
from tui.presentation.exit_codes import CANCELLED, REFUSED, USAGE

__all__ = ["own_server", "server", "shop"]

pytestmark = pytest.mark.parametrize(
    "server", [pytest.param(Flavor.MYSQL, marks=pytest.mark.long)], ids=str, indirect=True, scope="session"
)


def at_a_terminal(dbtend: CommandLine, *argv: str) -> tuple[int, str]:
    """The exit code of a command, and all that it shows."""
    terminal, far_end = pty.openpty()
    with dbtend.start(*argv, stdout=far_end, stderr=far_end) as process:
        os.close(far_end)
        shown = "".join(chunks(terminal))
    return process.returncode, shown


def make_store(dbtend: CommandLine) -> None:
    async def make() -> None:
        async with Engine.open(dbtend.store):
            pass

    asyncio.run(make())


async def checked(dbtend: CommandLine) -> dict[str, Status]:
    """The objects of the check that ran, with their status."""
    async with Engine.open(dbtend.store, read_only=True) as engine:
        jobs = await engine.whole_jobs([job.id for job in await engine.history()])
    return {step.object: step.status for job in jobs for child in job.children for step in child.steps}


async def known(dbtend: CommandLine, url: str) -> list[tuple[str, DamageSource]]:
    async with Engine.open(dbtend.store, read_only=True) as engine:
        return [(one.object, one.source) for one in await engine.known_damage(url)]


@pytest.mark.parametrize("has_store", [False, True], ids=["no store", "store"])
def test_it_ends_as_for_a_server_that_is_gone_and_the_next_run_leaves_the_table_out(
    dbtend: CommandLine, shop: MySqlDatabase, has_store: bool
) -> None:
    shop("CREATE USER IF NOT EXISTS ann@'%'", "GRANT ALL ON *.* TO ann@'%'")
    if has_store:
        make_store(dbtend)
    code, shown = at_a_terminal(dbtend, "run", shop.url, "--needed")
    assert shop.server.process is not None
    assert shop.server.process.wait(60) != 0
    (sentence,) = shown.splitlines()
    assert sentence == f"dbtend: {shop.url}: the server died while reading inn (read its error log)"
    assert code == USAGE
    assert asyncio.run(known(dbtend, shop.url)) == [("inn", DamageSource.SERVER_LOST)]
    shop.server.start()
    by_port = shop.server.tcp_url(shop.name, "ann")
    for url in (by_port, shop.url):
        code, shown = at_a_terminal(dbtend, "run", url, "--needed")
        assert shop.server.process.poll() is None, shown
        assert code == REFUSED
    assert asyncio.run(checked(dbtend)) == {"well": Status.COMPLETED}
    assert asyncio.run(known(dbtend, by_port)) == [("inn", DamageSource.SERVER_LOST)]


def test_where_it_waits_for_the_server_it_says_so_and_goes_on_after_the_restart(
    dbtend: CommandLine, shop: MySqlDatabase
) -> None:
    with dbtend.start("run", shop.url, "--needed", "--server-wait", "10m") as run:
        why = "the server died while reading inn (read its error log)"
        assert err_line(run) == f"dbtend: {shop.name}@localhost: waiting up to 10m: {why}\n"
        assert shop.server.process is not None
        assert shop.server.process.wait(60) != 0
        shop.server.start()
        _, err = run.communicate(timeout=60)
    assert run.returncode == REFUSED, err
    assert asyncio.run(checked(dbtend)) == {"well": Status.COMPLETED}


def test_ctrl_c_ends_the_wait(dbtend: CommandLine, shop: MySqlDatabase) -> None:
    with dbtend.start("run", shop.url, "--needed", "--server-wait", "10m") as run:
        err_line(run)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=30)
    assert (run.returncode, out, err) == (CANCELLED, "", "")
    assert asyncio.run(known(dbtend, shop.url)) == [("inn", DamageSource.SERVER_LOST)]


async def test_a_plan_under_which_the_server_dies_puts_the_table_on_record(
    dbtend: CommandLine, shop: MySqlDatabase
) -> None:
    async with Engine.open(dbtend.store) as engine:
        with pytest.raises(ServerDiedError):
            await engine.plan(Request(target=shop.url, operations=(Operation.OPTIMIZE,)))
    assert await known(dbtend, shop.url) == [("inn", DamageSource.SERVER_LOST)]
