"""What a server refuses at its door: `run --op` and `advise` end with the same code, and say the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pymysql
import pytest

from tests.engine.targets.mysql.conftest import server
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

__all__ = ["server"]


@pytest.fixture
def shop(server: MySqlServer) -> Iterator[MySqlDatabase]:
    with new_database(server) as made:
        yield made


def assert_both_say(dbtend: CommandLine, url: str, why: str) -> None:
    advised, ran = dbtend("advise", url), dbtend("run", url, "--op", "analyze")
    assert why in advised.err
    assert (ran.out, ran.err.partition(" (")[0]) == ("", advised.err.partition(" (")[0])  # hints are of the command
    assert ran.code == advised.code


@pytest.mark.parametrize(
    ("role", "why"),
    [
        ("NOLOGIN", "is not permitted to log in"),
        ("LOGIN CONNECTION LIMIT 0", "its CONNECTION LIMIT leaves none"),
        ("", "the role does not exist"),
    ],
)
def test_of_postgresql(dbtend: CommandLine, database: Database, role: str, why: str) -> None:
    name = f"refused_{database.name}"
    if role:
        database(f"CREATE ROLE {name} {role}")
    try:
        assert_both_say(dbtend, database.as_user(name), why)
    finally:
        database(f"DROP ROLE IF EXISTS {name}")


def test_of_a_database_of_postgresql_that_is_not_there(dbtend: CommandLine, database: Database) -> None:
    assert_both_say(dbtend, database.server.url("nowhere"), "the database does not exist")


@LONG_ON_MYSQL
@pytest.mark.parametrize(
    ("account", "why"),
    [
        ("IDENTIFIED BY 'secret'", "it asks for a password"),
        ("REQUIRE SSL", "asks for TLS or a certificate"),
        ("REQUIRE X509", "asks for TLS or a certificate"),
        ("WITH MAX_USER_CONNECTIONS 1", "has reached a limit of its account"),
        ("", "the user has no right to this database"),
    ],
)
def test_of_mariadb_and_mysql(dbtend: CommandLine, shop: MySqlDatabase, account: str, why: str) -> None:
    name = f"refused_{shop.name}"
    shop(f"CREATE USER {name}@localhost {account}")
    if account:
        shop(f"GRANT ALL ON {shop.name}.* TO {name}@localhost")
    try:
        with pymysql.connect(unix_socket=str(shop.server.socket), user=name) if "MAX" in account else nullcontext():
            assert_both_say(dbtend, shop.as_user(name), why)
    finally:
        shop(f"DROP USER {name}@localhost")


@LONG_ON_MYSQL
def test_of_a_wrong_password(
    dbtend: CommandLine, shop: MySqlDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".my.cnf").touch(mode=0o600)
    (tmp_path / ".my.cnf").write_text("[client]\npassword = wrong\n")
    name = f"refused_{shop.name}"
    shop(f"CREATE USER {name}@localhost IDENTIFIED BY 'secret'", f"GRANT ALL ON {shop.name}.* TO {name}@localhost")
    try:
        assert_both_say(dbtend, shop.as_user(name), "the password is wrong")
    finally:
        shop(f"DROP USER {name}@localhost")
