"""The SQL of VACUUM, ANALYZE, REINDEX, checks and others on SQLite, step by step, and why: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from engine.domain.humanize import counted, listed, size
from engine.domain.requests import Operation
from engine.domain.steps import WHOLE
from engine.domain.turns import NO_TURNS, Turns
from engine.targets.disk_space import Need
from engine.targets.lock_impact import LockImpact
from engine.targets.plans import by_turn
from engine.targets.sqlite.connection.names import folded, literal, quote
from engine.targets.sqlite.planning import copy_costs, costs, grouping
from engine.targets.sqlite.planning.copy_costs import Content
from engine.targets.sqlite.planning.costs import Cost
from engine.targets.sqlite.planning.grouping import Part
from engine.targets.sqlite.planning.operation_specs import BLOCKS_WRITERS, SPECS, lock_of
from engine.targets.sqlite.planning.steps import Method, SqliteStep, step_of
from engine.targets.sqlite.reading.catalog import Index, Segments, Summary, Table
from engine.targets.sqlite.reading.page_fill import PageFill
from engine.targets.sqlite.system.page_cache import WORTH_FROM
from engine.targets.sqlite.system.unfinished_backup import copy_in

if TYPE_CHECKING:
    from engine.targets.sqlite.reading.page_map import TreeSize

CHECKPOINT: Final = "PRAGMA main.wal_checkpoint(TRUNCATE)"
# All tables, analysed with a limit so that it stays short on big ones.
OPTIMIZE: Final = "PRAGMA optimize=0x10012"
# A PRAGMA optimize that only reports what it would analyze.
OPTIMIZE_DRY: Final = "PRAGMA optimize=0x10013"
OPTIMIZED_AT_ONCE: Final = 20
"""Up to so many tables SQLite analyzes one by one: it reloads the statistics of all tables after each."""
ANALYZED_AT_ONCE: Final = 1.0
"""Seconds that one ANALYZE of everything may take."""
REBUILT_SOON: Final = 1.0
"""Seconds that rebuilding all indexes may take, below which rows are not counted to find the small ones."""
OPTIMIZE_LIMIT: Final = 2000
"""Rows of each index that it looks at where tables are few."""
PAGES_AT_ONCE: Final = 1000
MERGED_AT_ONCE: Final = 500
CHANGES_A_PAGE: Final = 4
"""Rows that a merge changes: it removes and rewrites each page and its entry."""
SHARE_OF_INDEXES: Final = 0.35
"""The share of a database that its indexes take, as a rule."""


def is_small(summary: Summary) -> bool:
    """Whether rows are not counted to see how long each step takes: all are over in a moment."""
    return summary.size < WORTH_FROM


def vacuum_steps(
    summary: Summary,
    path: str,
    *,
    in_memory: bool = False,
    temporary_directory: str | None = None,
    fts_to_rebuild: Sequence[str] = (),
    may_renumber: bool = False,
    fill: PageFill | None = None,
    content: Content | None = None,
    unfinished: str = "",
    compared: bool = False,
) -> list[SqliteStep]:
    """`in_memory`: the copy goes there first, or into `temporary_directory`; None where there is none that can be used,
    which SQLite will find out. `fts_to_rebuild`: full-text indexes on tables whose rowids change. `may_renumber`: also
    rowids that are in use. `fill`: how full the pages are, if that is known. `content`: see `content_of`. `unfinished`:
    the directory of a copy that replaces the file; "" for none. `compared`: that copy is compared with the database."""
    needs = [Need(str(Path(path).parent), summary.used, "the write-ahead log" if summary.is_wal else "the journal")]
    if temporary_directory is not None and not in_memory:
        needs.append(Need(temporary_directory, summary.used, "temporary files"))
    content = content or content_of(summary, fill)
    cost = copy_costs.vacuum(content, in_memory=in_memory)
    vacuum = replace(
        step_of(Operation.VACUUM, summary, Method.VACUUM, "VACUUM", _wasted(summary, fill)),
        by_advice=True,
        disk_needed=sum(need.bytes for need in needs),
        needs=tuple(needs),
        estimate=cost.seconds,
        course=cost.course,
        volume=summary.used,
        copied=0 if fill is None else content.size,
        in_memory=in_memory,
        may_renumber=may_renumber,
    )
    if unfinished:
        vacuum = _swap(
            vacuum, summary, path, unfinished, copy_costs.exchange(content, compared=compared), compared=compared
        )
    rebuilds = [
        SqliteStep(
            method=Method.REBUILD,
            object=name,
            command=command,
            reason="rebuilt after VACUUM, which changes the rowids that this full-text index uses",
            lock=vacuum.lock,
            mandatory_follow_up=True,
            missing_effect=f"searches in {name} are wrong until {command} has run",
        )
        for name in fts_to_rebuild
        for command in [f"INSERT INTO main.{quote(name)}({quote(name)}) VALUES('rebuild')"]
    ]
    if unfinished and not rebuilds:
        return [vacuum]
    return [vacuum, *rebuilds, *log_written_back(summary, "in WAL mode the file shrinks when the log is written back")]


def content_of(summary: Summary, fill: PageFill | None, trees: Sequence[TreeSize] = ()) -> Content:
    """What VACUUM copies, as far as that is known: the last page of each table and index is half full.

    `trees`: all tables and indexes in the order in which it copies them, if that is known.
    """
    objects = summary.tables + summary.indexes
    if fill is None:
        return Content.usual(summary.used, objects, summary.page_size)
    return Content(
        size=min(round(summary.used * fill.packed) + objects * summary.page_size // 2, summary.used),
        page_size=summary.page_size,
        cells=round(summary.used / summary.page_size * fill.cells),
        keyed=round(summary.used * fill.packed * fill.keyed),
        values=round(summary.used * fill.values),
        objects=objects,
        parts=_parts(summary, fill, trees),
    )


def _parts(summary: Summary, fill: PageFill, trees: Sequence[TreeSize]) -> tuple[Content, ...]:
    """The contents of tables and indexes. Long values are taken to belong to all tables with rowids alike."""
    rows = sum(tree.pages for tree in trees if not tree.is_keyed)
    parts = []
    for tree in trees:
        size = round(tree.pages * summary.page_size * fill.packed)
        values = 0 if tree.is_keyed else round(summary.used * fill.values * tree.pages / rows)
        keyed = size if tree.is_keyed else 0
        parts.append(
            Content(size=size + values, page_size=summary.page_size, cells=tree.cells, keyed=keyed, values=values)
        )
    return tuple(parts)


def _swap(
    vacuum: SqliteStep, summary: Summary, path: str, unfinished: str, cost: Cost, *, compared: bool
) -> SqliteStep:
    checked = "checked, compared by a SHA-256 of all contents" if compared else "checked"
    manner = (
        f"begins once no other process has the file open: a copy is made, {checked} and synced to the disk, and"
        " replaces the file. If another process writes meanwhile, it ends as busy and nothing changes"
    )
    need = Need(str(Path(path).parent), summary.used, "the copy")
    return replace(
        vacuum,
        method=Method.SWAP,
        command=f"VACUUM main INTO {literal(copy_in(unfinished))}",
        reason=f"{vacuum.reason}; {manner}",
        manner=manner,
        lock=replace(lock_of(Operation.BACKUP, wal=summary.is_wal), momentary=LockImpact.EVERYONE),
        after_cancel=SPECS[Operation.VACUUM].after_cancel_of_swap,
        disk_needed=need.bytes,
        needs=(need,),
        estimate=cost.seconds,
        course=cost.course,
        unfinished=unfinished,
        compared=compared,
    )


def log_written_back(summary: Summary, reason: str) -> list[SqliteStep]:
    """The step after those that have filled the write-ahead log, if there is one."""
    if not summary.is_wal:
        return []
    step = SqliteStep(
        method=Method.CHECKPOINT,
        object=WHOLE,
        command=CHECKPOINT,
        reason=reason,
        operation=Operation.CHECKPOINT,
        lock=BLOCKS_WRITERS,
        after_cancel="the log keeps its size",
        estimate=costs.checkpoint(summary.used).seconds,
        mandatory_follow_up=True,
    )
    return [step]


def analyze_all_steps(summary: Summary, limit: int | None) -> list[SqliteStep]:
    """All tables in one statement, whatever they contain; none if they are few, or if that may take long."""
    cost = costs.analyze_all(summary.used, summary.tables)
    if summary.tables < grouping.FEWEST or cost.seconds is None or cost.seconds > ANALYZED_AT_ONCE:
        return []
    reason = f"all {counted(summary.tables, 'table')} in one statement: they are small" + _limit_text(limit)
    return [
        replace(
            _analyze(summary, limit),
            method=Method.ANALYZE,
            reason=reason,
            after_cancel=SPECS[Operation.OPTIMIZE].after_cancel,
            estimate=cost.seconds,
        )
    ]


def analyze_steps(
    tables: Sequence[Table],
    summary: Summary,
    *,
    limit: int | None,
    objects: Sequence[str] = (),
    whole: str = "",
    failing: Collection[str] = (),
    turns: Turns = NO_TURNS,
) -> list[SqliteStep]:
    """`objects`: the requested names. `whole`: why no table is analyzed on its own, if so. `failing`:
    the tables that cannot be analyzed."""
    asked = {folded(name) for name in objects}
    step = _analyze(summary, limit)
    if not tables:
        return [step]
    usual = costs.analyze_all(_usual_size(summary), 1)

    def cost(table: Table) -> Cost:
        return usual if table.rows is None and is_small(summary) else costs.analyze(table, limit)

    if whole:
        return [replace(step, reason=whole, estimate=_sum(cost(table).seconds for table in tables))]
    parts = [
        Part(
            table.name,
            f"ANALYZE main.{quote(table.name)}",
            _request_text(table, asked) + _statistics(table) + _limit_text(limit),
            cost(table),
        )
        for table in tables
    ]
    if objects:
        return by_turn([part.step(step) for part in parts], Operation.ANALYZE, turns)
    reloading = costs.reloading(summary.tables)
    seconds = usual.seconds or 0.0
    alone, groups = grouping.divided(
        [part for part in parts if part.object not in failing],
        usual=seconds,
        tiny=max(grouping.TINY, 2 * reloading),
        most=max(grouping.MOST_SECONDS, 4 * reloading),
    )
    why = "small tables in one statement"
    grouped = [_analyze_only(grouping.together(group, "table", why, usual=seconds, like=step)) for group in groups]
    steps = [
        *by_turn([*(part.step(step) for part in alone), *grouped], Operation.ANALYZE, turns),
        *(part.step(step) for part in parts if part.object in failing),
    ]
    return [step if step.estimate is None else replace(step, estimate=step.estimate + reloading) for step in steps]


def _analyze(summary: Summary, limit: int | None) -> SqliteStep:
    reason = "there is no table, so there is nothing to collect"
    step = step_of(Operation.ANALYZE, summary, Method.TRANSACTION, "ANALYZE main", reason)
    return step if limit is None else replace(step, settings=(f"PRAGMA analysis_limit = {limit}",))


def _limit_text(limit: int | None) -> str:
    return "" if limit is None else f"; reads {limit:,} rows of each index"


def _analyze_only(step: SqliteStep) -> SqliteStep:
    return replace(step, method=Method.ANALYZE, command=f"ANALYZE main -- only {listed(step.objects)}")


def _usual_size(summary: Summary) -> int:
    """Bytes of a table or an index, on average."""
    return summary.used // max(summary.tables + summary.indexes, 1)


def reindex_steps(
    indexes: Sequence[Index],
    tables: Sequence[Table],
    summary: Summary,
    path: str,
    temporary_directory: str | None,
    whole: str = "",
    failing: Collection[str] = (),
    turns: Turns = NO_TURNS,
    sizes: Mapping[str, TreeSize] = MappingProxyType({}),
) -> list[SqliteStep]:
    """One step per index, so that each has its own outcome, or for many small ones. The schema is named because a bare
    `REINDEX "nocase"` would rebuild by collation and leave an index of that name alone. `tables`: with all indexes.
    `whole`: why no index is rebuilt on its own, if so. `failing`: the indexes that cannot be rebuilt. `sizes`: of
    indexes, and tables without rowid, as far as they are known."""
    reason = "there is no index, so there is nothing to rebuild"
    step = step_of(Operation.REINDEX, summary, Method.TRANSACTION, "REINDEX", reason)
    step = replace(step, operation=Operation.REINDEX)
    if not indexes:
        return [step]
    volumes = _index_sizes(indexes, tables, summary, sizes)
    parts = [
        Part(
            index.name,
            f"REINDEX main.{quote(index.name)}",
            f"{'PRIMARY KEY or UNIQUE' if index.automatic else 'index'} of table {index.table}",
            _cost_of_rebuilding(index, volume, summary, sizes.get(index.name)),
            volume,
        )
        for index, volume in zip(indexes, volumes, strict=True)
    ]

    def needing(step: SqliteStep, size: int) -> SqliteStep:
        needs = _index_needs(size, summary, str(Path(path).parent), temporary_directory)
        return replace(step, needs=needs, disk_needed=sum(need.bytes for need in needs) or None)

    if whole:
        step = replace(step, reason=whole, estimate=_sum(part.cost.seconds for part in parts))
        steps = [needing(step, sum(volumes))]
    else:
        usual, why = costs.reindex_of(_usual_size(summary)).seconds or 0.0, "small indexes in one transaction"
        alone, groups = grouping.divided([part for part in parts if part.object not in failing], usual=usual)
        steps = [needing(part.step(step), part.size) for part in alone]
        for group in groups:
            size = sum(part.size for part in group)
            steps.append(needing(grouping.together(group, "index", why, usual=usual, like=step), size))
        steps = by_turn(steps, Operation.REINDEX, turns)
        steps += [needing(part.step(step), part.size) for part in parts if part.object in failing]
    return [*steps, *log_written_back(summary, "in WAL mode the new indexes are in the log until it is written back")]


def _cost_of_rebuilding(index: Index, size: int, summary: Summary, known: TreeSize | None) -> Cost:
    if index.rows is None and are_rebuilt_soon(summary):
        return costs.reindex_of(size)
    if index.is_table and index.rows is None:
        return costs.reindex_of(size)
    return costs.reindex(index, size, summary.page_size, in_order=0.0 if known is None else known.in_order)


def are_rebuilt_soon(summary: Summary) -> bool:
    """Whether the file is small, or there are many indexes that are rebuilt in a moment all together, whatever is in
    them."""
    seconds = costs.reindex_of(summary.used).seconds
    are_many = summary.indexes >= grouping.FEWEST and seconds is not None and seconds <= REBUILT_SOON
    return are_many or is_small(summary)


def _index_sizes(
    indexes: Iterable[Index], tables: Sequence[Table], summary: Summary, sizes: Mapping[str, TreeSize]
) -> list[int]:
    """How big each index is; where its pages are unknown, by its share of the entries of all.

    One that is a table itself has a share of the rest. With an unknown number of rows it counts as big as
    any.
    """
    cells = sum((table.rows or 0) * table.columns for table in tables)
    entries = sum((other.rows or 0) * other.columns for table in tables for other in table.indexes)

    def share(index: Index) -> float:
        if index.is_table:
            known = index.rows is not None
            part = (index.rows or 0) * index.columns / max(cells, 1) if known else 1 / max(len(tables), 1)
            return (1 - SHARE_OF_INDEXES) * part
        if index.rows is None:
            return 1 / max(summary.tables + summary.indexes, 1)
        return SHARE_OF_INDEXES * (index.rows * index.columns / entries if entries else 0.0)

    known = [sizes.get(index.table if index.is_table else index.name) for index in indexes]
    return [
        round(summary.used * share(index)) if size is None else size.pages * summary.page_size
        for index, size in zip(indexes, known, strict=True)
    ]


def _index_needs(size: int, summary: Summary, directory: str, temporary_directory: str | None) -> tuple[Need, ...]:
    journal = Need(directory, size, "the write-ahead log" if summary.is_wal else "the journal")
    sorting = () if temporary_directory is None else (Need(temporary_directory, size, "sorting"),)
    return (journal, *sorting) if size else ()


def optimize_steps(tables: Sequence[Table], summary: Summary) -> list[SqliteStep]:
    unknown = [table for table in tables if table.known_rows is None]
    reason = f"{len(unknown):,} of {counted(len(tables), 'table')} without statistics; renews stale statistics too"
    if len(unknown) > OPTIMIZED_AT_ONCE:
        reason += "; one ANALYZE for all of them, with the same limit"
    limit = optimize_limit(len(tables) + sum(len(table.indexes) for table in tables))
    most = (costs.analyze(replace(table, rows=limit)).seconds for table in unknown)
    step = step_of(Operation.OPTIMIZE, summary, Method.OPTIMIZE, OPTIMIZE, reason)
    return [replace(step, by_advice=True, estimate=_sum(most))]


def optimize_limit(btrees: int) -> int:
    """Rows of each index that SQLite looks at where it analyzes so many tables and indexes to optimize."""
    return max(100, 200_000 // max(btrees, 100))


def checkpoint_steps(summary: Summary) -> list[SqliteStep]:
    reason = f"the write-ahead log is {f'{size(summary.wal_size)} long' if summary.wal_size else 'empty'}"
    return [step_of(Operation.CHECKPOINT, summary, Method.CHECKPOINT, CHECKPOINT, reason)]


def incremental_vacuum_steps(summary: Summary) -> list[SqliteStep]:
    free, command = summary.free_pages, f"PRAGMA main.incremental_vacuum({PAGES_AT_ONCE})"
    reason = f"{counted(free, 'page')} free ({size(free * summary.page_size)}), {PAGES_AT_ONCE:,} at a time"
    return [
        step_of(Operation.INCREMENTAL_VACUUM, summary, Method.INCREMENTAL, command, reason),
        *log_written_back(summary, "in WAL mode the file shrinks when the log is written back"),
    ]


def fts_optimize_steps(
    segments: Mapping[str, Segments | None], summary: Summary, turns: Turns = NO_TURNS
) -> list[SqliteStep]:
    """`segments`: those of each full-text index; None where they could not be looked at."""
    steps = []
    for name, known in segments.items():
        number = "segments that cannot be counted" if known is None else counted(known.number, "segment")
        reason = f"{number}; the second command repeats until nothing is left to merge"
        command = "; ".join(merge_commands(name))
        step = step_of(Operation.FTS_OPTIMIZE, summary, Method.MERGE, command, reason, name)
        steps.append(replace(step, volume=0 if known is None else known.pages * CHANGES_A_PAGE))
    return [
        *by_turn(steps, Operation.FTS_OPTIMIZE, turns),
        *log_written_back(summary, "in WAL mode the merged index is in the log until it is written back"),
    ]


def merge_commands(name: str) -> tuple[str, str]:
    """The first merge of a full-text index, which begins with all of its segments, and those that go on with it."""
    merge = f"INSERT INTO main.{quote(name)}({quote(name)}, rank) VALUES('merge', "
    return f"{merge}{-MERGED_AT_ONCE})", f"{merge}{MERGED_AT_ONCE})"


def _sum(parts: Iterable[float | None]) -> float | None:
    """The sum of the known ones; None where none is known."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _wasted(summary: Summary, fill: PageFill | None) -> str:
    free = _free_pages(summary)
    if fill is None:
        return free
    back = summary.size - round(summary.used * fill.packed)
    return f"{free}; about {size(max(back, 0))} come back"


def _free_pages(summary: Summary) -> str:
    if not summary.free_pages:
        return "no page is free; only partly filled pages can be packed"
    share = summary.free_pages / summary.pages
    percent = "less than 1%" if share < 0.01 else f"{share:.0%}"
    return f"{percent} of the pages are free ({size(summary.free_pages * summary.page_size)})"


def _request_text(table: Table, asked: Collection[str]) -> str:
    """Why a table is there that was not named itself."""
    if folded(table.name) in asked:
        return ""
    indexes = [index.name for index in table.indexes if folded(index.name) in asked]
    return f"the table of {'index' if len(indexes) == 1 else 'indexes'} {listed(indexes)}; " if indexes else ""


def _statistics(table: Table) -> str:
    rows = table.known_rows
    known = "no statistics yet" if rows is None else f"statistics from when it had {counted(rows, 'row')}"
    indexes = counted(len(table.indexes), "index") if table.indexes else "no indexes"
    return f"{indexes}, {known}"
