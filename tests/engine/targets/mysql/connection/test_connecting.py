"""Sessions are set up for maintenance, and say who answers."""

from __future__ import annotations

from engine.targets.mysql.connection.address import address
from engine.targets.mysql.connection.connecting import connect
from tests.mysql_databases import MySqlDatabase


async def test_a_connection_says_who_answers(database: MySqlDatabase) -> None:
    connection, server = await connect(address(database.url), name="dbtend 1", lock_timeout=2.5)
    assert (server.flavor, server.database, server.user) == (database.flavor, database.name, "root@localhost")
    assert server.version_text == database.value("SELECT VERSION()")
    assert not server.reads_only
    assert not server.is_replica
    assert server.cluster is None
    assert await connection.row("SELECT @@lock_wait_timeout, @@sql_log_bin", row=(int, int)) == (3, 1)
    await connection.close()
    assert connection.closed


async def test_a_command_answers_with_text(database: MySqlDatabase) -> None:
    database("CREATE TABLE t (id int PRIMARY KEY)")
    connection, _ = await connect(address(database.url), name="dbtend 1", lock_timeout=1)
    assert await connection.command("CHECK TABLE t") == [(f"{database.name}.t", "check", "status", "OK")]
    assert await connection.command("ALTER TABLE t FORCE") == []
    await connection.close()
