"""Indexes that may not be needed: a DBA decides about them, and nothing here drops any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import LEFTOVER


@frozen
class Duplicate:
    """An index that does the same as another."""

    schema: str
    name: str
    same_as: str
    bytes: int


@frozen
class UnusedIndex:
    """An index that no query has used since the server counts uses."""

    schema: str
    name: str
    bytes: int
    since: datetime
    """When the server began to count the uses of the index."""
    counted_for: float
    """The seconds for which the server has counted."""


@frozen(kw_only=True)
class NeedlessIndexes:
    duplicates: Sequence[Duplicate] = ()
    prefixes: Sequence[Duplicate] = ()
    """Indexes whose keys are the first keys of another index."""
    unused: Sequence[UnusedIndex] = ()


NONE_NEEDLESS: Final = NeedlessIndexes()

_OF_USERS: Final = "i.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)"
# Of thousands of indexes few share their first key: comparing only these saves most of the time.
_SHARES_FIRST_KEY: Final = """(x.indrelid, x.indkey[0]) IN (
        SELECT o.indrelid, o.indkey[0] FROM pg_index AS o GROUP BY 1, 2 HAVING count(*) > 1)"""
# A unique index is replaced by none that lets more through: before PostgreSQL 15 NULLs are always distinct. One that
# belongs to a constraint, that a foreign key refers to, that identifies rows for replication or that is part of a
# partitioned index is not to be dropped at all.
_DUPLICATES: Final = rf"""
WITH each AS (
    SELECT x.indexrelid, x.indrelid, x.indisunique, x.indimmediate, i.relname, i.relnamespace, i.relpages, is_needed,
        CASE WHEN x.indisunique THEN to_jsonb(x) ->> 'indnullsnotdistinct' END AS nulls,
        ROW(i.relam, x.indkey::text, x.indclass::text, x.indcollation::text, x.indoption::text, x.indnkeyatts,
            pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid))::text AS does,
        row_number() OVER (PARTITION BY x.indrelid
            ORDER BY is_needed DESC, x.indisunique DESC, i.relname ~ '{LEFTOVER}', x.indexrelid) AS place
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    CROSS JOIN LATERAL (SELECT x.indisreplident OR i.relispartition
        OR x.indexrelid IN (SELECT k.conindid FROM pg_constraint AS k)) AS one (is_needed)
    WHERE x.indisvalid AND i.relkind = 'i' AND {_OF_USERS} AND {_SHARES_FIRST_KEY}),
found AS (
    SELECT DISTINCT ON (x.indexrelid) x.*, kept.relname AS kept
    FROM each AS x JOIN each AS kept
        ON kept.indrelid = x.indrelid AND kept.does = x.does AND kept.place < x.place
        AND (NOT x.indisunique OR kept.indisunique AND kept.indimmediate AND kept.nulls IS NOT DISTINCT FROM x.nulls)
    WHERE NOT x.is_needed ORDER BY x.indexrelid, kept.place)
SELECT n.nspname, found.relname, found.kept, found.relpages::int8 * current_setting('block_size')::int8
FROM found JOIN pg_namespace AS n ON n.oid = found.relnamespace
WHERE n.nspname !~ '^(pg_|information_schema$)' ORDER BY 4 DESC, 1, 2
"""
_HAS_A_TASK: Final = """x.indisunique OR x.indisexclusion OR x.indisreplident OR i.relispartition
    OR x.indexrelid IN (SELECT k.conindid FROM pg_constraint AS k)"""
_PREFIXES: Final = f"""
WITH each AS (
    SELECT x.indexrelid, x.indrelid, x.indnatts, i.relname, i.relnamespace, i.relpages,
        {_HAS_A_TASK} AS has_a_task, pg_get_expr(x.indpred, x.indrelid) AS only,
        ARRAY(SELECT ROW(one.*)::text FROM unnest(x.indkey::int2[], x.indclass::oid[], x.indcollation::oid[],
            x.indoption::int2[]) WITH ORDINALITY AS one WHERE one.ordinality <= x.indnkeyatts
            ORDER BY one.ordinality) AS keys
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
    WHERE x.indisvalid AND i.relkind = 'i' AND am.amname = 'btree' AND x.indexprs IS NULL AND {_OF_USERS}
        AND {_SHARES_FIRST_KEY}),
found AS (
    SELECT DISTINCT ON (short.indexrelid) short.*, long.relname AS kept
    FROM each AS short JOIN each AS long ON long.indrelid = short.indrelid
        AND cardinality(long.keys) > cardinality(short.keys)
        AND long.keys[1:cardinality(short.keys)] = short.keys AND long.only IS NOT DISTINCT FROM short.only
    WHERE NOT short.has_a_task AND short.indnatts = cardinality(short.keys)
    ORDER BY short.indexrelid, long.relpages, long.indexrelid)
SELECT n.nspname, found.relname, found.kept, found.relpages::int8 * current_setting('block_size')::int8
FROM found JOIN pg_namespace AS n ON n.oid = found.relnamespace
WHERE n.nspname !~ '^(pg_|information_schema$)' ORDER BY 4 DESC, 1, 2
"""
# A standby counts what its own queries use. A crash removes all counters; only the counters of the archiver tell when.
_UNUSED: Final = f"""
SELECT n.nspname, i.relname, i.relpages::int8 * current_setting('block_size')::int8, since,
    extract(epoch FROM clock_timestamp() - since)::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = i.relnamespace
CROSS JOIN (SELECT coalesce(greatest(d.stats_reset, a.stats_reset), clock_timestamp())
    FROM pg_stat_database AS d CROSS JOIN pg_stat_archiver AS a WHERE d.datname = current_database()) AS counted (since)
WHERE x.indisvalid AND i.relkind = 'i' AND i.relpersistence <> 't' AND i.relpages >= 128
    AND pg_stat_get_numscans(i.oid) = 0 AND NOT ({_HAS_A_TASK}) AND n.nspname !~ '^(pg_|information_schema$)'
    AND current_setting('track_counts')::bool
ORDER BY 3 DESC, 1, 2
"""


async def needless_indexes(reader: Reader) -> NeedlessIndexes:
    """Raises TargetError."""
    return NeedlessIndexes(
        duplicates=[Duplicate(*row) for row in await reader.rows(_DUPLICATES, row=Duplicate)],
        prefixes=[Duplicate(*row) for row in await reader.rows(_PREFIXES, row=Duplicate)],
        unused=[UnusedIndex(*row) for row in await reader.rows(_UNUSED, row=UnusedIndex)],
    )
