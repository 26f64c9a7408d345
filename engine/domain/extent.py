"""Which database a plan was made for, and how large it was: whether the plan still holds."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen

_ALIKE: Final = 0.1


@frozen
class Extent:
    fingerprint: str
    """Another one means another database."""
    size: int
    """The bytes of its file; 0 on a server."""

    def holds(self, now: Extent) -> bool:
        """Whether a plan still holds: it is the same database, at most a tenth larger or smaller."""
        return self.fingerprint == now.fingerprint and abs(self.size - now.size) <= _ALIKE * self.size
