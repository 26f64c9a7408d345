"""Finds the invalid indexes that an interrupted REINDEX CONCURRENTLY leaves, and drops one: the SQL for it.

Drop it soon: a later REINDEX TABLE or VACUUM FULL would silently make the invalid copy valid.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg

from engine.domain.frozen import frozen
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.errors import LOCK_TIMEOUT, server_message
from engine.targets.postgres.connection.names import Named
from engine.targets.postgres.planning.steps import Subject
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import LEFTOVER, OLD

DROPPED_WITHIN: Final = 600.0
"""Seconds; it waits for several locks, for each as long as for any."""
_IDENTIFIER_BYTES: Final = 63


@frozen
class Leftover(Named):
    oid: int
    schema: str
    name: str
    table_oid: int

    @property
    def is_old(self) -> bool:
        """Whether it is the old index, already replaced by the new one."""
        return re.search(OLD, self.name) is not None


async def invalid_oids(reader: Reader) -> set[int]:
    """Oids of all invalid leftovers. Raises TargetError."""
    return {oid for (oid,) in await reader.rows(query("leftovers", leftover=LEFTOVER), row=(int,))}


async def left_by(reader: Reader, schema: str, index: str) -> list[Leftover]:
    """The invalid copies of this index. Raises TargetError."""
    found = [
        Leftover(*row)
        for row in await reader.rows(query("leftovers_beside_index", leftover=LEFTOVER), [schema, index], row=Leftover)
    ]
    return [leftover for leftover in found if is_copy_of(leftover.name, index)]


class NoLeftoverError(Exception):
    """The leftover is gone, valid, or another session works on it."""


async def require_leftover(reader: Reader, oid: int) -> None:
    """Raises NoLeftoverError, and TargetError."""
    if not (await reader.unfinished([oid])).get(oid):
        raise NoLeftoverError


async def has_replacement(reader: Reader, index: Subject) -> bool:
    """Whether another valid index has its name now. Raises TargetError."""
    (renewed,) = await reader.row(query("is_renewed"), [index.schema, index.name, index.oid], row=(bool,))
    return bool(renewed)


def is_copy_of(name: str, index: str) -> bool:
    """Whether `name` is what PostgreSQL calls an unfinished copy of `index`, whose name it shortens if it must."""
    base = re.sub(LEFTOVER, "", name)
    return index == base or (len(name.encode()) >= _IDENTIFIER_BYTES - 4 and bool(base) and index.startswith(base))


@frozen
class Removal:
    """The result of one drop."""

    leftover: Leftover
    problem: str = ""
    """Why the drop failed; "" if it succeeded."""

    @property
    def text(self) -> str:
        name, is_old = self.leftover.shown, self.leftover.is_old
        if not self.problem:
            return f"{'the old index' if is_old else 'the unfinished copy'} {name} was dropped"
        what = f"the new index is in place, and the old one, {name}," if is_old else f"the unfinished copy {name}"
        return f"{what} was not dropped, {self.problem}. Drop it later: DROP INDEX CONCURRENTLY {self.leftover.sql}"


async def drop(connection: Connection, leftover: Leftover, *, waited: float) -> Removal:
    """`waited`: the lock_timeout of the connection, in seconds."""
    try:
        with connection.within(DROPPED_WITHIN + 10 * waited):
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {leftover.sql}")
    except psycopg.Error as error:
        in_use = f"because others were using its table for {waited:g} s"
        return Removal(
            leftover, in_use if error.sqlstate == LOCK_TIMEOUT else f"as the server says: {server_message(error)}"
        )
    return Removal(leftover)
