"""Collects the condition of a database with a few queries; measures bloat only on request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.domain.thresholds import DEFAULT_THRESHOLDS, MOST_IDS, Thresholds
from engine.targets.answer_shapes import Shape
from engine.targets.postgres.advising.bloat import table_share, toast_share
from engine.targets.postgres.advising.findings import (
    dead_rows_unknown,
    has_lost_counts,
    is_not_kept_up,
    may_need_something,
)
from engine.targets.postgres.advising.measuring import measured, measured_within
from engine.targets.postgres.advising.sampling import Shapes, bloat_of
from engine.targets.postgres.connection.names import quote, shown
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading import autovacuum, repack_client, xmin_horizon
from engine.targets.postgres.reading.amcheck import amcheck
from engine.targets.postgres.reading.collations import CollationDrift, drifts
from engine.targets.postgres.reading.condition import Activity, Bloat, Condition
from engine.targets.postgres.reading.index_upkeep import IndexUpkeep, index_upkeep
from engine.targets.postgres.reading.needless_indexes import needless_indexes
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.shapes import LEAST_PAGES, HashShape, IndexShape, TableShape, ToastShape, TreeShape
from engine.targets.postgres.reading.xmin_horizon import XminHorizon


async def collect_condition(
    reader: Reader, limits: Thresholds = DEFAULT_THRESHOLDS, *, budget: float | None = 0.0
) -> Condition:
    """`budget`: seconds for measuring bloat; None: all that is unknown, and more exactly what may be much.

    Raises TargetError.
    """
    (sees_all,) = await reader.row(query("reads_statistics"), row=(bool,))
    reset_at, counts_nothing, xid_age, multixact_age = await reader.row(
        query("counters"), row=(datetime | None, str, int, int)
    )
    oldest = round(limits.age_critical * MOST_IDS)
    extensions = dict(await reader.rows(query("extensions"), row=(str, str)))
    tables = [TableShape(*row) for row in await _shapes(reader, TableShape, "table_shapes", sees_all)]
    horizon = await xmin_horizon.read(reader)
    shapes = await _index_shapes(reader, horizon, sees_all)
    bloat = {table.oid: Bloat(table.pages, table_share(table)) for table in tables}
    known, unread = await bloat_of(reader, shapes, limits)
    bloat |= known
    drifting = await drifts(reader)
    upkeep = [one for one in await index_upkeep(reader) if one.waiting]
    activity = await _activity(reader, sees_all)
    large_tables = [table.oid for table in activity if table.pages >= LEAST_PAGES]
    may_be_large = {
        oid
        for (oid,) in await reader.rows(
            query("indexes_that_may_be_large", least=LEAST_PAGES), [large_tables], row=(int,)
        )
    }
    wanted = may_be_large.union(_concerned(drifting, upkeep, bloat))
    if "pgstattuple" in extensions:
        schema = quote(extensions["pgstattuple"])
        bloat |= (
            await measured(reader, schema, bloat, shapes, tables)
            if budget is None
            else await measured_within(reader, schema, bloat, shapes, limits, budget)
        )
    return Condition(
        tables=await reader.tables(),
        indexes=await reader.indexes_by_oid_or_invalid(wanted),
        activity=activity,
        autovacuum=await autovacuum.read(reader, [table.oid for table in activity if is_not_kept_up(table)]),
        horizon=horizon,
        bloat=bloat,
        unread=unread,
        toast={one.table: one.oid for one in shapes.toast},
        upkeep=upkeep,
        needless=await needless_indexes(reader),
        drifts=drifting,
        check_obstacle=(await amcheck(reader)).obstacle,
        counters_reset_at=reset_at,
        counts_nothing=counts_nothing,
        xid_age=xid_age,
        multixact_age=multixact_age,
        invalid_databases=[name for (name,) in await reader.rows(query("invalid_databases"), row=(str,))],
        is_standby=reader.server.is_standby,
        old_neighbors=dict(await reader.rows(query("old_neighbors"), [oldest], row=(str, bool))),
        left_by_pg_repack=await repack_client.leftovers(reader),
    )


async def collect_needs(reader: Reader, limits: Thresholds = DEFAULT_THRESHOLDS, *, budget: float = 0.0) -> Condition:
    """Collect only what `needs` uses, for tables and indexes that may need something. `budget`: see above.

    Raises TargetError.
    """
    (sees_all,) = await reader.row(query("reads_statistics"), row=(bool,))
    shapes = await _index_shapes(reader, await xmin_horizon.read(reader), sees_all)
    # Later: deletes that are reported between the two reads must not ask for a rebuild without a VACUUM before it.
    activity = [table for table in await _activity(reader, sees_all) if may_need_something(table, limits)]
    least = limits.index_bloat_share
    known, _ = await bloat_of(reader, shapes, limits)
    extensions = dict(await reader.rows(query("extensions"), row=(str, str)))
    if "pgstattuple" in extensions:
        known |= await measured_within(reader, quote(extensions["pgstattuple"]), known, shapes, limits, budget)
    bloat = {oid: one for oid, one in known.items() if one.share >= least}
    drifting = await drifts(reader)
    upkeep = [one for one in await index_upkeep(reader) if one.waiting >= min(limits.pending_list, limits.uncovered)]
    indexes = await reader.indexes_by_oid_or_invalid(_concerned(drifting, upkeep, bloat))
    left = await repack_client.leftovers(reader)
    wanted = {table.oid for table in activity} | {index.table_oid for index in indexes} | left
    return Condition(
        tables=await reader.tables_by_oid(wanted),
        indexes=indexes,
        activity=activity,
        bloat=bloat,
        upkeep=upkeep,
        drifts=drifting,
        left_by_pg_repack=left,
    )


async def collect_autovacuum(reader: Reader) -> tuple[autovacuum.Autovacuum, XminHorizon, Mapping[str, bool], str]:
    """How autovacuum does, who keeps dead rows, the tables that it should have vacuumed long ago (names, and
    whether it is on for each), and why these are unknown. Raises TargetError.
    """
    (sees_all,) = await reader.row(query("reads_statistics"), row=(bool,))
    _, counts_nothing, _, _ = await reader.row(query("counters"), row=(datetime | None, str, int, int))
    activity = await _activity(reader, sees_all)
    overdue = {table.oid: table.has_autovacuum for table in activity if is_not_kept_up(table)}
    lost = {table.oid for table in activity if has_lost_counts(table)}
    state, horizon = await autovacuum.read(reader, overdue), await xmin_horizon.read(reader)
    tables = await reader.tables_by_oid(lost.union(overdue)) if overdue or lost else []
    unknown = counts_nothing or dead_rows_unknown([table.shown for table in tables if table.oid in lost])
    return state, horizon, {table.shown: overdue[table.oid] for table in tables if table.oid in overdue}, unknown


async def dead_bytes(reader: Reader) -> Mapping[int, int]:
    """The dead space of each table with its TOAST table, by the table's oid, where statistics tell it.

    Space that the last VACUUM freed may be in use again: the rows are those that the server counts now.
    Raises TargetError.
    """
    (sees_all,) = await reader.row(query("reads_statistics"), row=(bool,))
    live = dict(await reader.rows(query("live_rows"), row=(int, float)))
    found: dict[int, int] = {}
    for row in await _shapes(reader, TableShape, "table_shapes", sees_all):
        table = TableShape(*row)
        now = replace(table, rows=max(table.rows, live.get(table.oid, 0.0)))
        found[table.oid] = round(table_share(now) * table.pages) * PAGE
    for row in await _shapes(reader, ToastShape, "toast_shapes", sees_all):
        toast = ToastShape(*row)
        share = toast_share(replace(toast, chunks=max(toast.chunks, live.get(toast.oid, 0.0))))
        found[toast.table] = found.get(toast.table, 0) + round(share * toast.pages) * PAGE
    return found


def _concerned(
    drifting: Sequence[CollationDrift], upkeep: Sequence[IndexUpkeep], bloat: Collection[int]
) -> Collection[int]:
    """The oids of the indexes that may need something, besides the invalid ones."""
    return {oid for drift in drifting for oid in drift.indexes}.union(bloat, (one.index for one in upkeep))


async def with_damaged_indexes(reader: Reader, condition: Condition, names: Collection[str]) -> Condition:
    """Add these indexes, by their shown names. Raises TargetError."""
    missing = set(names) - {index.shown for index in condition.indexes}
    if not missing:
        return condition
    indexes = await reader.rows(query("index_names"), row=(int, str, str))
    found = {oid for oid, schema, name in indexes if shown(schema, name) in missing}
    known = {index.oid for index in condition.indexes}
    more = [index for index in await reader.indexes_by_oid_or_invalid(found) if index.oid not in known]
    tables = {index.table_oid for index in more} - {table.oid for table in condition.tables}
    return replace(
        condition,
        indexes=[*condition.indexes, *more],
        tables=[*condition.tables, *(await reader.tables_by_oid(tables) if tables else ())],
    )


async def _activity(reader: Reader, sees_all: bool) -> list[Activity]:
    counted = query("activity", before_14=reader.server.version < 140_000, reads_statistics=sees_all)
    return [Activity(*row) for row in await reader.rows(counted, row=Activity)]


async def _index_shapes(reader: Reader, horizon: XminHorizon, sees_all: bool) -> Shapes:
    toast = [ToastShape(*row) for row in await _shapes(reader, ToastShape, "toast_shapes", sees_all)]
    return Shapes(
        trees=[*await _trees(reader, horizon, sees_all), *(one.tree for one in toast)],
        toast=toast,
        others=await _others(reader, horizon, sees_all),
        hashes=[HashShape(*row) for row in await _shapes(reader, HashShape, "hash_shapes", sees_all)],
    )


async def _trees(reader: Reader, horizon: XminHorizon, sees_all: bool) -> list[TreeShape]:
    """B-trees as the VACUUM before a rebuild leaves them, unless a session keeps it from removing dead rows."""
    trees = [TreeShape(*row) for row in await _shapes(reader, TreeShape, "tree_shapes", sees_all)]
    return trees if _is_held(horizon) else [tree.after_vacuum for tree in trees]


async def _others(reader: Reader, horizon: XminHorizon, sees_all: bool) -> list[IndexShape]:
    """GIN, GiST and SP-GiST; see `_trees`."""
    found = [IndexShape(*row) for row in await _shapes(reader, IndexShape, "index_shapes", sees_all)]
    return [replace(index, share_left=1.0) for index in found] if _is_held(horizon) else found


def _is_held(horizon: XminHorizon) -> bool:
    return any(holder.is_old for holder in horizon.holders)


async def _shapes(reader: Reader, row: Shape, name: str, sees_all: bool) -> list[tuple[Any, ...]]:
    return await reader.rows(query(name, least=LEAST_PAGES, reads_statistics=sees_all), row=row)
