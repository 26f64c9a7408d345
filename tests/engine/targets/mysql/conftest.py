"""Servers and databases for the tests of the MariaDB and MySQL engine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engine.targets.mysql.connection.server import Flavor
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import NO_SERVER, REQUIRED, MySqlServer, servers_found


@pytest.fixture(scope="session", params=list(Flavor), ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[MySqlServer]:
    """A server of each flavor for all tests of this process; each has databases of its own."""
    flavor: Flavor = request.param
    program = servers_found().get(flavor)
    if program is None:
        fails = os.environ.get("CI") == "true" and flavor in REQUIRED
        (pytest.fail if fails else pytest.skip)(NO_SERVER[flavor])
    made = MySqlServer(flavor, program)
    try:
        if flavor is Flavor.MARIADB:
            made.options = with_keys(made)
        else:
            made.add_keyring()
        made.start()
        yield made
    finally:
        made.discard()


def with_keys(server: MySqlServer) -> tuple[str, ...]:
    """The options with which MariaDB encrypts the tables that ask for it."""
    keys = server.base / "keys"
    keys.write_text(f"1;{'a1' * 16}\n")
    return "--plugin-load-add=file_key_management", f"--file-key-management-filename={keys}"


@pytest.fixture(scope="session")
def own_server(server: MySqlServer) -> Iterator[MySqlServer]:
    """Another one of the same flavor, for tests that stop it or give it options; it runs only in `running`."""
    made = MySqlServer(server.flavor, server.program, ["--lower-case-table-names=1"])
    yield made
    made.discard()


@pytest.fixture
def database(server: MySqlServer) -> Iterator[MySqlDatabase]:
    """An empty database on it."""
    with new_database(server) as made:
        yield made
