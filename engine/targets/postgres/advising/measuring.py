"""Bloat measured by the extension pgstattuple, which reads whole tables and indexes.

Without the right to use it, or where it takes too long, estimates stay.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import psycopg

from engine.domain.errors import TargetError
from engine.domain.thresholds import Thresholds
from engine.targets.postgres.advising.bloat import gist_share
from engine.targets.postgres.advising.page_contents import gist_rows_of
from engine.targets.postgres.advising.sampling import Shapes
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.reading.condition import Bloat
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.shapes import IndexShape, TableShape, TreeShape

SUSPICIOUS: Final = 0.2
"""The estimated share of dead space from which on measuring is worth it."""
READ_IN_A_SECOND: Final = 100_000_000
"""Bytes. An index that would take longer than there is time is not begun."""
_LIMIT: Final = "SELECT pg_catalog.current_setting('statement_timeout')"
_SET_LIMIT: Final = "SELECT pg_catalog.set_config('statement_timeout', %s, false)"


async def measured(
    reader: Reader, schema: str, known: Mapping[int, Bloat], shapes: Shapes, tables: Sequence[TableShape]
) -> dict[int, Bloat]:
    """Measure all that is unknown, or may have much dead space and was only estimated, however long it takes.

    `schema`: where the extension is, quoted. Raises TargetError.
    """
    free = "SELECT (dead_tuple_percent + approx_free_percent) / 100 FROM {}.pgstattuple_approx({}::oid::regclass)"
    found = {}
    async with _limit_restored(reader) as connection:
        await connection.rows(_SET_LIMIT, ["0"], row=(str,))
        with connection.within(None):
            for tree in shapes.trees:
                if (
                    _is_worth_it(known.get(tree.oid))
                    and (share := await _index_share(connection, schema, tree)) is not None
                ):
                    found[tree.oid] = Bloat(tree.pages, share, is_measured=True)
            heaps = [*((table.oid, table.pages) for table in tables), *((one.oid, one.pages) for one in shapes.toast)]
            for oid, pages in heaps:
                if _is_worth_it(known.get(oid)):
                    with contextlib.suppress(psycopg.Error, TargetError):
                        (share,) = await connection.row(free.format(schema, oid), row=(float,))
                        found[oid] = Bloat(pages, max(share, 0.0), is_measured=True)
            for index in _gist(shapes, known):
                if (share := await _index_share(connection, schema, index)) is not None:
                    found[index.oid] = Bloat(index.pages, share, is_measured=True)
    return found


async def measured_within(
    reader: Reader,
    schema: str,
    known: Mapping[int, Bloat],
    shapes: Shapes,
    limits: Thresholds,
    seconds: float,
) -> dict[int, Bloat]:
    """Measure only indexes that statistics do not tell of and that may be over the limits, in so much time.

    Raises TargetError.
    """
    indexes = [tree for tree in shapes.trees if _is_open(known.get(tree.oid), limits)] + [*_gist(shapes, known)]
    most = seconds * READ_IN_A_SECOND
    indexes = [index for index in indexes if limits.index_bloat <= index.pages * PAGE <= most]
    if not indexes:
        return {}
    until = time.monotonic() + seconds
    found = {}
    async with _limit_restored(reader) as connection:
        for index in sorted(indexes, key=lambda index: -index.pages):
            left = round(1000 * (until - time.monotonic()))
            if left <= 0 or connection.closed:
                break
            await connection.rows(_SET_LIMIT, [str(left)], row=(str,))
            if (share := await _index_share(connection, schema, index)) is not None:
                found[index.oid] = Bloat(index.pages, share, is_measured=True)
    return found


@contextlib.asynccontextmanager
async def _limit_restored(reader: Reader) -> AsyncIterator[Connection]:
    """A connection whose time limit of statements may be set inside. Raises TargetError."""
    with reader.telling():
        async with reader.alone() as connection:
            (usual,) = await connection.row(_LIMIT, row=(str,))
            yield connection
            if not connection.closed:
                await connection.rows(_SET_LIMIT, [usual], row=(str,))


def _is_worth_it(estimate: Bloat | None) -> bool:
    return estimate is None or (estimate.share_at_most >= SUSPICIOUS and not estimate.is_measured)


def _is_open(estimate: Bloat | None, limits: Thresholds) -> bool:
    if estimate is None:
        return True
    return not estimate.is_measured and estimate.share < limits.index_bloat_share <= estimate.share_at_most


def _gist(shapes: Shapes, known: Mapping[int, Bloat]) -> Sequence[IndexShape]:
    return [index for index in shapes.others if index.method == "gist" and index.oid not in known]


async def _index_share(connection: Connection, schema: str, index: TreeShape | IndexShape) -> float | None:
    """The dead space of a B-tree or of a GiST index; None if it cannot be measured."""
    what = f"{index.oid}::oid::regclass"
    with contextlib.suppress(psycopg.Error, TargetError):
        if isinstance(index, TreeShape):
            density = f"SELECT 1 - avg_leaf_density / {100 * index.fill_factor} FROM {schema}.pgstatindex({what})"
            (share,) = await connection.row(density, row=(float,))
            return max(float(share), 0.0)
        query = f"SELECT tuple_count::float8, tuple_len::float8 FROM {schema}.pgstattuple({what})"
        number, size = await connection.row(query, row=(float, float))
        rows = gist_rows_of(round(number), round(size))
        return None if rows is None else gist_share(index, rows)
    return None
