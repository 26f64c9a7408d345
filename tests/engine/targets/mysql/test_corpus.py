"""Tables of all kinds: each operation ends in the server's own verdict, and changes no row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from engine import Operation, ServerOptions, Status
from engine.domain.requests import CheckLevel
from engine.targets.mysql.connection.server import Flavor
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.server_session import run
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer

pytestmark = LONG_ON_MYSQL

PLAIN: Final = "(id INT PRIMARY KEY, b VARCHAR(150), KEY (b))"
CORPUS: Final = {
    "dynamic": f"{PLAIN} ROW_FORMAT = DYNAMIC",
    "compact": f"{PLAIN} ROW_FORMAT = COMPACT",
    "redundant": f"{PLAIN} ROW_FORMAT = REDUNDANT",
    "compressed": f"{PLAIN} ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 8",
    "keyless": "(id INT, b VARCHAR(150))",
    "by_unique": "(id INT NOT NULL, b VARCHAR(150), UNIQUE (id))",
    "long_values": "(id INT PRIMARY KEY, b LONGTEXT, c LONGBLOB)",
    "descending": "(id INT, b VARCHAR(150), PRIMARY KEY (id DESC), KEY (b(20) DESC))",
    "virtual_column": "(id INT PRIMARY KEY, b VARCHAR(150), v INT AS (id + 1) VIRTUAL, KEY (v))",
    "stored_column": "(id INT PRIMARY KEY, b VARCHAR(150), s INT AS (id * 2) STORED, KEY (s))",
    "words": "(id INT PRIMARY KEY, b TEXT, FULLTEXT (b))",
    "places": "(id INT PRIMARY KEY, b TEXT, p POINT NOT NULL DEFAULT (POINT(1, 2)), SPATIAL INDEX (p))",
    "document": "(id INT PRIMARY KEY, b TEXT, j JSON DEFAULT ('{}'))",
    "by_range": f"{PLAIN} PARTITION BY RANGE (id) (PARTITION `P 1` VALUES LESS THAN (50),"
    " PARTITION rest VALUES LESS THAN MAXVALUE)",
    "by_hash": f"{PLAIN} PARTITION BY HASH (id) PARTITIONS 3",
    "by_list": f"{PLAIN} PARTITION BY LIST (id % 2) (PARTITION even VALUES IN (0), PARTITION odd VALUES IN (1))",
    "by_key": f"{PLAIN} PARTITION BY KEY (id) PARTITIONS 2",
    "in_parts_of_parts": f"{PLAIN} PARTITION BY RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2"
    " (PARTITION low VALUES LESS THAN (50), PARTITION rest VALUES LESS THAN MAXVALUE)",
    "kinds": "(id INT PRIMARY KEY, b VARCHAR(150), e ENUM('x', 'y') DEFAULT 'y', s SET('p', 'q') DEFAULT 'p,q',"
    " t BIT(5) DEFAULT b'101', d DECIMAL(30, 10) DEFAULT 1.5, y YEAR DEFAULT 2026, f DATETIME(6) DEFAULT NOW(6))",
    "checked": "(id INT PRIMARY KEY, b VARCHAR(150), CHECK (id > 0))",
    "counted": "(id INT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(150)) AUTO_INCREMENT = 1000",
    "altered_at_once": PLAIN,
    "child": "(id INT PRIMARY KEY, b VARCHAR(150), FOREIGN KEY (id) REFERENCES `dynamic` (id))",
    "latin": "(id INT PRIMARY KEY, b VARCHAR(150) CHARACTER SET latin1, KEY (b))",
    "odd`na me%s": PLAIN,
    "myisam": f"{PLAIN} ENGINE = MyISAM",
    "myisam_fixed": "(id INT PRIMARY KEY, b CHAR(150)) ENGINE = MyISAM ROW_FORMAT = FIXED",
    "myisam_words": "(id INT PRIMARY KEY, b TEXT, FULLTEXT (b)) ENGINE = MyISAM",
    "myisam_to_merge": "(id INT, b VARCHAR(150), KEY (id)) ENGINE = MyISAM",
    "merged": "(id INT, b VARCHAR(150), KEY (id)) ENGINE = MRG_MyISAM UNION = (myisam_to_merge) INSERT_METHOD = LAST",
    "blackhole": f"{PLAIN} ENGINE = BLACKHOLE",
    "memory": "(id INT PRIMARY KEY, b VARCHAR(150)) ENGINE = MEMORY",
    "csv": "(id INT NOT NULL, b VARCHAR(150) NOT NULL) ENGINE = CSV",
    "archive": "(id INT, b VARCHAR(150)) ENGINE = ARCHIVE",
    "empty": PLAIN,
}
ONLY_MARIADB: Final = {
    "vectors": "(id INT PRIMARY KEY, b TEXT, v VECTOR(2) NOT NULL DEFAULT (x'0000803f00000040'), VECTOR INDEX (v))",
    "of_a_time": "(id INT PRIMARY KEY, b VARCHAR(150), s DATE DEFAULT '2026-01-01', e DATE DEFAULT '2027-01-01',"
    " PERIOD FOR valid (s, e))",
    "encrypted": f"{PLAIN} ENCRYPTED = YES",
    "compressed_column": "(id INT PRIMARY KEY, b VARCHAR(150) COMPRESSED)",
    "aria": f"{PLAIN} ENGINE = Aria",
    "aria_plain": f"{PLAIN} ENGINE = Aria TRANSACTIONAL = 0",
    "versioned": "(id INT PRIMARY KEY, b VARCHAR(150)) WITH SYSTEM VERSIONING",
    "page_compressed": f"{PLAIN} PAGE_COMPRESSED = 1",
    "inet": "(id INT PRIMARY KEY, b VARCHAR(150), a INET6 DEFAULT '::1', u UUID DEFAULT UUID(), KEY (a), KEY (u))",
}
ONLY_MYSQL: Final = {
    "expression": "(id INT PRIMARY KEY, b VARCHAR(150), KEY ((UPPER(b))))",
    "multi_valued": "(id INT PRIMARY KEY, b TEXT, j JSON DEFAULT ('[1, 2]'), KEY ((CAST(j AS UNSIGNED ARRAY))))",
    "hidden": "(id INT PRIMARY KEY, b VARCHAR(150), i INT INVISIBLE, KEY (i) INVISIBLE)",
}
NEVER_CHECKED: Final = frozenset({"memory", "blackhole"})
OWN_CHECKSUM: Final = frozenset({"virtual_column", "multi_valued", "expression", "archive"})
"""CHECKSUM TABLE takes up virtual columns, of which each read may give another number, and says 0 of a table of ARCHIVE
that was just opened.
"""
OPTIONAL: Final = frozenset({"archive", "blackhole"})
"""Engines that a server need not have."""
OPERATIONS: Final = [
    (Operation.ANALYZE, ServerOptions()),
    (Operation.REBUILD, ServerOptions()),
    (Operation.REBUILD, ServerOptions(offline=True)),
    (Operation.CHECK, ServerOptions()),
]


@pytest.fixture(scope="module")
def corpus(server: MySqlServer) -> Iterator[MySqlDatabase]:
    with new_database(server) as database:
        database("CREATE TABLE numbers (n INT PRIMARY KEY)", "INSERT INTO numbers VALUES (1)")
        database(*["INSERT INTO numbers SELECT n + (SELECT COUNT(*) FROM numbers AS m) FROM numbers"] * 7)
        for name, definition in tables_of(database).items():
            database(f"CREATE TABLE {quoted(name)} {definition}")
            if name != "empty":
                database(f"INSERT INTO {quoted(name)} (id, b) SELECT n, REPEAT('v', n) FROM numbers ORDER BY n")
        database("ALTER TABLE altered_at_once ADD COLUMN late INT DEFAULT 7, ALGORITHM = INSTANT")
        database("INSERT INTO altered_at_once VALUES (0, 'new', 8)")
        if database.flavor is Flavor.MARIADB:
            database("CREATE SEQUENCE counter", "UPDATE versioned SET b = 'changed' WHERE id % 2 = 0")
        database("CREATE VIEW seen AS SELECT * FROM `dynamic`")
        yield database


def tables_of(database: MySqlDatabase) -> dict[str, str]:
    has = {engine for engine, support in database("SELECT engine, support FROM information_schema.engines")
           if support in {"YES", "DEFAULT"}}  # fmt: skip
    found = CORPUS | (ONLY_MARIADB if database.flavor is Flavor.MARIADB else ONLY_MYSQL)
    return {name: made for name, made in found.items() if name not in OPTIONAL or name.upper() in has}


def quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def checksums(database: MySqlDatabase) -> dict[str, int | None]:
    names = tables_of(database).keys()
    own = {name: database.value(f"SELECT SUM(CRC32(CONCAT(id, b))) FROM {name}") for name in names & OWN_CHECKSUM}
    return own | {name: database(f"CHECKSUM TABLE {quoted(name)}")[0][1] for name in names - OWN_CHECKSUM}


@pytest.mark.parametrize(("operation", "options"), OPERATIONS)
async def test_each_table_ends_well_and_unchanged(
    corpus: MySqlDatabase, operation: Operation, options: ServerOptions
) -> None:
    before = checksums(corpus)
    results = await run(corpus.url, operation, options, confirmed=True, check=CheckLevel.FULL)
    ended = {name: (result.status, result.error) for name, result in results.items()}
    assert ended == dict.fromkeys(results, (Status.COMPLETED, None))
    assert checksums(corpus) == before
    verdicts = {
        name: corpus(f"CHECK TABLE {quoted(name)} EXTENDED")[-1][3] for name in tables_of(corpus).keys() - NEVER_CHECKED
    }
    assert verdicts == dict.fromkeys(verdicts, "OK")


async def test_tables_of_myisam_and_aria_are_repaired_and_unchanged(corpus: MySqlDatabase) -> None:
    before = checksums(corpus)
    names = [name for name in tables_of(corpus) if name.startswith(("myisam", "aria", "csv"))]
    results = await run(corpus.url, Operation.REPAIR, confirmed=True, objects=tuple(names))
    assert {name: result.status for name, result in results.items()} == dict.fromkeys(names, Status.COMPLETED)
    assert checksums(corpus) == before
