"""Which servers a test runs on."""

from __future__ import annotations

from typing import Final

import pytest

from engine.targets.mysql.connection.server import Flavor

LONG_ON_MYSQL: Final = pytest.mark.parametrize(
    "server",
    [Flavor.MARIADB, pytest.param(Flavor.MYSQL, marks=pytest.mark.long)],
    ids=str,
    indirect=True,
    scope="session",
)
"""What takes MariaDB a moment, and MySQL several: both run it, MySQL in `make long`."""
