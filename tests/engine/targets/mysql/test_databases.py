"""The databases of a server, and the names of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.model import TargetEntry
from engine.domain.errors import UsageError
from engine.fleet.expansion import expand
from engine.targets import resolve
from engine.targets.mysql.connection.address import address
from engine.targets.mysql.databases import database_of, databases, url_of_all
from tests.mysql_databases import MySqlDatabase


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    return tmp_path


async def test_all_databases_of_a_server(database: MySqlDatabase) -> None:
    odd = "a/b `c` %*?"
    database(f"CREATE DATABASE `{odd.replace('`', '``')}`")
    try:
        there = {one.name: one for one in await databases(database.server.url("*"))}
        assert {database.name, odd} <= there.keys()
        assert not {"mysql", "sys", "information_schema", "performance_schema"} & there.keys()
        assert database_of(there[odd].url) == odd
        assert address(there[odd].url).url == there[odd].url
        assert there[database.name].url == address(database.url).url
    finally:
        database(f"DROP DATABASE `{odd.replace('`', '``')}`")


async def test_a_pattern_stands_for_databases(database: MySqlDatabase) -> None:
    for url, alone in ((database.server.url(f"{database.name}*"), False), (database.server.url(), True)):
        found = await expand([TargetEntry(name="all", url=url)], all_databases=alone)
        assert (database.name, address(database.url).url) in [(one.name, one.url) for one in found.targets]
    with pytest.raises(UsageError, match="names no database"):
        resolve(database.server.url())


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mysql://h/sales", "mysql://ann@h:3306/sales"),
        ("mariadb://bob@H.example:3307/sales", "mariadb://bob@h.example:3307/sales"),
        ("mysql://b%40b@[::1]/s%C3%A4%2Fles", "mysql://b%40b@[::1]:3306/s%C3%A4%2Fles"),
        ("mysql://localhost/sales?socket=/run/a", "mysql://ann@localhost/sales?socket=/run/a"),
        ("mysql://localhost:3307/sales", "mysql://ann@localhost:3307/sales"),
        ("mysql:///sales?group=prod", "mysql:///sales?group=prod"),
        ("mysql://h/*", "mysql://ann@h:3306/*"),
    ],
)
def test_a_name_becomes_one_canonical_url(text: str, url: str) -> None:
    assert address(text).url == url
    assert address(url).url == url


@pytest.mark.parametrize(
    "text", ["mysql://h:x/db", "mysql://h/a/b", "mysql://h/db?password=x", "mysql://[h/db", "mysql://a:b@h/db"]
)
def test_what_names_no_database_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        address(text)


def test_option_files_say_what_a_name_does_not(home: Path) -> None:
    (home / ".my.cnf").write_text("[client]\nuser = bob\nhost = db1\nport = 3310\n[prod]\nhost=db2\n")
    assert address("mysql:///sales").url == "mysql://bob@db1:3310/sales"
    assert address("mysql://db3/sales").url == "mysql://bob@db3:3310/sales"
    assert address("mysql://eve@db3:1/sales").url == "mysql://eve@db3:1/sales"
    named = address("mysql:///sales?group=prod")
    assert named.url == "mysql:///sales?group=prod"
    assert named.complete(named.options()).host == "db2"
    assert url_of_all("mysql://db3") == "mysql://bob@db3:3310/*"


def test_the_names_of_the_loopback_interface_are_one() -> None:
    keys = {address(f"mysql://{host}:3306/a").host_key for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST.")}
    assert len(keys) == 1
