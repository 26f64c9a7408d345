"""Sessions are set up for maintenance, say who answers, and end also where they hang."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import replace

import pymysql
import pytest

from engine import Operation
from engine.domain.errors import (
    ServerUnavailableError,
    TargetRefusedError,
    TargetUnavailableError,
    TooManyConnectionsError,
)
from engine.targets.mysql.connection import connecting
from engine.targets.mysql.connection.address import address
from engine.targets.mysql.connection.connecting import connect
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.reading.reader import Reader
from tests.engine.targets.server_session import plan
from tests.mysql_databases import MySqlDatabase
from tests.waiting import eventually

SETTINGS = "SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout, @@sql_log_bin, @@sql_mode"


async def opened(url: str, *, read_only: bool = False, binlog: bool = True) -> tuple[Connection, Server]:
    return await connect(address(url), name="dbtend 1", lock_timeout=2.5, read_only=read_only, binlog=binlog)


def make_user(database: MySqlDatabase, more: str = "") -> str:
    """The URL of a user who may read the database, and no more."""
    database("DROP USER IF EXISTS joe@localhost", f"CREATE USER joe@localhost {more}")
    database(f"GRANT SELECT, INSERT ON {database.name}.* TO joe@localhost")
    return database.as_user("joe")


async def test_a_connection_says_who_answers(database: MySqlDatabase) -> None:
    connection, server = await opened(database.url)
    assert (server.flavor, server.database, server.user) == (database.flavor, database.name, "root@localhost")
    name = "MariaDB" if server.flavor == "mariadb" else "MySQL"
    assert server.product == f"{name} {str(database.value('SELECT VERSION()')).partition('-')[0]}"
    assert not server.reads_only
    assert not server.is_replica
    assert server.cluster is None
    assert await connection.row(SETTINGS, row=(int, int, int, str)) == (3, 3, 1, "NO_ENGINE_SUBSTITUTION")
    await connection.close()
    assert connection.closed
    other, again = await opened(replace(address(database.url), scheme="mysql").url)
    await other.close()
    assert (again.key, again.host_key, again.started) == (server.key, server.host_key, server.started)


@pytest.mark.parametrize("limit", ["sql_select_limit", "max_join_size"])
async def test_a_limit_of_the_server_on_queries_hides_no_table(database: MySqlDatabase, limit: str) -> None:
    database("CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)")
    before = database.value(f"SELECT @@GLOBAL.{limit}")
    try:
        database(f"SET GLOBAL {limit} = 1")
        assert len((await plan(database.url, Operation.CHECK)).steps) == 2
    finally:
        database(f"SET GLOBAL {limit} = {before}", "SET GLOBAL sql_big_selects = 1")


async def test_a_command_answers_with_text(database: MySqlDatabase) -> None:
    database("CREATE TABLE t (id int PRIMARY KEY)")
    connection, _ = await opened(database.url)
    assert await connection.command("CHECK TABLE t") == [(f"{database.name}.t", "check", "status", "OK")]
    assert await connection.command("ALTER TABLE t FORCE") == []
    await connection.close()


async def test_values_are_numbers_and_texts(database: MySqlDatabase) -> None:
    database(
        "CREATE TABLE t (a bigint unsigned, b decimal(20,2), c datetime, d blob, e double, f text)",
        "INSERT INTO t VALUES (18446744073709551615, 1.25, '2026-01-02 03:04:05', x'00ff', 0.5, '100 % ü')",
    )
    connection, _ = await opened(database.url)
    kinds = (int, float, str, bytes, float, str)
    values = (2**64 - 1, 1.25, "2026-01-02 03:04:05", b"\0\xff", 0.5, "100 % ü")
    assert await connection.row("SELECT * FROM t", row=kinds) == values
    assert await connection.row("SELECT sum(a), count(*) FROM t WHERE f = %s", (values[5],), row=(int, int))
    assert await connection.rows("SELECT a FROM t WHERE f LIKE '%x'", row=(int,)) == []
    await connection.close()


async def test_a_session_that_may_only_read(database: MySqlDatabase) -> None:
    database("CREATE TABLE t (id int PRIMARY KEY)")
    connection, _ = await opened(database.url, read_only=True)
    with pytest.raises(pymysql.MySQLError):
        await connection.command("INSERT INTO t VALUES (1)")
    await connection.close()


async def test_changes_are_kept_out_of_the_binary_log_where_the_user_may(database: MySqlDatabase) -> None:
    connection, _ = await opened(database.url, binlog=False)
    assert await connection.row("SELECT @@sql_log_bin", row=(int,)) == (0,)
    await connection.close()
    url = make_user(database)
    with pytest.raises(TargetRefusedError) as refused:
        await opened(url, binlog=False)
    database(refused.value.hint.partition("administrator: ")[2].rstrip(";"))
    connection, _ = await opened(url, binlog=False)
    await connection.close()


async def test_a_read_only_server_refuses_users_but_not_administrators(database: MySqlDatabase) -> None:
    url = make_user(database)
    database("SET GLOBAL read_only = ON")
    try:
        for name, refuses in ((url, True), (database.url, False)):
            connection, server = await opened(name)
            assert (server.reads_only, server.is_read_only) == (refuses, True)
            await connection.close()
        assert "--no-binlog" in ((await plan(database.url, Operation.ANALYZE)).refused or "")
    finally:
        database("SET GLOBAL read_only = OFF")


async def test_refusals_say_why(database: MySqlDatabase) -> None:
    url = make_user(database, "WITH MAX_USER_CONNECTIONS 1")
    connection, _ = await opened(url)
    with pytest.raises(TooManyConnectionsError):
        await opened(url)
    await connection.close()
    database("ALTER USER joe@localhost ACCOUNT LOCK")
    with pytest.raises(TargetUnavailableError, match="account is locked"):
        await opened(url)
    database(
        "ALTER USER joe@localhost ACCOUNT UNLOCK", f"REVOKE ALL PRIVILEGES ON {database.name}.* FROM joe@localhost"
    )
    with pytest.raises(TargetUnavailableError, match="no right to this database") as refused:
        await opened(url)
    database(refused.value.hint.partition(": ")[2].rstrip(";"))
    connection, _ = await opened(url)
    await connection.close()
    with pytest.raises(TargetUnavailableError, match="does not exist"):
        await opened(database.server.url("none"))
    with pytest.raises(ServerUnavailableError, match="no server answers"):
        await opened(f"mysql://root@localhost/x?socket={database.server.base}/none")


async def test_a_statement_that_hangs_ends_with_its_connection(database: MySqlDatabase) -> None:
    connection, _ = await opened(database.url)
    hanging = asyncio.create_task(connection.command("SELECT SLEEP(300)"))
    await asyncio.to_thread(database.wait_for, SLEEPS.format(connection.id))
    hanging.cancel()  # that does not interrupt it
    await asyncio.sleep(0)
    assert not hanging.done()
    await connection.close()
    with pytest.raises(pymysql.MySQLError):
        await hanging


async def test_a_connection_that_the_server_ended_has_heard_of_it(database: MySqlDatabase) -> None:
    connection, _ = await opened(database.url)
    await connection.row("SELECT 1", row=(int,))
    is_quiet = connection.has_heard_nothing
    assert is_quiet
    database(f"KILL {connection.id}")
    await eventually(lambda: not connection.has_heard_nothing)
    await connection.close()


async def test_a_statement_is_interrupted_from_another_connection(database: MySqlDatabase) -> None:
    connection, _ = await opened(database.url)
    running = asyncio.create_task(connection.command("SELECT 1 FROM (SELECT SLEEP(300)) AS a"))
    await asyncio.to_thread(database.wait_for, SLEEPS.format(connection.id))
    database(f"KILL QUERY {connection.id}")
    with pytest.raises(pymysql.MySQLError, match="interrupted"):
        await running
    assert await connection.row("SELECT 1", row=(int,)) == (1,)
    await connection.close()


async def test_a_reader_that_was_cancelled_takes_another_connection(database: MySqlDatabase) -> None:
    connection, server = await opened(database.url)
    reader = Reader(connection, server, database.url, lambda: opened(database.url))
    reading = asyncio.create_task(reader.rows("SELECT SLEEP(300)", row=(int,)))
    await asyncio.to_thread(database.wait_for, SLEEPS.format(connection.id))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await reader.row("SELECT 1", row=(int,)) == (1,)
    assert reader.connection.id != connection.id
    database(f"KILL {reader.connection.id}")
    with pytest.raises(ServerUnavailableError, match="connection was lost"):
        await reader.row("SELECT 1", row=(int,))
    assert await reader.row("SELECT 1", row=(int,)) == (1,)
    await reader.close()


SLEEPS = "SELECT count(*) FROM information_schema.processlist WHERE id = {} AND state = 'User sleep'"


async def test_a_connection_whose_end_is_not_waited_for_is_closed(database: MySqlDatabase) -> None:
    connection, _ = await opened(database.url)
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert connection.line.fileno() == -1


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_socket_that_is_connected_too_late_is_closed(
    monkeypatch: pytest.MonkeyPatch, *, is_cancelled: bool
) -> None:
    ours, theirs = socket.socketpair()
    began, goes_on = threading.Event(), threading.Event()

    def connected(*_: object) -> socket.socket:
        began.set()
        goes_on.wait()
        return ours

    monkeypatch.setattr(connecting, "_connected", connected)
    monkeypatch.setattr(connecting, "LOGIN_WITHIN", 30 if is_cancelled else 0)
    opening = asyncio.create_task(connect(address("mysql://joe@db1/shop"), name="", lock_timeout=1))
    await asyncio.to_thread(began.wait)
    if is_cancelled:
        opening.cancel()
    with pytest.raises(asyncio.CancelledError if is_cancelled else ServerUnavailableError):
        await opening
    goes_on.set()
    theirs.settimeout(30)
    with theirs:
        assert await asyncio.to_thread(theirs.recv, 1) == b""
