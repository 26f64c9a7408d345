"""The undo tablespaces of MySQL, and whether MariaDB truncates its own."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader

HELPER: Final = "dbtend_undo"
"""The undo tablespace that transactions use while one of only two is purged."""
ACTIVE: Final = "active"
EMPTY: Final = "empty"
FIRST_SIZE: Final = 16 * 1024**2
"""Bytes of an undo tablespace that was just made."""
ADDED_SINCE: Final = (11, 0)
"""An older MariaDB that is set to have more undo tablespaces than when it was initialized does not start."""


@frozen
class UndoSpace:
    """An undo tablespace."""

    name: str
    state: str
    """`active`, `inactive` (no longer used by new transactions), or `empty`."""
    size: int
    """Bytes."""

    @property
    def is_left(self) -> bool:
        """Whether a purge that was interrupted left it so."""
        return self.state != ACTIVE or self.name == HELPER


_ADD_TABLESPACES: Final = (
    "Set innodb_undo_tablespaces = 3 and innodb_undo_log_truncate = ON in the option file of the server,"
    " then restart it"
)
_CANNOT_ADD: Final = (
    "Do not change innodb_undo_tablespaces: a server before MariaDB 11.0 would not start. Upgrade first, or load a dump"
    " into a new data directory that has them"
)


@frozen
class Truncation:
    """Whether MariaDB gives the space of its undo log back by itself."""

    version: tuple[int, ...]
    is_on: int
    tablespaces: int
    """Tablespaces of the undo log. The server truncates one while it uses another: fewer than two never shrink."""
    threshold: int
    """Bytes from which on one is truncated."""

    @property
    def to_set(self) -> str:
        """The settings that make it truncate them, as text; "" if it does already."""
        turn_on = "SET GLOBAL innodb_undo_log_truncate = ON, and set it in the option file of the server, too"
        if self.tablespaces < 2:
            how = _ADD_TABLESPACES if self.version >= ADDED_SINCE else _CANNOT_ADD
            why = "the undo log has no tablespaces of its own, and what holds it never shrinks while the server runs"
            return f"{why}. {how}"
        return "" if self.is_on else f"MariaDB truncates undo tablespaces by itself, and that is off: {turn_on}"


async def truncation(reader: Reader) -> Truncation:
    """How MariaDB truncates its undo log. Raises TargetError."""
    return Truncation(reader.server.version, *await reader.row(query("undo_truncation"), row=(int, int, int)))


async def undo_spaces(reader: Reader) -> list[UndoSpace]:
    """Raises TargetError."""
    return [UndoSpace(*row) for row in await reader.rows(query("undo_spaces"), row=(str, str, int))]
