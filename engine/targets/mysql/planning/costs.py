"""How long a command is expected to take by the size of its table: pure. Measured with MariaDB 11.8."""

from __future__ import annotations

from typing import Final

from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.planning.steps import Method
from engine.targets.mysql.reading.tables import Table

STEP_OVERHEAD: Final = 0.01
"""Seconds of a step whatever it does."""
_SAMPLED: Final = 40 * 16_384
"""Bytes that ANALYZE of MySQL reads of a table."""
_SECONDS_PER_BYTE: Final = {
    Method.ANALYZE: 12e-9,
    Method.HISTOGRAMS: 12e-9,
    Method.REBUILD: 14e-9,
    Method.CHECK: 16e-9,
    Method.FOREIGN_KEY: 8e-9,
    Method.REPAIR: 14e-9,
    Method.PURGE_UNDO: 0.0,
}


def seconds(method: Method, table: Table, flavor: Flavor) -> float:
    size = table.used_bytes
    if method not in {Method.REBUILD, Method.CHECK, Method.REPAIR}:
        size -= table.index_bytes
    if method is Method.ANALYZE and flavor is Flavor.MYSQL:
        size = min(size, _SAMPLED)
    return STEP_OVERHEAD + size * _SECONDS_PER_BYTE[method]
