"""The connections that the server has left for the steps of an operation."""

from __future__ import annotations

from engine.targets.mysql.connection.names import account
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.facts import status
from engine.targets.mysql.reading.reader import Reader
from engine.targets.plans import KEPT_FREE, NEEDS_TWO


async def free_for_steps(reader: Reader) -> tuple[int, str]:
    """How many the server has left for steps, and why no more. Raises TargetError."""
    most, most_of_account, of_account = await reader.row(query("connection_limits"), row=(int, int, int))
    free, left = most - await status(reader, "Threads_connected"), most_of_account - of_account
    if most_of_account and left < free - KEPT_FREE:
        why = f"the account has {max(left, 0)} of its {most_of_account} connections left (MAX_USER_CONNECTIONS)"
        return max(left, 1), why
    return max(free - KEPT_FREE, 1), f"the server has {free} connections left, and {KEPT_FREE} are kept free"


async def problem(reader: Reader) -> str:
    """Why no step can ever run: the account may have one connection; "" if it may have more. Raises TargetError."""
    _, most_of_account, _ = await reader.row(query("connection_limits"), row=(int, int, int))
    if most_of_account != 1:
        return ""
    to_do = f"ALTER USER {account(reader.server.user)} WITH MAX_USER_CONNECTIONS 2"
    limit = "the account may have one (MAX_USER_CONNECTIONS)"
    return f"{NEEDS_TWO}, and {limit}. As an administrator: {to_do};"
