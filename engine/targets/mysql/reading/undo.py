"""The undo tablespaces of a MySQL server."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.targets.mysql.reading.reader import Reader

ACTIVE: Final = "active"
EMPTY: Final = "empty"
_SPACES: Final = """
SELECT name, state, CAST(file_size AS SIGNED) FROM information_schema.innodb_tablespaces WHERE space_type = 'Undo'
ORDER BY name
"""


@frozen
class UndoSpace:
    """An undo tablespace."""

    name: str
    state: str
    """`active`, `inactive` (no longer used by new transactions), or `empty`."""
    size: int
    """Bytes."""


async def undo_spaces(reader: Reader) -> list[UndoSpace]:
    """Raises TargetError."""
    return [UndoSpace(*row) for row in await reader.rows(_SPACES, row=(str, str, int))]
