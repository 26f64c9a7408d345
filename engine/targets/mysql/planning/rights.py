"""The rights of the user on tables, and the GRANT for missing ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from engine.domain.errors import TargetRefusedError
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.requests import Operation
from engine.targets.mysql.connection.connecting import set_log_bin
from engine.targets.mysql.connection.names import account, qualified, quote
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table

NEEDED: Final = {
    Operation.ANALYZE: ("SELECT", "INSERT"),
    Operation.REBUILD: ("ALTER", "CREATE", "INSERT"),
    Operation.CHECK: ("SELECT",),
    Operation.REPAIR: ("SELECT", "INSERT"),
}
"""The privileges on a table that each operation needs."""
TO_PURGE: Final = ("PROCESS", "CREATE TABLESPACE")
"""The privileges on the server that a purge of undo tablespaces needs."""


@frozen
class Rights:
    """The privileges of the session's user in its database."""

    everywhere: frozenset[str]
    """On all of its tables."""
    by_table: frozenset[tuple[str, str]]
    """Table and privilege."""

    def missing(self, operation: Operation, table: Table) -> list[str]:
        return [
            privilege
            for privilege in NEEDED[operation]
            if privilege not in self.everywhere and (table.name, privilege) not in self.by_table
        ]


async def rights(reader: Reader) -> Rights | None:
    """The rights of the user; None where they are not known: an active role may have more. Raises TargetError."""
    (role,) = await reader.row("SELECT CURRENT_ROLE()", row=(str | None,))
    if role not in {None, "", "NONE"}:
        return None
    grantee = account(reader.server.user)
    found = await reader.rows(query("privileges"), [grantee] * 3, row=(str, str, str))
    return Rights(
        frozenset(privilege for privilege, _, table in found if not table),
        frozenset((table, privilege) for privilege, _, table in found if table),
    )


def allowed(operation: Operation, tables: Sequence[Table], found: Rights | None) -> tuple[list[Table], list[Table]]:
    """The tables that the user may work on, and the others."""
    forbidden = [table for table in tables if found is not None and found.missing(operation, table)]
    names = {table.name for table in forbidden}
    return [table for table in tables if table.name not in names], forbidden


def grant(operation: Operation, tables: Sequence[Table], user: str) -> str:
    """Which right is missing, and how to grant it."""
    return f"{user} may not {operation} {listed([table.shown for table in tables])}. " + to_grant(
        NEEDED[operation], tables, user
    )


def to_grant(privileges: Collection[str], tables: Sequence[Table], user: str) -> str:
    """The statements that let the user do it."""
    names = (
        [qualified(table.database, table.name) for table in tables]
        if len(tables) <= 3
        else [f"{quote(tables[0].database)}.*"]
    )
    grants = [f"GRANT {', '.join(privileges)} ON {name} TO {account(user)};" for name in names]
    return "As an administrator: " + " ".join(grants)


async def sees_all_sessions(reader: Reader) -> bool:
    """Whether the server shows the sessions of other users; True if unknown. Raises TargetError."""
    found = await rights(reader)
    return found is None or "PROCESS" in found.everywhere


def to_grant_everywhere(privileges: str, user: str) -> str:
    """The statement that gives the user privileges on the server."""
    return f"As an administrator: GRANT {privileges} ON *.* TO {account(user)};"


async def binlog_problem(reader: Reader) -> str:
    """Why the user may not keep changes out of the binary log; "" if it may. Raises TargetError."""
    try:
        with reader.telling():
            async with reader.alone() as connection:
                await set_log_bin(connection, reader.server.flavor, reader.what, "@@SESSION.sql_log_bin")
    except TargetRefusedError as error:
        return error.why_and_hint
    return ""
