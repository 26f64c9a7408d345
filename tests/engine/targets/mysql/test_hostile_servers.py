"""Servers that answer unlike MariaDB and MySQL: each question ends soon, with one error, and tells no password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from engine.domain import typed_passwords
from engine.domain.errors import TargetError
from engine.targets.mysql.connection import connecting, connection
from engine.targets.mysql.connection.address import address
from engine.targets.mysql.connection.connecting import connect
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.reader import Reader
from tests.hostile_mysql import HOW, LOGIN, PASSWORD, Client, How, hostile_server
from tests.mysql_databases import MySqlDatabase

pytestmark = pytest.mark.parametrize("server", [Flavor.MARIADB], ids=str, indirect=True, scope="session")
LONGEST = 60.0
"""Seconds after which a test is stuck."""
SECRET = "corect-h0rse"
LATER = 12
"""An answer after those that make a session."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody waits a minute for each answer."""
    monkeypatch.setattr(connection, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(connecting, "LOGIN_WITHIN", 0.5)
    yield
    typed_passwords.forget()


async def asked(url: str) -> str:
    """What a session there says: the error that ends it, or nothing."""
    try:
        async with asyncio.timeout(LONGEST):
            opened, server = await connect(address(url), name="dbtend 1", lock_timeout=1)
            reader = Reader(opened, server, url, lambda: connect(address(url), name="dbtend 1", lock_timeout=1))
            try:
                for _ in range(LATER):
                    await reader.rows("SELECT 1, 'a', 1.5", row=(int, str, float))
            finally:
                await reader.close()
    except TargetError as error:
        said = str(error)
        assert said.isprintable()
        assert len(said) < 2000
        return said
    return ""


async def said_of(database: MySqlDatabase, how: How, since: int) -> str:
    with hostile_server(database.server.socket, how, since) as server:
        return await asked(f"mysql://root@127.0.0.1:{server.port}/{database.name}?ssl-mode=DISABLED")


@pytest.mark.parametrize("since", [0, 1, 4, LATER])
async def test_each_strange_answer_is_an_error(database: MySqlDatabase, since: int) -> None:
    hows = {**HOW, **(LOGIN if since == 0 else {})}
    if since == LATER:
        hows = {name: HOW[name] for name in ("fine", "silence", "strange values", "rows without end")}
    said = {name: await said_of(database, how, since) for name, how in hows.items()}
    assert [name for name, words in said.items() if not words] == []


async def test_no_password_is_told(database: MySqlDatabase) -> None:
    for method in PASSWORD.values():
        await check_that_it_is_told_none(database, method)


async def check_that_it_is_told_none(database: MySqlDatabase, method: bytes) -> None:
    def how(client: Client, body: bytes, number: int) -> None:
        client.send(method, number=number)
        if method == PASSWORD["again and again"]:
            client.send(method, method, number=number + 2)

    with hostile_server(database.server.socket, how, 1) as server:
        url = f"mysql://root@127.0.0.1:{server.port}/{database.name}?ssl-mode=DISABLED"
        typed_passwords.remember(url, SECRET)
        assert await asked(url)
        assert b"root" in server.received
        assert SECRET.encode() not in server.received


async def test_no_file_is_told(database: MySqlDatabase) -> None:
    with hostile_server(database.server.socket, HOW["a file is wanted"], 6) as server:
        said = await asked(f"mysql://root@127.0.0.1:{server.port}/{database.name}?ssl-mode=DISABLED")
        assert "asks for a file of this machine" in said
        assert b"root:x:0" not in server.received
