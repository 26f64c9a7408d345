"""The connections that the server has left for the steps of an operation."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.targets.mysql.connection.names import account
from engine.targets.mysql.reading.facts import status
from engine.targets.mysql.reading.reader import Reader
from engine.targets.plans import KEPT_FREE, NEEDS_TWO

_LIMITS: Final = """
SELECT CAST(@@max_connections AS SIGNED), CAST(@@max_user_connections AS SIGNED),
    (SELECT COUNT(*) FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(USER(), '@', 1))
"""


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
    """Why no step can ever run: the account may have one connection; "" if it may have more. Raises TargetError."""
    if (await _limits(reader)).most_of_user != 1:
        return ""
    to_do = f"ALTER USER {account(reader.server.user)} WITH MAX_USER_CONNECTIONS 2"
    limit = "the account may have one (MAX_USER_CONNECTIONS)"
    return f"{NEEDS_TWO}, and {limit}. As an administrator: {to_do};"
