"""What a rebuild gives back: the estimate, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from engine.domain.advice import CompletedStep, TargetHistory
from engine.domain.requests import Operation
from engine.domain.thresholds import Thresholds
from engine.targets.mysql.advising.advice import advise
from engine.targets.mysql.advising.collect import collect_condition
from engine.targets.mysql.advising.findings import needs
from engine.targets.mysql.advising.space import gain
from engine.targets.mysql.connection.server import Flavor
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


KINDS: Final = {
    Flavor.MARIADB: (
        "PAGE_COMPRESSED = 1",
        "PAGE_COMPRESSED = 1 PARTITION BY HASH (id) PARTITIONS 2",
        "ENGINE = MyISAM",
        "ENGINE = MyISAM ROW_FORMAT = FIXED",
        "ENGINE = Aria",
        "ENGINE = Aria TRANSACTIONAL = 0",
        "ENGINE = Aria PARTITION BY HASH (id) PARTITIONS 2",
        "ENGINE = Aria ROW_FORMAT = DYNAMIC",
    ),
    Flavor.MYSQL: ("COMPRESSION = 'zlib'", "ENGINE = MyISAM"),
}
PURGED: Final = """
SELECT variable_value = 0 FROM information_schema.global_status WHERE variable_name = 'Innodb_history_list_length'
"""
DELETED: Final = ("FALSE", "id % 2 = 0", f"id < {ROWS}")


@pytest.mark.parametrize("deleted", DELETED)
@pytest.mark.parametrize("kind", dict.fromkeys(kind for kinds in KINDS.values() for kind in kinds))
async def test_no_gain_is_promised_that_a_rebuild_does_not_give(
    numbers: MySqlDatabase, kind: str, deleted: str
) -> None:
    if kind not in KINDS[numbers.flavor]:
        pytest.skip("the other servers have such tables")
    name = "CHAR(90)" if "FIXED" in kind else "VARCHAR(200)"
    value = "CONCAT(LEFT(SHA2(n, 256), 32), REPEAT('w ', n % 20), n)"
    numbers(
        "DROP TABLE IF EXISTS t",
        f"CREATE TABLE t (id INT PRIMARY KEY, name {name}, n BIGINT) {kind}",
        *(f"INSERT INTO t SELECT n + {first}, {value}, n FROM numbers" for first in (0, ROWS)),
        f"DELETE FROM t WHERE {deleted}",
        "ANALYZE TABLE t",
    )
    if numbers.flavor is Flavor.MARIADB:  # which then frees itself what the pages take that it compresses
        numbers.wait_for(PURGED)
    before = size_on_disk(numbers)
    limits = Thresholds(reclaim_soon=1, reclaim_soon_share=0)
    async with looking(numbers.url) as reader:
        found = needs(await collect_condition(reader, budget=None, limits=limits), TargetHistory(now=0), limits)
    need = found.rebuild.get("t")
    assert need is None or need.bytes == before
    numbers("OPTIMIZE TABLE t" if "PARTITION" not in kind else "ALTER TABLE t FORCE")
    truth = before - size_on_disk(numbers)
    expected = 0 if need is None else need.gain
    assert abs(expected - truth) <= ALLOWED * before, (expected, truth, before)


async def test_a_compressed_table_is_unknown_until_a_rebuild_shows_its_size(numbers: MySqlDatabase) -> None:
    """Its pages say nothing of how full they are: half of them may be free, or a rebuild may even need more."""
    numbers(
        "DROP TABLE IF EXISTS t",
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(90)) ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 8",
        "INSERT INTO t SELECT n, SHA2(n, 256) FROM numbers",
        "DELETE FROM t WHERE id % 10 < 7",
        "ANALYZE TABLE t",
    )
    limits = Thresholds(reclaim_soon=1, reclaim_soon_share=0)
    async with looking(numbers.url) as reader:
        found = await collect_condition(reader, budget=None, limits=limits)
    (table,) = (table for table in found.tables if table.name == "t")
    assert "t" not in found.samples
    numbers("ALTER TABLE t FORCE")
    rebuilt = CompletedStep(0, {"size": size_of_file(numbers), "rows": table.rows})
    for past, unmeasurable in (
        (TargetHistory(now=0), ["t"]),
        (TargetHistory(now=0, rebuilt={"t": rebuilt}), ["t"]),
        (TargetHistory(now=0, rebuilt={"t": replace(rebuilt, effect={"size": table.size, "rows": table.rows})}), []),
    ):
        needed = needs(found, past, limits)
        rebuild = next(one for one in advise(found, needed, past, limits) if one.operation is Operation.REBUILD)
        assert "t" not in needed.rebuild
        assert needed.unmeasurable == unmeasurable
        assert ("only a rebuild shows it" in rebuild.reason) == bool(unmeasurable)


def size_of_file(database: MySqlDatabase) -> int:
    return (database.server.data / database.name / "t.ibd").stat().st_size


def size_on_disk(database: MySqlDatabase) -> int:
    """Bytes of all files of the table, once its pages are written: blocks where they have holes."""
    is_innodb = database.value("SELECT engine = 'InnoDB' FROM information_schema.tables WHERE table_name = 't'")
    database("FLUSH TABLES t FOR EXPORT" if is_innodb else "FLUSH TABLES t", "UNLOCK TABLES")
    kinds = {".ibd", ".MYD", ".MYI", ".MAD", ".MAI"}
    files = (database.server.data / database.name).glob("t[.#]*")
    statuses = [file.stat() for file in files if file.suffix in kinds]
    return sum(min(status.st_size, status.st_blocks * 512) for status in statuses)
