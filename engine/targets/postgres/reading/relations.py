"""Tables and indexes as the catalog has them, without a lock on any of them."""

from __future__ import annotations

from typing import Final

from engine.targets.postgres.connection.names import qualified, shown
from engine.values import frozen

LEFTOVER: Final = r"_cc(new|old)[0-9]*$"
"""How the names end of what REINDEX CONCURRENTLY leaves behind where it fails."""


@frozen
class Table:
    """A table, a materialized view, or a partitioned table, which has no rows of its own."""

    oid: int
    schema: str
    name: str
    kind: str
    """`r`, `m` or `p`."""
    pages: int
    """Of the table and of its TOAST table, by the last VACUUM or ANALYZE."""
    rows: float
    index_pages: int
    indexes: int
    in_catalog: bool
    is_partition: bool
    has_children: bool
    may_be_maintained: bool
    clustered_by: str | None
    dead_rows: int = 0
    """As far as the server has counted."""
    visible_share: float = 0.0
    """Of its pages, those of which everybody sees all rows, by the last VACUUM or ANALYZE."""
    is_counted: bool = True
    """Whether the server knows how many of its rows are dead: not after a crash, or where counters were reset."""

    @property
    def sql(self) -> str:
        return qualified(self.schema, self.name)

    @property
    def shown(self) -> str:
        return shown(self.schema, self.name)

    @property
    def dead_share(self) -> float:
        return self.dead_rows / (self.rows + self.dead_rows) if self.dead_rows else 0.0

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"


@frozen
class Index:
    """An index of a table or of its TOAST table."""

    oid: int
    schema: str
    name: str
    table_oid: int
    table_schema: str
    table: str
    """The table that people know: not its TOAST table."""
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
    is_unique: bool = False
    is_ready: bool = True
    """Whether writes maintain it."""

    @property
    def sql(self) -> str:
        return qualified(self.schema, self.name)

    @property
    def shown(self) -> str:
        return shown(self.schema, self.name)

    @property
    def could_not_be_built(self) -> bool:
        """Whether a rebuild would only fail again, as long as rows are there that it forbids."""
        return self.is_unique and not (self.is_valid or self.is_leftover or self.of_toast)

    @property
    def table_shown(self) -> str:
        return shown(self.table_schema, self.table)


_MAY: Final = "has_table_privilege({}.oid, 'MAINTAIN')"
_MAY_BEFORE_17: Final = """(pg_has_role({}.relowner, 'USAGE') OR NOT {}.relisshared
    AND pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE'))"""

TABLES: Final = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relpages::int8 + coalesce(toast.relpages, 0)::int8,
    greatest(c.reltuples, 0)::float8, coalesce(own.pages, 0)::int8, coalesce(own.indexes, 0)::int4,
    n.nspname IN ('pg_catalog', 'information_schema'), c.relispartition, c.relhassubclass, {may}, own.clustered_by,
    coalesce(pg_stat_get_dead_tuples(c.oid), 0)::int8,
    coalesce(c.relallvisible::float8 / nullif(c.relpages, 0), 0),
    coalesce(pg_stat_get_live_tuples(c.oid), 0) >= c.reltuples
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
LEFT JOIN (
    SELECT x.indrelid, sum(i.relpages) AS pages, count(*) AS indexes,
        max(i.relname) FILTER (WHERE x.indisclustered) AS clustered_by
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid WHERE {own} GROUP BY x.indrelid
) AS own ON own.indrelid = c.oid
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_(toast|temp)' AND {these}
ORDER BY n.nspname, c.relname
"""

# Of tables and of TOAST tables apart: with an OR in the join it would be slow.
_INDEXES_OF: Final = """
SELECT i.oid::int8, n.nspname, i.relname, main.oid::int8, mn.nspname, main.relname, i.relpages::int8,
    t.relpages::int8, am.amname, x.indisvalid, x.indisexclusion, t.relkind = 't', i.relname ~ '{leftover}',
    mn.nspname IN ('pg_catalog', 'information_schema'), {may},
    x.indcollation[0] NOT IN (0, 'pg_catalog."C"'::regcollation, 'pg_catalog."POSIX"'::regcollation),
    x.indisunique, x.indisready
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = i.relnamespace
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS main ON {main} JOIN pg_namespace AS mn ON mn.oid = main.relnamespace
WHERE i.relkind = 'i' AND i.relpersistence <> 't' AND mn.nspname !~ '^pg_temp' AND {these}
"""
_OF_TABLES: Final = "main.oid = t.oid AND t.relkind <> 't'"
_OF_TOAST: Final = "main.reltoastrelid = t.oid AND t.relkind = 't'"


def tables_query(version: int, *, some: bool = False) -> str:
    """`some`: only those whose oids are the parameter `oids`."""
    own, these = (f"{column} = ANY (%(oids)s::oid[])" if some else "true" for column in ("x.indrelid", "c.oid"))
    return TABLES.replace("{may}", _may(version, "c")).replace("{own}", own).replace("{these}", these)


def indexes_query(version: int, *, some: bool = False) -> str:
    """`some`: only those whose oids are the parameter `oids`, and all that are invalid."""
    these = "(x.indexrelid = ANY (%(oids)s::oid[]) OR NOT x.indisvalid)" if some else "true"
    query = _INDEXES_OF.replace("{may}", _may(version, "t")).replace("{leftover}", LEFTOVER).replace("{these}", these)
    halves = (query.replace("{main}", main) for main in (_OF_TABLES, _OF_TOAST))
    return " UNION ALL ".join(halves) + " ORDER BY 5, 6, 12, 3"


def _may(version: int, alias: str) -> str:
    return (_MAY if version >= 170_000 else _MAY_BEFORE_17).replace("{}", alias)
