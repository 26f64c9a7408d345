"""Collects the condition of a database with a few queries; measures bloat only on request."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import psycopg

from engine.domain.errors import TargetError
from engine.domain.thresholds import DEFAULT_THRESHOLDS, MOST_IDS, Thresholds
from engine.targets.answer_shapes import Shape
from engine.targets.postgres.advising.bloat import gist_share, table_share
from engine.targets.postgres.advising.findings import (
    dead_rows_unknown,
    has_lost_counts,
    is_not_kept_up,
    may_need_something,
)
from engine.targets.postgres.advising.page_contents import gist_rows_of
from engine.targets.postgres.advising.sampling import Shapes, bloat_of
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.names import quote, shown
from engine.targets.postgres.reading import autovacuum, repack_client, xmin_horizon
from engine.targets.postgres.reading import condition as queries
from engine.targets.postgres.reading import shapes as shape_queries
from engine.targets.postgres.reading.amcheck import amcheck
from engine.targets.postgres.reading.collations import CollationDrift, drifts
from engine.targets.postgres.reading.condition import Activity, Bloat, Condition
from engine.targets.postgres.reading.index_upkeep import IndexUpkeep, index_upkeep
from engine.targets.postgres.reading.needless_indexes import needless_indexes
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.shapes import LEAST_PAGES, HashShape, IndexShape, TableShape, ToastShape, TreeShape
from engine.targets.postgres.reading.xmin_horizon import XminHorizon

_EXTENSIONS: Final = """
SELECT e.extname, n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname IN ('amcheck', 'pgstattuple')
"""
_INDEX_NAMES: Final = """
SELECT i.oid::int8, n.nspname, i.relname FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_namespace AS n ON n.oid = i.relnamespace
"""

_LARGE_INDEXES: Final = f"SELECT oid::int8 FROM pg_class WHERE relkind = 'i' AND relpages >= {LEAST_PAGES}"
_WITHOUT_LIMIT: Final = "SELECT pg_catalog.set_config('statement_timeout', '0', false)"


SUSPICIOUS: Final = 0.2
"""The estimated share of dead space from which on measuring is worth it."""


async def collect_condition(
    reader: Reader, limits: Thresholds = DEFAULT_THRESHOLDS, *, thorough: bool = False
) -> Condition:
    """`thorough`: measure bloat with pgstattuple, if installed. It reads whole tables and indexes.

    Raises TargetError.
    """
    (sees_all,) = await reader.row(queries.READS_STATISTICS, row=(bool,))
    reset_at, counts_nothing, xid_age, multixact_age = await reader.row(
        queries.COUNTERS, row=(datetime | None, str, int, int)
    )
    oldest = round(limits.age_critical * MOST_IDS)
    extensions = dict(await reader.rows(_EXTENSIONS, row=(str, str)))
    tables = [TableShape(*row) for row in await _shapes(reader, TableShape, shape_queries.TABLE_SHAPES, sees_all)]
    horizon = await xmin_horizon.read(reader)
    shapes = await _index_shapes(reader, horizon, sees_all)
    bloat = {table.oid: Bloat(table.pages, table_share(table)) for table in tables}
    known, unread = await bloat_of(reader, shapes, limits)
    bloat |= known
    drifting = await drifts(reader)
    upkeep = [one for one in await index_upkeep(reader) if one.waiting]
    large = {oid for (oid,) in await reader.rows(_LARGE_INDEXES, row=(int,))}  # their bloat may be unknown
    wanted = large.union(_concerned(drifting, upkeep, bloat))
    if thorough and "pgstattuple" in extensions:
        schema = quote(extensions["pgstattuple"])
        async with reader.alone() as connection:  # without a limit of time
            with connection.within(None):
                await connection.rows(_WITHOUT_LIMIT, row=(str,))
                bloat |= await _measured(connection, schema, bloat, shapes, tables)
    activity = await _activity(reader, sees_all)
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
        check_obstacle=(await amcheck(reader))[1],
        counters_reset_at=reset_at,
        counts_nothing=counts_nothing,
        xid_age=xid_age,
        multixact_age=multixact_age,
        old_neighbors=dict(await reader.rows(queries.OLD_NEIGHBORS, [oldest], row=(str, bool))),
        left_by_pg_repack=await repack_client.leftovers(reader),
    )


async def collect_needs(reader: Reader, limits: Thresholds = DEFAULT_THRESHOLDS) -> Condition:
    """Collect only what `needs` uses, for tables and indexes that may need something.

    Raises TargetError.
    """
    (sees_all,) = await reader.row(queries.READS_STATISTICS, row=(bool,))
    activity = [table for table in await _activity(reader, sees_all) if may_need_something(table, limits)]
    shapes = await _index_shapes(reader, await xmin_horizon.read(reader), sees_all)
    least = limits.index_bloat_share
    known, _ = await bloat_of(reader, shapes, limits)
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
    (sees_all,) = await reader.row(queries.READS_STATISTICS, row=(bool,))
    _, counts_nothing, _, _ = await reader.row(queries.COUNTERS, row=(datetime | None, str, int, int))
    activity = await _activity(reader, sees_all)
    overdue = {table.oid: table.has_autovacuum for table in activity if is_not_kept_up(table)}
    lost = {table.oid for table in activity if has_lost_counts(table)}
    state, horizon = await autovacuum.read(reader, overdue), await xmin_horizon.read(reader)
    tables = await reader.tables_by_oid(lost.union(overdue)) if overdue or lost else []
    unknown = counts_nothing or dead_rows_unknown([table.shown for table in tables if table.oid in lost])
    return state, horizon, {table.shown: overdue[table.oid] for table in tables if table.oid in overdue}, unknown


async def dead_shares(reader: Reader) -> Mapping[int, float]:
    """The share of each table that is dead space, by oid, where statistics tell it. Raises TargetError."""
    (sees_all,) = await reader.row(queries.READS_STATISTICS, row=(bool,))
    shapes = await _shapes(reader, TableShape, shape_queries.TABLE_SHAPES, sees_all)
    return {table.oid: table_share(table) for table in (TableShape(*row) for row in shapes)}


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
    indexes = await reader.rows(_INDEX_NAMES, row=(int, str, str))
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
    query = queries.activity_query(reads_statistics=sees_all)
    return [Activity(*row) for row in await reader.rows(query, row=Activity)]


async def _index_shapes(reader: Reader, horizon: XminHorizon, sees_all: bool) -> Shapes:
    toast = [ToastShape(*row) for row in await _shapes(reader, ToastShape, shape_queries.TOAST_SHAPES, sees_all)]
    return Shapes(
        trees=[*await _trees(reader, horizon, sees_all), *(one.tree for one in toast)],
        toast=toast,
        others=[IndexShape(*row) for row in await _shapes(reader, IndexShape, shape_queries.INDEX_SHAPES, sees_all)],
        hashes=[HashShape(*row) for row in await _shapes(reader, HashShape, shape_queries.HASH_SHAPES, sees_all)],
    )


async def _trees(reader: Reader, horizon: XminHorizon, sees_all: bool) -> list[TreeShape]:
    """B-trees as the VACUUM before a rebuild leaves them, unless a session keeps it from removing dead rows."""
    trees = [TreeShape(*row) for row in await _shapes(reader, TreeShape, shape_queries.TREE_SHAPES, sees_all)]
    is_held = any(holder.is_old for holder in horizon.holders)
    return trees if is_held else [tree.after_vacuum for tree in trees]


async def _shapes(reader: Reader, row: Shape, query: str, sees_all: bool) -> list[tuple[Any, ...]]:
    return await reader.rows(shape_queries.shapes_query(query, reads_statistics=sees_all), row=row)


async def _measured(
    connection: Connection, schema: str, known: Mapping[int, Bloat], shapes: Shapes, tables: Sequence[TableShape]
) -> dict[int, Bloat]:
    """Bloat measured by pgstattuple, which reads whole tables and indexes; without the right, the estimates stay."""
    density = "SELECT 1 - avg_leaf_density / {} FROM {}.pgstatindex({}::oid::regclass)"
    free = "SELECT (dead_tuple_percent + approx_free_percent) / 100 FROM {}.pgstattuple_approx({}::oid::regclass)"
    rows = "SELECT tuple_count::float8, tuple_len::float8 FROM {}.pgstattuple({}::oid::regclass)"
    queries = {
        tree.oid: (tree.pages, density.format(100 * tree.fill_factor, schema, tree.oid)) for tree in shapes.trees
    }
    heaps = [*((table.oid, table.pages) for table in tables), *((one.oid, one.pages) for one in shapes.toast)]
    queries |= {oid: (pages, free.format(schema, oid)) for oid, pages in heaps}
    found = {}
    for oid, (pages, query) in queries.items():
        estimate = known.get(oid)
        if estimate is None or (estimate.share_at_most >= SUSPICIOUS and not estimate.is_measured):
            with contextlib.suppress(psycopg.Error, TargetError):
                (share,) = await connection.row(query, row=(float,))
                found[oid] = Bloat(pages, max(share, 0.0), is_measured=True)
    for index in shapes.others:
        if index.method == "gist" and index.oid not in known:
            with contextlib.suppress(psycopg.Error, TargetError):
                number, size = await connection.row(rows.format(schema, index.oid), row=(float, float))
                if on_pages := gist_rows_of(round(number), round(size)):
                    found[index.oid] = Bloat(index.pages, gist_share(index, on_pages), is_measured=True)
    return found
