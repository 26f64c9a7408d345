"""Which servers a test runs on."""

from __future__ import annotations

from typing import Final

import pytest

from engine.targets.mysql.connection.server import Flavor, Server

LONG_ON_MYSQL: Final = pytest.mark.parametrize(
    "server",
    [Flavor.MARIADB, pytest.param(Flavor.MYSQL, marks=pytest.mark.long)],
    ids=str,
    indirect=True,
    scope="session",
)
"""What takes MariaDB a moment, and MySQL several: both run it, MySQL in `make long`."""
SERVER: Final = Server(
    flavor=Flavor.MARIADB,
    version=(11, 8, 9),
    connection_id=7,
    user="joe@%",
    database="shop",
    host_key="mariadb:1",
    reads_only=False,
    is_read_only=False,
    is_replica=False,
    cluster=None,
    started=1,
)
"""For tests that need none."""
