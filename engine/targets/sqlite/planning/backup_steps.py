"""Plans the steps of a backup: pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted, size
from engine.domain.requests import Operation
from engine.targets.disk_space import Need
from engine.targets.sqlite.connection.names import literal
from engine.targets.sqlite.planning import copy_costs, costs
from engine.targets.sqlite.planning.operation_specs import BLOCKS_NOBODY
from engine.targets.sqlite.planning.steps import Method, SqliteStep, step_of
from engine.targets.sqlite.reading.catalog import Summary, Table
from engine.targets.sqlite.system.old_backups import BackupSeries, OldBackups, name_of
from engine.targets.sqlite.system.unfinished_backup import copy_in

CHECK: Final = "PRAGMA main.quick_check"
COMPARE: Final = "SELECT * FROM each table of the database and of the copy"
KEEP_WAL: Final = "PRAGMA main.journal_mode = WAL"
"""VACUUM keeps every setting in the header of a database except this one."""


@frozen(kw_only=True)
class PlannedCopy:
    """How a backup is made."""

    destination: str
    unfinished: str
    """The directory of the copy until it is checked."""
    numbered: bool = False
    """Use the next free number if `destination` is taken by then."""
    written_twice: bool = False
    """`unfinished` is on another file system than `destination`."""
    compared: bool = False
    """The copy is compared with the database."""
    is_known_damaged: bool = False
    """The last check of the database found damage."""
    by_pages: str | None = None
    """Why VACUUM cannot make the copy, if so."""


def backup_steps(summary: Summary, planned: PlannedCopy, tables: Sequence[Table]) -> list[SqliteStep]:
    copy = _copy_step(summary, planned)
    compare = replace(
        copy,
        method=Method.COMPARE,
        command=COMPARE,
        reason="compares the copy with the database as it was when it was copied, by a SHA-256 of all contents",
        disk_needed=None,
        estimate=costs.comparison(summary.used),
        needs=(),
        volume=0,
        course=costs.reading_twice(tables),
    )
    sets_wal = ", sets its journal mode to wal" if summary.is_wal else ""
    name = Path(planned.destination).name
    check = replace(
        copy,
        method=Method.COPY_CHECK,
        object=name,
        command=f"{CHECK}; {KEEP_WAL}" if summary.is_wal else CHECK,
        reason=f"checks the copy{sets_wal}, and names it {name}",
        lock=BLOCKS_NOBODY,
        disk_needed=None,
        estimate=costs.copy_check(summary.used).seconds,
        needs=(),
        volume=0,
        lost_without_next=False,
        course=costs.quick_check(tables, summary.used // summary.page_size).course,
    )
    return [copy, *([compare] if planned.compared else []), check]


def _copy_step(summary: Summary, planned: PlannedCopy) -> SqliteStep:
    directory, place = str(Path(planned.destination).parent), str(Path(planned.unfinished).parent)
    made = "" if place == directory else f", in {place} until it is complete, because others can change {directory}"
    total = summary.pages * summary.page_size if planned.by_pages else summary.used
    needs = [Need(place, total, "the copy")]
    if planned.written_twice:
        needs.append(Need(directory, total, "the copy at its destination"))
    command = f"VACUUM main INTO {literal(copy_in(planned.unfinished))}"
    reason = f"copies {size(total)}, without free pages{made}"
    if planned.by_pages:
        command = f".backup main {literal(copy_in(planned.unfinished))}"
        reason = f"copies {size(total)} page by page{made}; VACUUM cannot copy it: {planned.by_pages}"
    return replace(
        step_of(Operation.BACKUP, summary, Method.COPY, command, reason),
        disk_needed=sum(need.bytes for need in needs),
        estimate=copy_costs.copy(total, summary.tables + summary.indexes).seconds,
        needs=tuple(needs),
        volume=total,
        by_pages=bool(planned.by_pages),
        destination=planned.destination,
        numbered=planned.numbered,
        unfinished=planned.unfinished,
        lost_without_next=True,
        compared=planned.compared,
        is_known_damaged=planned.is_known_damaged,
    )


def removal_step(summary: Summary, series: BackupSeries, old: OldBackups, keep: int) -> SqliteStep | None:
    """The step that removes the oldest backups, so that `keep` stay; None if they are not more."""
    removed = old.beyond(keep)[::-1]
    if not removed:
        return None
    paths = [str(Path(series.directory, name_of(backup))) for backup in removed]
    others = f"; {counted(old.unknown, 'file')} with such a name not in its history" if old.unknown else ""
    freed = size(sum(backup.size or 0 for backup in removed))
    reason = f"keeps the new backup and {keep - 1} of {len(old.fitting)} older ones, frees {freed}{others}"
    return replace(
        step_of(Operation.BACKUP, summary, Method.REMOVE_BACKUPS, shlex.join(["rm", "--", *paths]), reason),
        object=counted(len(paths), "old backup"),
        objects=tuple(map(name_of, removed)),
        lock=BLOCKS_NOBODY,
        after_cancel="the new backup stays, and the old ones that are not yet removed",
        estimate=costs.SHORTEST,
        series=series,
        keep=keep,
    )
