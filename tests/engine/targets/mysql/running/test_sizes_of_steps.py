"""The sizes of tables after their steps."""

from __future__ import annotations

import asyncio

from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import tables
from engine.targets.mysql.running.sizes import Sizes
from tests.engine.targets.mysql.looking import looking
from tests.mysql_databases import MySqlDatabase


async def questions(reader: Reader) -> int:
    """How many statements this connection has sent."""
    query = "SHOW SESSION STATUS LIKE 'Questions'"
    ((_, number),) = await reader.rows(query, row=(str, str))
    return int(number)


async def test_one_query_answers_all_steps_that_have_ended(database: MySqlDatabase) -> None:
    database(*(f"CREATE TABLE item{number} (id INT PRIMARY KEY)" for number in range(30)))
    async with looking(database.url) as reader:
        found, sizes = await tables(reader), Sizes(reader)
        before = await questions(reader)
        told = await asyncio.gather(*map(sizes.of, found))
        assert await questions(reader) - before == 2  # one is that of the number itself
        await sizes.end()
    on_disk = {path.stem: path.stat().st_size for path in (database.server.data / database.name).glob("*.ibd")}
    assert dict(zip((table.name for table in found), told, strict=True)) == on_disk
