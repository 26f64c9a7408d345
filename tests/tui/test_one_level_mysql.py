"""One level per target on MariaDB and MySQL, as `test_one_level` has it for the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.targets.mysql.a_session import filled
from tests.engine.targets.mysql.conftest import server
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.tui.command_line import CommandLine
from tests.tui.test_one_level import assert_all_agree

__all__ = ["server"]

pytestmark = LONG_ON_MYSQL


@pytest.fixture
def shop(server: MySqlServer) -> Iterator[MySqlDatabase]:
    with new_database(server) as made:
        yield made


def test_of_a_server_that_was_never_checked(dbtend: CommandLine, shop: MySqlDatabase) -> None:
    filled(shop, "item")
    shop("ANALYZE TABLE item")
    assert_all_agree(dbtend, shop.url, "unchecked")


def test_of_a_server_with_small_tables(dbtend: CommandLine, shop: MySqlDatabase) -> None:
    shop(
        "CREATE TABLE item (id INT AUTO_INCREMENT PRIMARY KEY) STATS_AUTO_RECALC = 0",
        "ANALYZE TABLE item",
        "INSERT INTO item VALUES (NULL)",
        *["INSERT INTO item SELECT NULL FROM item"] * 12,
    )
    assert dbtend("run", shop.url, "--op", "check").code == 0
    assert_all_agree(dbtend, shop.url, "small")


def test_of_a_server_with_a_damaged_table(dbtend: CommandLine, shop: MySqlDatabase) -> None:
    filled(shop, "item", engine="MyISAM")
    shop("FLUSH TABLES")
    (shop.server.data / shop.name / "item.MYI").write_bytes(b"noise" * 100)
    assert dbtend("run", shop.url, "--op", "check").code == 1
    assert_all_agree(dbtend, shop.url, "critical")
