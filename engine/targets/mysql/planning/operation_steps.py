"""The SQL of ANALYZE, rebuilds, checks and repairs on MariaDB and MySQL, step by step, the longest first: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.requests import Operation, Options
from engine.targets.lock_impact import (
    BLOCKS_EVERYONE,
    BLOCKS_EVERYONE_BRIEFLY,
    BLOCKS_MAINTENANCE,
    BLOCKS_NOBODY,
    Lock,
)
from engine.targets.mysql.connection.names import quote, shown
from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.planning.operation_specs import BLOCKS_WRITERS, SPECS
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading.foreign_keys import ForeignKey
from engine.targets.mysql.reading.tables import TRANSACTIONAL, Table
from engine.targets.plans import longest_first
from engine.targets.step_execution import NOTHING_CHANGED

ANALYZABLE: Final = TRANSACTIONAL | {"MyISAM", "Aria"}
REBUILDABLE: Final = ANALYZABLE | {"ARCHIVE"}
CHECKABLE: Final = REBUILDABLE | {"CSV", ""}
"""The storage engines that a check reads; "" is a table that the server cannot open, which a check reports."""
MARKED_BY_CHECK: Final = frozenset({"MyISAM", "Aria"})
PLANNED: Final = frozenset({Operation.ANALYZE, Operation.REBUILD, Operation.CHECK, Operation.REPAIR})
BUCKETS: Final = 100
"""Buckets of a histogram."""

STEP_OVERHEAD: Final = 0.01
"""Seconds of a step whatever it does; like the costs by size, measured with MariaDB 11.8."""
_SAMPLED: Final = 40 * 16_384
"""Bytes that ANALYZE of MySQL reads of a table."""
_SECONDS_PER_BYTE: Final = {
    Method.ANALYZE: 12e-9,
    Method.REBUILD: 14e-9,
    Method.CHECK: 16e-9,
    Method.FOREIGN_KEY: 8e-9,
    Method.REPAIR: 14e-9,
}

Reasons = Mapping[str, str]
"""Why a table needs it, by its name."""


def _is_transactional(table: Table) -> bool:
    return table.engine in TRANSACTIONAL


def _seconds(method: Method, table: Table, *, only_samples: bool) -> float:
    """How long a command is expected to take. `only_samples`: see `_step`."""
    size = table.used_bytes
    if method not in {Method.REBUILD, Method.CHECK, Method.REPAIR}:
        size -= table.index_bytes
    if only_samples:
        size = min(size, _SAMPLED)
    return STEP_OVERHEAD + size * _SECONDS_PER_BYTE[method]


def _step(
    method: Method,
    operation: Operation,
    table: Table,
    command: str,
    reason: str,
    lock: Lock,
    part: str = "",
    *,
    only_samples: bool = False,
) -> MySqlStep:
    """
    Args:
        part: what of the table it works on, if that is not all.
        only_samples: whether it reads a few pages of the table, however large that is.
    """
    expected = _seconds(method, table, only_samples=only_samples)
    return MySqlStep(
        object=f"{table.shown} ({part})" if part else table.shown,
        operation=operation,
        command=command,
        reason=reason,
        lock=lock,
        after_cancel=_after_cancel(operation, table),
        disk_needed=(table.used_bytes or None) if method in {Method.REBUILD, Method.REPAIR} else None,
        conflict=table.name,
        estimate=expected,
        weight=expected,
        method=method,
        table=table,
    )


def _after_cancel(operation: Operation, table: Table) -> str:
    if operation is not Operation.CHECK:
        return SPECS[operation].after_cancel
    return "the table marked as crashed, if it is damaged" if table.engine in MARKED_BY_CHECK else NOTHING_CHANGED


def _binlog(options: Options, server: Server) -> str:
    """In a Galera cluster all nodes would run it at once, and no transaction could commit until it ends."""
    return "NO_WRITE_TO_BINLOG " if options.server.no_binlog or server.is_galera else ""


def analyze_steps(
    tables: Iterable[Table],
    options: Options,
    server: Server,
    reasons: Reasons,
    histograms: Mapping[str, Sequence[str]],
    *,
    auto_update: bool = False,
) -> list[MySqlStep]:
    """
    Args:
        histograms: of MySQL, the columns that get one, by table; an empty list: ANALYZE renews those of the table.
        auto_update: whether it then renews the new ones, too.
    """
    steps, word, renewed = [], _binlog(options, server), " AUTO UPDATE" if auto_update else ""
    more = " PERSISTENT FOR ALL" if server.flavor is Flavor.MARIADB else ""
    for table in tables:
        lock = BLOCKS_MAINTENANCE if _is_transactional(table) else BLOCKS_WRITERS
        reason = reasons.get(table.name, "collects current statistics")
        analyze, columns = f"ANALYZE {word}TABLE {table.sql}", histograms.get(table.name)
        commands = [f"{analyze}{more}"]
        if columns:  # not before ANALYZE, which would renew them at once
            reason = f"{reason}, and histograms of columns that lead no index"
            names = ", ".join(map(quote, columns))
            commands.append(f"{analyze} UPDATE HISTOGRAM ON {names} WITH {BUCKETS} BUCKETS{renewed}")
        is_mysql = server.flavor is Flavor.MYSQL
        only_samples, makes_histograms = is_mysql and columns is None, is_mysql and columns is not None
        step = _step(
            Method.ANALYZE, Operation.ANALYZE, table, "; ".join(commands), reason, lock, only_samples=only_samples
        )
        steps.append(replace(step, commands=tuple(commands), makes_histograms=makes_histograms))
    return longest_first(steps)


def rebuild_steps(tables: Iterable[Table], options: Options, server: Server, reasons: Reasons) -> list[MySqlStep]:
    """Online; with --offline the server chooses: it blocks writers if `Table.must_be_offline`."""
    steps, how = [], "" if options.server.offline else ", ALGORITHM=INPLACE, LOCK=NONE"
    in_total_order = server.is_galera and not options.server.no_binlog
    for table in tables:
        command = f"ALTER TABLE {table.sql} FORCE{how}"
        lock = BLOCKS_WRITERS if table.must_be_offline else BLOCKS_EVERYONE_BRIEFLY
        reason = reasons.get(table.name, "rebuilt because you asked")
        step = _step(Method.REBUILD, Operation.REBUILD, table, command, reason, lock)
        if in_total_order:
            step = replace(step, in_total_order=True, after_cancel="it is not stopped: Galera does not allow that")
        steps.append(step)
    return longest_first(steps)


def check_steps(tables: Iterable[Table], foreign_keys: Iterable[ForeignKey], *, full: bool) -> list[MySqlStep]:
    """`foreign_keys`: those whose rows are compared with those of their parent."""
    steps, by_name = [], {table.name: table for table in tables}
    for table in by_name.values():
        lock = BLOCKS_NOBODY if _is_transactional(table) else BLOCKS_WRITERS
        command = f"CHECK TABLE {table.sql} {'EXTENDED' if full else 'QUICK'}"
        reason = "every row and every index entry" if full else "without reading every row"
        steps.append(_step(Method.CHECK, Operation.CHECK, table, command, reason, lock))
    for key in foreign_keys:
        if (child := by_name.get(key.table)) is not None:
            reason, part = f"rows without their parent in {key.parent_shown}", shown(key.name)
            step = _step(Method.FOREIGN_KEY, Operation.CHECK, child, key.query, reason, BLOCKS_NOBODY, part)
            parent = Table(database=key.parent_database, name=key.parent, engine="")
            steps.append(replace(step, parent=parent))
    return longest_first(steps)


def repair_steps(tables: Iterable[Table], options: Options, server: Server, reasons: Reasons) -> list[MySqlStep]:
    return longest_first(
        _step(
            Method.REPAIR,
            Operation.REPAIR,
            table,
            f"REPAIR {_binlog(options, server)}TABLE {table.sql}",
            reasons.get(table.name, "repaired because you asked"),
            BLOCKS_EVERYONE,
        )
        for table in tables
    )
