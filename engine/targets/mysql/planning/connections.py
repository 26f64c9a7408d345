"""The connections that the server has left for the steps of an operation."""

from __future__ import annotations

import asyncio
from typing import Final

from engine.domain.errors import TooManyConnectionsError
from engine.domain.frozen import frozen
from engine.targets.mysql.connection.names import account
from engine.targets.mysql.reading.facts import status
from engine.targets.mysql.reading.reader import Reader
from engine.targets.plans import KEPT_FREE

_LIMITS: Final = """
SELECT CAST(@@max_connections AS SIGNED), CAST(@@max_user_connections AS SIGNED),
    (SELECT COUNT(*) FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(USER(), '@', 1))
"""
_OTHER_JOBS: Final = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '/* dbtend %'"
_PAUSES: Final = (0.1, 0.4, 1.5)
"""Seconds between the tries: a connection that was just closed may count for a moment."""
_NEEDS_TWO: Final = "dbtend needs two connections: one runs the steps, the other watches and cancels them"


@frozen
class Limits:
    """How many connections there may be, and how many there are, this one among them."""

    most: int
    most_of_user: int
    """Those of one account; 0: without a limit."""
    of_user: int
    """Those of all accounts of this name."""
    used: int

    @property
    def free(self) -> int:
        return self.most - self.used

    @property
    def free_of_user(self) -> int:
        """No more than `free`."""
        return min(self.free, self.most_of_user - self.of_user) if self.most_of_user else self.free


async def _limits(reader: Reader) -> Limits:
    most, most_of_user, of_user = await reader.row(_LIMITS, row=(int, int, int))
    return Limits(most, most_of_user, of_user, await status(reader, "Threads_connected"))


async def free_for_steps(reader: Reader) -> tuple[int, str]:
    """How many the server has left for steps, and why no more. Raises TargetError."""
    found = await _limits(reader)
    if found.free_of_user < found.free - KEPT_FREE:
        free = max(found.free_of_user, 0)
        why = f"the account has {free} of its {found.most_of_user} connections left (MAX_USER_CONNECTIONS)"
        return max(free, 1), why
    why = f"the server has {found.free} connections left, and {KEPT_FREE} are kept free"
    return max(found.free - KEPT_FREE, 1), why


async def problem(reader: Reader) -> str:
    """Why no step can run: there is no connection for it; "" if there is one, or will be when other jobs end.

    Raises TargetError.
    """
    found = await _limits(reader)
    if found.free_of_user > 0:
        return ""
    error: TooManyConnectionsError | None = None
    for pause in (0.0, *(_PAUSES if found.most_of_user != 1 else ())):
        await asyncio.sleep(pause)
        ((others,),) = await reader.rows(_OTHER_JOBS, row=(int,))
        if others or (error := await _refused(reader)) is None:
            return ""
    if error is None:
        return ""
    if found.free <= 0:
        return f"{error.why}, and {_NEEDS_TWO}. {error.hint[:1].upper()}{error.hint[1:]}"
    to_do = f"ALTER USER {account(reader.server.user)} WITH MAX_USER_CONNECTIONS {found.most_of_user + 1}"
    limit = "the account may have one (MAX_USER_CONNECTIONS). As"
    if found.most_of_user > 1:
        limit = f"all {found.most_of_user} of the account are in use (MAX_USER_CONNECTIONS). End some, or as"
    return f"{_NEEDS_TWO}, and {limit} an administrator: {to_do};"


async def _refused(reader: Reader) -> TooManyConnectionsError | None:
    """The error where the server gives no other connection."""
    try:
        await reader.try_another()
    except TooManyConnectionsError as error:
        return error
    return None
