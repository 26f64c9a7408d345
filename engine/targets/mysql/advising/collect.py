"""Collects the condition of a database with a few queries, joined here; samples rows of large tables."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from engine.domain.errors import TargetBusyError, TargetError
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.mysql.advising.findings import may_have_space
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.condition import Condition, changed_rows, histograms, least_changed_rows, undo
from engine.targets.mysql.reading.files import FileSize, PartName, changes, file_sizes, with_statistics
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.samples import Sample, sample
from engine.targets.mysql.reading.tables import Table, tables

LEAST_BUDGET: Final = 0.5
"""Seconds: a sample takes some milliseconds."""


async def collect_condition(
    reader: Reader,
    *,
    budget: float | None,
    limits: Thresholds = DEFAULT_THRESHOLDS,
    unopened: Sequence[Table] = (),
    damaged: Collection[str] = (),
) -> Condition:
    """Raises TargetError.

    Args:
        budget: seconds for sampling rows of large tables, the largest first; None: no limit; 0: none is sampled.
        unopened: see `unopened_tables`.
        damaged: names of tables whose rows are not read, as a damaged page ends a MySQL server.
    """
    is_mariadb, changes_are_locked = reader.server.flavor is Flavor.MARIADB, False
    # MariaDB forgets the changes of a table that others push out of its cache, and the next queries open all.
    changed = await changes(reader) if is_mariadb else None
    files = await file_sizes(reader)
    found = await tables(reader, exact=False, files=files, unopened=unopened)
    counted = await with_statistics(reader)
    if not is_mariadb:
        try:
            changed = await changed_rows(reader, found, counted)
        except TargetBusyError:
            changed, changes_are_locked = least_changed_rows(reader.server, found, counted), True
    exact = await _exact(reader, found, files, limits)
    large = [table for table in exact.values() if may_have_space(table, limits) and table.shown not in damaged]
    samples = await _sampled(reader, sorted(large, key=lambda table: -table.size), budget)
    return Condition(
        tables=[exact.get(table.name, table) for table in found],
        server=reader.server,
        sees_files=files is not None,
        changes=changed,
        changes_are_locked=changes_are_locked,
        counted=counted,
        histograms=await histograms(reader),
        samples=samples,
        not_sampled=len(large) - len(samples),
        undo=await undo(reader),
    )


async def _exact(
    reader: Reader, known: Sequence[Table], files: Mapping[PartName, FileSize] | None, limits: Thresholds
) -> dict[str, Table]:
    """The tables whose indexes all count for findings, by name."""
    looked_at = [
        table.name
        for table in known
        if not (table.is_unopened or table.is_locked) and (table.engine != "InnoDB" or may_have_space(table, limits))
    ]
    found = await tables(reader, looked_at, files=files) if looked_at else []
    return {table.name: table for table in found}


async def _sampled(reader: Reader, large: Sequence[Table], budget: float | None) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    began = time.monotonic()
    for table in large if budget != 0 else ():
        if budget is not None and time.monotonic() - began >= max(budget, LEAST_BUDGET):
            break
        try:
            found[table.name] = await sample(reader, table)
        except TargetError:  # another session may lock it, or it was dropped
            if reader.connection.closed:
                raise
    return found
