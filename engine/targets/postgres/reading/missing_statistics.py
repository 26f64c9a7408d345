"""Which tables lack statistics that ANALYZE would collect."""

from __future__ import annotations

from typing import Final

from engine.targets.postgres.reading.reader import Reader

_STORED: Final = "SELECT st.starelid, st.staattnum, st.stainherit FROM pg_statistic AS st"
_STORED_AS_SEEN: Final = """
SELECT sc.oid, a.attnum, s.inherited FROM pg_stats AS s JOIN pg_namespace AS sn ON sn.nspname = s.schemaname
JOIN pg_class AS sc ON sc.relnamespace = sn.oid AND sc.relname = s.tablename
JOIN pg_attribute AS a ON a.attrelid = sc.oid AND a.attname = s.attname
"""
_EXTENDED: Final = "SELECT d.stxoid, {inherited d.stxdinherit}, d.stxdndistinct FROM pg_statistic_ext_data AS d"
_EXTENDED_AS_SEEN: Final = """
SELECT e.oid, {inherited s.inherited}, s.n_distinct FROM pg_stats_ext AS s
JOIN pg_namespace AS sn ON sn.nspname = s.statistics_schemaname
JOIN pg_statistic_ext AS e ON e.stxnamespace = sn.oid AND e.stxname = s.statistics_name
"""
# Virtual columns, and columns whose statistics target is 0, never have statistics.
_COLUMN: Final = """a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget IS DISTINCT FROM 0 AND a.attgenerated <> 'v'
        AND NOT EXISTS (SELECT FROM stored AS s
            WHERE s.relation = a.attrelid AND s.attribute = a.attnum AND s.inherited = {inherited})"""
# Before PostgreSQL 15, CREATE STATISTICS stores a row without values. Counts of distinct ones are always found.
_LACKS: Final = f"""(EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND {_COLUMN})
    OR EXISTS (SELECT FROM pg_statistic_ext AS e WHERE e.stxrelid = c.oid AND e.stxstattarget IS DISTINCT FROM 0
        AND NOT EXISTS (SELECT FROM extended AS d
            WHERE d.statistics = e.oid AND coalesce(d.inherited, {{inherited}}) = {{inherited}}
                AND ({{from 15}} OR d.n_distinct IS NOT NULL OR 'd' <> ALL (e.stxkind)))))"""
_LACKS_OF_EXPRESSIONS: Final = f"""EXISTS (
    SELECT FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = x.indexrelid
    WHERE x.indrelid = c.oid AND x.indkey[a.attnum - 1] = 0 AND {_COLUMN.replace("{inherited}", "false")})"""
# After ANALYZE, a table without rows has 0; before PostgreSQL 14 also one that was never analyzed.
_HAS_ROWS: Final = "({0}.reltuples <> 0 OR {0}.reltuples = 0 AND {before 14})"
_MISSING: Final = f"""
WITH stored (relation, attribute, inherited) AS {{how}} ({{stored}}),
    extended (statistics, inherited, n_distinct) AS {{how}} ({{extended}})
SELECT c.oid::int8 FROM pg_class AS c
WHERE c.relkind IN ('r', 'm', 'p', 'f') AND c.relpersistence <> 't' AND c.oid <> 'pg_statistic'::regclass AND (
    c.relkind <> 'p' AND {_HAS_ROWS.replace("{0}", "c")}
        AND ({_LACKS.replace("{inherited}", "false")} OR {_LACKS_OF_EXPRESSIONS})
    OR c.relhassubclass AND {_LACKS.replace("{inherited}", "true")} AND EXISTS (
        SELECT FROM pg_inherits AS h JOIN pg_class AS child ON child.oid = h.inhrelid
        WHERE h.inhparent = c.oid AND {_HAS_ROWS.replace("{0}", "child")}))
"""


async def without_statistics(reader: Reader) -> set[int]:
    """The oids of tables that lack some. Who may not see statistics takes them for missing. Raises TargetError."""
    return {
        oid for (oid,) in await reader.rows(query(reader.server.version, reads=reader.server.is_superuser), row=(int,))
    }


def query(version: int, *, reads: bool) -> str:
    """`reads`: whether the role may read the catalogs where statistics are stored; else what it sees of them."""
    how, stored, extended = "NOT MATERIALIZED", _STORED, _EXTENDED
    if not reads:  # looked through once: the views would be gone through for each table
        how, stored, extended = "MATERIALIZED", _STORED_AS_SEEN, _EXTENDED_AS_SEEN
    found = _MISSING.replace("{how}", how).replace("{stored}", stored).replace("{extended}", extended)
    for column in ("d.stxdinherit", "s.inherited"):
        found = found.replace(f"{{inherited {column}}}", column if version >= 150_000 else "NULL::bool")
    found = found.replace("{from 15}", str(version >= 150_000).lower())
    return found.replace("{before 14}", str(version < 140_000).lower())
