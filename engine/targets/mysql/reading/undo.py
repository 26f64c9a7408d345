"""The undo tablespaces of a MySQL server."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.targets.mysql.reading.reader import Reader

HELPER: Final = "dbtend_undo"
"""The undo tablespace for transactions during a purge, if there are only two others."""
ACTIVE: Final = "active"
EMPTY: Final = "empty"
SPACES: Final = """
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

    @property
    def is_left(self) -> bool:
        """Whether a purge that was interrupted left it so."""
        return self.state != ACTIVE or self.name == HELPER


async def undo_spaces(reader: Reader) -> list[UndoSpace]:
    """Raises TargetError."""
    return [UndoSpace(*row) for row in await reader.rows(SPACES, row=(str, str, int))]
