"""Other databases of the server that are near the wraparound, or half dropped: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.domain.advice import ByHand, Level
from engine.domain.humanize import counted, listed
from engine.targets.postgres.connection.names import quote


def by_hand(neighbors: Mapping[str, bool]) -> ByHand | None:
    """What to do about them: no operation on this one helps. `neighbors`: whether each allows connections."""
    if not neighbors:
        return None
    where = f"{counted(len(neighbors), 'other database')} of this server near the wraparound: {listed([*neighbors], 3)}"
    reason = (
        f"{where}. VACUUM {'it' if len(neighbors) == 1 else 'them'}, or the server refuses writes in every database"
    )
    if closed := [name for name, allows_connections in neighbors.items() if not allows_connections]:
        allow = f"ALTER DATABASE {quote(closed[0])} ALLOW_CONNECTIONS true;"
        reason += f". Connections to {listed(closed, 3)} must be allowed first. As a superuser: {allow}"
    return ByHand(level=Level.SOON, reason=reason, is_critical=True, neighbors=neighbors)


def with_invalid(found: ByHand | None, databases: Sequence[str]) -> ByHand | None:
    """Add the drop of half dropped databases to the work by hand."""
    if not databases:
        return found
    what = f"{listed(databases, 3)}: invalid, left by a DROP DATABASE that was interrupted"
    reason = "; ".join(
        [f"{what}. Do it again: DROP DATABASE {quote(databases[0])};", *([found.reason] if found else [])]
    )
    neighbors = dict.fromkeys(databases, False)
    return ByHand(level=Level.SOON, reason=reason, neighbors=neighbors, without_neighbors=found)
