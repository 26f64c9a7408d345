"""What a rebuild gives back: the estimate, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from engine.targets.mysql.advising.space import gain
from engine.targets.mysql.reading.files import file_sizes
from engine.targets.mysql.reading.samples import sample
from engine.targets.mysql.reading.tables import tables
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.mysql.looking import looking
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer

pytestmark = LONG_ON_MYSQL

ROWS: Final = 40_000
ALLOWED: Final = 0.15
"""Of the size of the file."""
SHAPES: Final = {
    "as_loaded": ("id INT PRIMARY KEY, name VARCHAR(90), n BIGINT, KEY (name)", "n", ""),
    "every_other_row": ("id INT PRIMARY KEY, name VARCHAR(90), n BIGINT, KEY (name)", "n", "id % 2 = 0"),
    "the_first_half": ("id INT PRIMARY KEY, name VARCHAR(90), n BIGINT, KEY (name)", "n", f"id < {ROWS / 2}"),
    "random_keys": ("id INT PRIMARY KEY, name VARCHAR(90), n BIGINT", "n * 7919 % 1000003", ""),
    "long_values": ("id INT PRIMARY KEY, name MEDIUMTEXT, n BIGINT", "n", "id % 3 > 0"),
    "no_key": ("id INT, name CHAR(90), n BIGINT", "n", "id % 4 > 0"),
}


@pytest.fixture(scope="module")
def numbers(server: MySqlServer) -> Iterator[MySqlDatabase]:
    """Each test makes its own table of them."""
    with new_database(server) as database:
        database("CREATE TABLE numbers (n INT PRIMARY KEY)", "INSERT INTO numbers VALUES (1)")
        while (made := database.value("SELECT COUNT(*) FROM numbers")) < ROWS:
            database(f"INSERT INTO numbers SELECT n + {made} FROM numbers WHERE n + {made} <= {ROWS}")
        yield database


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_estimate_is_near_the_truth(numbers: MySqlDatabase, shape: str) -> None:
    columns, order, deleted = SHAPES[shape]
    rows = ROWS if shape != "long_values" else 1_200
    value = "REPEAT('v', n % 90)" if shape != "long_values" else "REPEAT('v', n % 20 * 2500)"
    numbers(
        "DROP TABLE IF EXISTS t",
        f"CREATE TABLE t ({columns})",
        f"INSERT INTO t SELECT n, {value}, n FROM numbers WHERE n <= {rows} ORDER BY {order}",
        f"DELETE FROM t WHERE {deleted or 'FALSE'}",
        "ANALYZE TABLE t",
    )
    before = size_of_file(numbers)
    async with looking(numbers.url) as reader:
        (table,) = await tables(reader, ["t"], files=await file_sizes(reader))
        expected = gain(table.parts[0], table, await sample(reader, table), reader.server.flavor)
    numbers("ALTER TABLE t FORCE")
    truth = before - size_of_file(numbers)
    assert abs(expected - truth) <= ALLOWED * before, (expected, truth, before)


def size_of_file(database: MySqlDatabase) -> int:
    return (database.server.data / database.name / "t.ibd").stat().st_size
