"""Collects the condition of a database with a few queries; measures bloat only on request."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import psycopg

from engine.domain.errors import TargetError
from engine.targets.answer_shapes import Shape
from engine.targets.postgres.advising.bloat import table_share, tree_share
from engine.targets.postgres.advising.findings import TREE_SHARE, may_need_something
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.names import quote, shown
from engine.targets.postgres.reading import condition as queries
from engine.targets.postgres.reading import xmin_horizon
from engine.targets.postgres.reading.amcheck import amcheck
from engine.targets.postgres.reading.collations import drifts
from engine.targets.postgres.reading.condition import Activity, Condition, Duplicate, TableShape, TreeShape
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.xmin_horizon import XminHorizon

SUSPICIOUS: Final = 0.2
"""The estimated share of dead space from which on measuring is worth it."""
_EXTENSIONS: Final = """
SELECT e.extname, n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname IN ('amcheck', 'pgstattuple')
"""
_INDEX_NAMES: Final = """
SELECT i.oid::int8, n.nspname, i.relname FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_namespace AS n ON n.oid = i.relnamespace
"""

_WITHOUT_LIMIT: Final = "SELECT pg_catalog.set_config('statement_timeout', '0', false)"


async def collect_condition(reader: Reader, *, thorough: bool = False) -> Condition:
    """`thorough`: measure bloat with pgstattuple, if installed. It reads whole tables and indexes.

    Raises TargetError.
    """
    (sees_all,) = await reader.row(queries.READS_STATISTICS, row=(bool,))
    reset_at, counts_nothing, xid_age, multixact_age = await reader.row(
        queries.COUNTERS, row=(datetime | None, str, int, int)
    )
    extensions = dict(await reader.rows(_EXTENSIONS, row=(str, str)))
    tables = [TableShape(*row) for row in await _shapes(reader, TableShape, queries.TABLE_SHAPES, sees_all)]
    horizon = await xmin_horizon.read(reader)
    trees = await _trees(reader, horizon, sees_all)
    density: dict[int, float] = {}
    free: dict[int, float] = {}
    if thorough and "pgstattuple" in extensions:
        schema = quote(extensions["pgstattuple"])
        async with reader.alone() as connection:  # without a limit of time
            with connection.within(None):
                await connection.rows(_WITHOUT_LIMIT, row=(str,))
                density = await _densities(connection, schema, trees)
                free = await _free_shares(connection, schema, tables)
    return Condition(
        tables=await reader.tables(),
        indexes=await reader.indexes(),
        activity=await _activity(reader, sees_all),
        horizon=horizon,
        table_shapes=tables,
        tree_shapes=trees,
        duplicates=[Duplicate(*row) for row in await reader.rows(queries.DUPLICATES, row=Duplicate)],
        drifts=await drifts(reader),
        density=density,
        free_share=free,
        check_obstacle=(await amcheck(reader))[1],
        counters_reset_at=reset_at,
        counts_nothing=counts_nothing,
        xid_age=xid_age,
        multixact_age=multixact_age,
    )


async def collect_needs(reader: Reader) -> Condition:
    """Collect only what `needs` uses, for tables and indexes that may need something.

    Raises TargetError.
    """
    (sees_all,) = await reader.row(queries.READS_STATISTICS, row=(bool,))
    activity = [table for table in await _activity(reader, sees_all) if may_need_something(table)]
    trees = await _trees(reader, await xmin_horizon.read(reader), sees_all)
    trees = [tree for tree in trees if (tree_share(tree) or 0.0) >= TREE_SHARE]
    drifting = await drifts(reader)
    wanted = {oid for drift in drifting for oid in drift.indexes}.union(tree.oid for tree in trees)
    indexes = await reader.indexes_by_oid_or_invalid(wanted)
    wanted = {table.oid for table in activity} | {index.table_oid for index in indexes}
    return Condition(
        tables=await reader.tables_by_oid(wanted),
        indexes=indexes,
        activity=activity,
        tree_shapes=trees,
        drifts=drifting,
    )


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


async def _trees(reader: Reader, horizon: XminHorizon, sees_all: bool) -> list[TreeShape]:
    """As the VACUUM leaves them that comes before a rebuild, unless a session keeps it from removing dead rows."""
    trees = [TreeShape(*row) for row in await _shapes(reader, TreeShape, queries.TREE_SHAPES, sees_all)]
    is_held = any(holder.is_old for holder in horizon.holders)
    return trees if is_held else [tree.after_vacuum for tree in trees]


async def _shapes(reader: Reader, row: Shape, query: str, sees_all: bool) -> list[tuple[Any, ...]]:
    return await reader.rows(queries.shapes_query(query, reads_statistics=sees_all), row=row)


async def _densities(connection: Connection, schema: str, trees: list[TreeShape]) -> dict[int, float]:
    found = {}
    for tree in trees:
        share = tree_share(tree)
        if share is None or share >= SUSPICIOUS:
            query = f"SELECT avg_leaf_density FROM {schema}.pgstatindex({tree.oid}::oid::regclass)"
            with contextlib.suppress(psycopg.Error, TargetError):  # without the right to read it, the estimate stays
                found[tree.oid] = (await connection.row(query, row=(float,)))[0]
    return found


async def _free_shares(connection: Connection, schema: str, tables: list[TableShape]) -> dict[int, float]:
    found = {}
    for table in tables:
        if table_share(table) >= SUSPICIOUS:
            query = (
                "SELECT (dead_tuple_percent + approx_free_percent) / 100"
                f" FROM {schema}.pgstattuple_approx({table.oid}::oid::regclass)"
            )
            with contextlib.suppress(psycopg.Error, TargetError):
                found[table.oid] = (await connection.row(query, row=(float,)))[0]
    return found
