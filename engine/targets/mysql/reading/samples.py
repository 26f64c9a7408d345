"""How wide the values of a table are, by a few of its rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pymysql

from engine.domain.errors import ServerDiedError, TargetError
from engine.domain.frozen import frozen
from engine.targets.mysql.connection.errors import CONNECTION_LOST, number_of
from engine.targets.mysql.connection.names import quote
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table
from engine.targets.outage import shows_server_down

PAGE: Final = 16_384
ARIA_PAGE: Final = 8_192
_LONGEST_INLINE: Final = 8_000
_POINTER: Final = 20
"""Bytes in the row of a value that has pages of its own."""
_BESIDE_A_LONG_VALUE: Final = 54
"""Bytes in each of them."""
_ROWS: Final = 100
"""Rows that are sampled at each end of the table."""
_BYTES: Final = 1024**2
"""Bytes of a sample: of long rows, fewer are read."""

_TYPE: Final = re.compile(r"(\w+)(?:\((\d+)(?:,\s*(\d+))?\))?")
_WIDTHS: Final = {
    "tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8, "float": 4, "double": 8, "date": 3, "year": 1,
    "enum": 1, "set": 2, "uuid": 16, "inet6": 16, "inet4": 4,
}  # fmt: skip
_TIMES: Final = {"time": 3, "timestamp": 4, "datetime": 5}


@frozen
class Column:
    name: str
    type: str
    """The type in CREATE TABLE, in lower case."""
    is_nullable: int
    is_stored: int
    """No virtual column, which only indexes have."""

    @property
    def fixed_width(self) -> int | None:
        """Bytes; None where values differ."""
        found = _TYPE.match(self.type)
        kind, first, second = found.groups() if found else ("", None, None)
        number = int(first or 0)
        if kind in _WIDTHS:
            return _WIDTHS[kind]
        if kind in _TIMES:
            return _TIMES[kind] + (number + 1) // 2
        match kind:
            case "decimal":
                fraction = int(second or 0)
                return sum(digits // 9 * 4 + (digits % 9 + 1) // 2 for digits in (number - fraction, fraction))
            case "bit":
                return (max(number, 1) + 7) // 8
            case "binary":
                return number
            case "vector":
                return 4 * number
            case _:
                return None

    @property
    def bytes(self) -> str:
        """SQL of the bytes of its value in a row."""
        width, name = self.fixed_width, quote(self.name)
        if width is not None:
            return f"IF({name} IS NULL, 0, {width})" if self.is_nullable else str(width)
        padded = re.match(r"char\((\d+)\)", self.type)
        return f"COALESCE(GREATEST(LENGTH({name}), {padded[1] if padded else 0}), 0)"


@frozen
class Sample:
    """What sampled rows say of one column."""

    column: Column
    inline: float
    """Bytes in the row, on average."""
    pages: float
    """Pages of its long values, per row."""


async def sample(reader: Reader, table: Table) -> list[Sample]:
    """A sample of each column. Raises TargetError; ServerDiedError if the server went down under it."""
    columns = [Column(name, kind.lower(), *more) for name, kind, *more in await _columns(reader, table)]
    try:
        values = await reader.row_or_error(_query(table, columns), row=(float | int | None,) * (2 * len(columns)))
    except pymysql.MySQLError as error:
        if number_of(error) == CONNECTION_LOST and await _has_died(reader):
            raise ServerDiedError(reader.what, table.shown, reader.server.key) from None
        raise reader.error(error) from None
    return [Sample(column, *(value or 0.0 for value in values[2 * n : 2 * n + 2])) for n, column in enumerate(columns)]


async def _has_died(reader: Reader) -> bool:
    """Whether the server went down under a query that was lost. A shutdown by a person has an error of its own."""
    if reader.server.flavor is not Flavor.MYSQL:
        return False
    before = reader.server.started
    try:
        async with reader.alone():
            return reader.server.started != before
    except TargetError as error:
        return shows_server_down(error)


async def _columns(reader: Reader, table: Table) -> list[tuple[str, str, int, int]]:
    return await reader.rows(query("columns_of_table"), [table.name], row=(str, str, int, int))


def _query(table: Table, columns: Sequence[Column]) -> str:
    """Averages over the first and the last rows: two for each column."""
    rows = max(min(_ROWS, _BYTES // max(table.data_bytes // max(table.rows, 1), 1)), 5)
    names = [f"c{number}" for number in range(len(columns))]
    values = ", ".join(f"{column.bytes} AS {name}" for column, name in zip(columns, names, strict=True))
    keys = list(map(quote, table.primary_key))
    ends = [", ".join(keys), ", ".join(f"{key} DESC" for key in keys)] if keys else []
    halves = [f"(SELECT {values} FROM {table.sql} ORDER BY {end} LIMIT {rows})" for end in ends]
    source = " UNION ALL ".join(halves) or f"(SELECT {values} FROM {table.sql} LIMIT {rows})"
    page = (ARIA_PAGE if table.is_in_aria_pages else PAGE) - _BESIDE_A_LONG_VALUE
    averages = ", ".join(
        f"AVG(IF({name} > {_LONGEST_INLINE}, {_POINTER}, {name})) + 0e0,"
        f" AVG(IF({name} > {_LONGEST_INLINE}, CEIL({name} / {page}), 0)) + 0e0"
        for name in names
    )
    return f"SELECT {averages} FROM ({source}) AS sampled"
