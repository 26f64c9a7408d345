"""Tables and indexes as the catalog has them, without a lock on any of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import Named, shown

LEFTOVER: Final = r"_cc(new|old)[0-9]*$"
"""The suffix of an index that a failed REINDEX CONCURRENTLY leaves behind."""
OLD: Final = r"_ccold[0-9]*$"
"""The suffix of the old index, where a failed REINDEX CONCURRENTLY leaves that behind."""


@frozen
class Table(Named):
    """A table, a materialized view, or a partitioned table, which has no rows of its own."""

    oid: int
    schema: str
    name: str
    kind: str
    """`r`, `m` or `p`; `f` where a foreign table was named."""
    pages: int
    """Pages of table and TOAST table, by the last VACUUM or ANALYZE; measured if there was none."""
    rows: float
    index_pages: int
    indexes: int
    in_catalog: bool
    has_children: bool
    may_be_maintained: bool
    clustered_by: str | None
    dead_rows: int = 0
    """Dead rows, as far as the server has counted them."""
    visible_share: float = 0.0
    """The share of all-visible pages, by the last VACUUM or ANALYZE."""
    is_counted: bool = True
    """Whether the server knows its number of dead rows: not after a crash or a reset of counters."""
    toast_pages: int | None = None
    """None where it has no TOAST table."""

    @property
    def dead_share(self) -> float:
        return self.dead_rows / (self.rows + self.dead_rows) if self.dead_rows else 0.0

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def is_foreign(self) -> bool:
        return self.kind == "f"


@frozen
class Index(Named):
    """An index of a table or of its TOAST table."""

    oid: int
    schema: str
    name: str
    table_oid: int
    table_schema: str
    table: str
    """The owning table of a TOAST index."""
    pages: int
    table_pages: int
    method: str
    is_valid: bool
    is_exclusion: bool
    of_toast: bool
    is_leftover: bool
    in_catalog: bool
    may_be_maintained: bool
    sorts_text: bool = False
    """Whether its first key is compared by the rules of a language."""
    goes_with_its_table: bool = False
    """Whether this is a TOAST index that the role may rebuild only together with its table, as it may not name it."""
    is_unique: bool = False
    is_ready: bool = True
    """Whether writes maintain it."""
    rows: float = 0.0
    """The rows in it, by the catalog: for GIN, which counts words after a rebuild, those of its table. 0 or less where
    they are not known yet, as of an index as old as its table before VACUUM or ANALYZE."""

    @property
    def is_counted(self) -> bool:
        """Whether the catalog knows of rows in it."""
        return self.rows > 0

    @property
    def is_estimated(self) -> bool:
        """Whether statistics tell how large it should be."""
        return self.method in {"btree", "hash"}

    @property
    def could_not_be_built(self) -> bool:
        """Whether a rebuild would fail again because of duplicates."""
        return self.is_unique and not (self.is_valid or self.is_leftover or self.of_toast)

    @property
    def table_shown(self) -> str:
        return shown(self.table_schema, self.table)


@frozen
class PartitionedIndex(Named):
    """An index of a partitioned table: a name for those of its partitions."""

    oid: int
    schema: str
    name: str
    table_schema: str
    table: str
    leaves: Sequence[int]
    """Oids of the indexes that have entries."""

    @property
    def table_shown(self) -> str:
        return shown(self.table_schema, self.table)


_PAGES: Final = "{0}.relpages::int8"
_OF_PG_REPACK: Final = """({}.nspname = 'repack' AND {}.relname ~ '^(log|table)_[0-9]+$'
    AND EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_repack'))"""
"""Whether it is the log or the copy of a table, which pg_repack makes for its work."""
# A table that was never vacuumed or analyzed has relpages 0; its real size cannot be read while it is locked.
NOT_LOCKED: Final = """{0}.oid <> ALL (ARRAY(SELECT l.relation FROM pg_locks AS l
        WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
            AND l.database IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))))"""
# Measuring thousands is slow. A reset or a crash removes the time of the last VACUUM, with the other counters.
_STILL_EMPTY: Final = """{0}.reltuples = 0 AND {0}.relpages = 0 AND pg_stat_get_ins_since_vacuum({0}.oid) = 0
        AND coalesce(pg_stat_get_last_vacuum_time({0}.oid), pg_stat_get_last_autovacuum_time({0}.oid)) IS NOT NULL"""
MEASURED_PAGES: Final = f"""CASE
    WHEN {{0}}.relpages > 0 AND {{0}}.reltuples > 0 OR {_STILL_EMPTY} OR NOT ({NOT_LOCKED})
    THEN {{0}}.relpages::int8
    ELSE coalesce(pg_relation_size({{0}}.oid) / current_setting('block_size')::int8, {{0}}.relpages) END"""

_MAY: Final = "(current_setting('is_superuser')::bool OR has_table_privilege({}.oid, 'MAINTAIN'))"
_MAY_BEFORE_17: Final = """(pg_has_role({}.relowner, 'USAGE') OR NOT {}.relisshared
    AND pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE'))"""

# Before PostgreSQL 14, a table that was never vacuumed or analyzed has 0 rows by the catalog; from then on -1.
_IS_COUNTED: Final = "coalesce(pg_stat_get_live_tuples(c.oid), 0) >= abs(c.reltuples)"
_IS_COUNTED_BEFORE_14: Final = f"""({_IS_COUNTED} AND (c.relpages > 0 OR pg_stat_get_live_tuples(c.oid) > 0
        OR coalesce(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL))"""

TABLES: Final = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, {pages c} + coalesce({pages toast}, 0),
    greatest(c.reltuples, 0)::float8, coalesce(own.pages, 0)::int8, coalesce(own.indexes, 0)::int4,
    n.nspname IN ('pg_catalog', 'information_schema'), c.relhassubclass, {may}, own.clustered_by,
    coalesce(pg_stat_get_dead_tuples(c.oid), 0)::int8,
    coalesce(c.relallvisible::float8 / nullif(c.relpages, 0), 0),
    {is counted}, toast.relpages::int8
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
LEFT JOIN (
    SELECT x.indrelid, sum({pages i}) AS pages, count(*) AS indexes,
        max(i.relname) FILTER (WHERE x.indisclustered) AS clustered_by
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE i.relnamespace <> 'pg_toast'::regnamespace AND {own} GROUP BY x.indrelid
) AS own ON own.indrelid = c.oid
WHERE c.relkind IN ({kinds}) AND c.relpersistence <> 't' AND n.nspname !~ '^pg_(toast|temp)' AND {these}
    AND NOT {of pg_repack}
ORDER BY n.nspname, c.relname
"""

_LOCKED: Final = """FROM pg_locks AS l WHERE l.locktype = 'relation' AND l.granted
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())"""
NOT_IN_WORK: Final = f"""x.indexrelid <> ALL (ARRAY(SELECT l.relation {_LOCKED} AND l.mode IN (
        'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
    AND x.indrelid <> ALL (ARRAY(SELECT l.relation {_LOCKED} AND l.mode = 'ShareUpdateExclusiveLock'
        AND l.pid IN (SELECT p.pid FROM pg_stat_progress_create_index AS p)))"""
"""Whether no session builds, rebuilds or drops an invalid index. Locks tell that: every role sees them, and a rebuild
of several indexes reports only one at a time."""
UNFINISHED: Final = f"""
SELECT x.indexrelid::int8, NOT x.indisvalid AND {NOT_IN_WORK} FROM pg_index AS x WHERE x.indexrelid = ANY (%s::oid[])
"""

# Tables and TOAST tables are joined apart: with an OR in the join the query would be slow.
_INDEXES_OF: Final = """
SELECT i.oid::int8, n.nspname, i.relname, main.oid::int8, mn.nspname, main.relname, {pages i},
    {pages t}, am.amname, x.indisvalid, x.indisexclusion, t.relkind = 't', i.relname ~ '{leftover}',
    mn.nspname IN ('pg_catalog', 'information_schema'), {may by name},
    x.indcollation[0] NOT IN (0, 'pg_catalog."C"'::regcollation, 'pg_catalog."POSIX"'::regcollation),
    t.relkind = 't' AND {may with table} AND NOT ({may by name}), x.indisunique, x.indisready,
    ({rows of index})::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = i.relnamespace
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS main ON {main} JOIN pg_namespace AS mn ON mn.oid = main.relnamespace
WHERE i.relkind = 'i' AND i.relpersistence <> 't' AND mn.nspname !~ '^pg_temp' AND NOT {of pg_repack} AND {these}
    AND (x.indisvalid OR {not in work})
"""
# After a rebuild a GIN index counts words.
ROWS_OF_INDEX: Final = "CASE am.amname WHEN 'gin' THEN t.reltuples ELSE i.reltuples END"
"""The rows in an index `i` of the kind `am`, on a table `t`, by the catalog."""
_OF_TABLES: Final = "main.oid = t.oid AND t.relkind <> 't'"
_OF_TOAST: Final = "main.reltoastrelid = t.oid AND t.relkind = 't'"


PARTITIONED_INDEXES: Final = """
SELECT i.oid::int8, n.nspname, i.relname, tn.nspname, t.relname,
    ARRAY(SELECT part.relid::oid::int8 FROM pg_partition_tree(i.oid) AS part WHERE part.isleaf)
FROM pg_class AS i JOIN pg_namespace AS n ON n.oid = i.relnamespace JOIN pg_index AS x ON x.indexrelid = i.oid
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE i.relkind = 'I' AND i.relpersistence <> 't'
"""


def tables_query(version: int, *, some: bool = False, measured: bool = False, foreign: bool = False) -> str:
    """`some`: only the oids in the parameter `oids`. `measured`: read real sizes where the
    catalog has none and no lock prevents it; slow for thousands of tables. `foreign`: those of other servers."""
    own, these = (f"{column} = ANY (%(oids)s::oid[])" if some else "true" for column in ("x.indrelid", "c.oid"))
    query = _with_pages(TABLES, measured=measured).replace("{kinds}", "'f'" if foreign else "'r', 'm', 'p'")
    query = query.replace("{of pg_repack}", _OF_PG_REPACK.format("n", "c"))
    query = query.replace("{is counted}", _IS_COUNTED if version >= 140_000 else _IS_COUNTED_BEFORE_14)
    return query.replace("{may}", _may(version, "c")).replace("{own}", own).replace("{these}", these)


def indexes_query(version: int, *, some: bool = False, measured: bool = False) -> str:
    """The query for indexes. `some`: only those with oids in the parameter `oids`, and all that are invalid."""
    these = "(x.indexrelid = ANY (%(oids)s::oid[]) OR NOT x.indisvalid)" if some else "true"
    query = _with_pages(_INDEXES_OF, measured=measured)
    by_name = f"{_may(version, 't')} AND (t.relkind <> 't' OR has_schema_privilege(n.oid, 'USAGE'))"
    query = query.replace("{may by name}", by_name).replace("{may with table}", _may(version, "main"))
    query = query.replace("{leftover}", LEFTOVER).replace("{these}", these).replace("{not in work}", NOT_IN_WORK)
    query = query.replace("{of pg_repack}", _OF_PG_REPACK.format("mn", "main")).replace(
        "{rows of index}", ROWS_OF_INDEX
    )
    halves = (query.replace("{main}", main) for main in (_OF_TABLES, _OF_TOAST))
    return " UNION ALL ".join(halves) + " ORDER BY 5, 6, 12, 3"


def _with_pages(query: str, *, measured: bool) -> str:
    pages = MEASURED_PAGES if measured else _PAGES
    return re.sub(r"\{pages (\w+)\}", lambda found: pages.replace("{0}", found[1]), query)


def _may(version: int, alias: str) -> str:
    return (_MAY if version >= 170_000 else _MAY_BEFORE_17).replace("{}", alias)
