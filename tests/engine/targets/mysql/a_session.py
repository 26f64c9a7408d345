"""What tests of operations on MariaDB and MySQL share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from engine.targets.mysql.connection.server import Flavor
from tests.mysql_databases import MySqlDatabase

ROWS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"


WORKS = """
    from engine import Engine, Operation, Options, Request

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            options = Options(objects=tuple(sys.argv[4:]), lock_timeout=60, confirmed=True)
            (job,) = await engine.submit(
                [Request(target=sys.argv[2], operations=(Operation(sys.argv[3]),), options=options)])
            print(job.id, flush=True)
            await engine.wait([job.id])

    asyncio.run(main())
"""
"""A process that works on a job: its store, the target, the operation, and objects."""


@contextmanager
def a_user(database: MySqlDatabase, *rights: str) -> Iterator[str]:
    """The URL of a user who has these rights on the database."""
    name = f"joe_{database.name}"
    database(f"CREATE USER {name}@localhost")
    if rights:
        database(f"GRANT {', '.join(rights)} ON {database.name}.* TO {name}@localhost")
    yield database.as_user(name)
    database(f"DROP USER {name}@localhost")


def grant_in(refused: str | None) -> str:
    """The statement that it says to run."""
    return (refused or "").partition("as an administrator: ")[2].partition(";")[0]


def filled(database: MySqlDatabase, name: str, rows: int = 100, *, engine: str = "InnoDB", more: str = "") -> None:
    """Make a table. `more`: of CREATE TABLE."""
    database(f"CREATE TABLE `{name}` (id INT PRIMARY KEY, b VARCHAR(200), KEY (b)) ENGINE={engine} {more}")
    with database.admin.cursor() as cursor:
        cursor.execute("SET SESSION cte_max_recursion_depth = 1000000" if database.flavor == "mysql" else "DO 0")
        cursor.execute("SET SESSION max_recursive_iterations = 1000000" if database.flavor == "mariadb" else "DO 0")
        cursor.execute(f"INSERT INTO `{name}` {ROWS.format(rows=rows)} SELECT i, CONCAT(REPEAT('x', 150), i) FROM n")


async def until(database: MySqlDatabase, query: str) -> None:
    """Let everything go on until this is true on the server."""
    await asyncio.to_thread(database.wait_for, query)


def runs(what: str, state: str = "%") -> str:
    """Whether a command of an operation that begins like this runs."""
    return (
        f"SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '/* dbtend %*/ {what}%'"
        f" AND COALESCE(state, '') LIKE '{state}'"
    )


def waits(command: str, state: str) -> str:
    """Whether a session waits with a command that begins like this."""
    return f"SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '{command}%' AND state LIKE '{state}%'"


_LOCKED: Final = {
    Flavor.MARIADB: "SET STATEMENT lock_wait_timeout = 0 FOR SELECT table_rows IS NULL FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_name = '{}'",
    Flavor.MYSQL: "SELECT COUNT(*) FROM performance_schema.metadata_locks WHERE object_schema = DATABASE()"
    " AND object_name = '{}' AND lock_type = 'EXCLUSIVE' AND lock_status = 'GRANTED'",
}
"""Whether another session has locked a table so that the server cannot open it."""


@asynccontextmanager
async def locked_out(database: MySqlDatabase, name: str) -> AsyncIterator[None]:
    """While inside, another session has locked a table so that the server cannot open it, and renames it afterwards."""
    filled(database, "zz")  # the server locks them by name
    with database.session() as renaming, renaming.cursor() as cursor:
        with database.session("SELECT * FROM zz LIMIT 1"):
            rename = f"RENAME TABLE {name} TO {name}2, zz TO zz2"  # locks the table, and waits for zz
            moving = asyncio.create_task(asyncio.to_thread(cursor.execute, rename))
            # It may wait for the table itself first: InnoDB has locked it while it collects statistics by itself.
            await until(database, _LOCKED[database.flavor].format(name))
            yield
        await moving
