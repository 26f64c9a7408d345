"""Collations whose version has changed since indexes were built by them, and which indexes these are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from engine.domain.advice import TargetHistory
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.targets.postgres.connection.names import shown
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import Index

# A collation without a current version counts as unchanged. What an expression or a
# condition compares by is not among the collations of an index, and is found in its tree.
_DRIFTS: Final = """
WITH drifted AS ({drifted}),
ours AS (
    SELECT x.* FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE i.relkind = 'i' AND i.relpersistence <> 't')
SELECT d.nspname, d.collname, d.version, d.command, d.may,
    ARRAY(SELECT x.indexrelid::int8 FROM ours AS x WHERE {uses} ORDER BY x.indexrelid),
    ARRAY(SELECT pg_relation_filenode(x.indexrelid)::int8 FROM ours AS x WHERE {uses} ORDER BY x.indexrelid),
    ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_partitioned_table AS p JOIN pg_class AS c ON c.oid = p.partrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE p.partstrat = 'r' AND d.oid = ANY (p.partcollation::oid[]) ORDER BY 1)
FROM drifted AS d
""".replace(
    "{uses}",
    """(d.oid = ANY (x.indcollation::oid[])
            OR concat(x.indexprs::text, x.indpred::text) LIKE '%:inputcollid ' || d.oid || ' %')""",
)
_OF_COLLATIONS: Final = """
    SELECT c.oid, n.nspname, c.collname, pg_collation_actual_version(c.oid) AS version,
        format('ALTER COLLATION %I.%I REFRESH VERSION', n.nspname, c.collname) AS command,
        pg_has_role(c.collowner, 'USAGE') AS may
    FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
    WHERE c.collversion IS NOT NULL AND c.collversion <> pg_collation_actual_version(c.oid)"""
_OF_THE_DATABASE: Final = """
    UNION ALL
    SELECT c.oid, '', '', pg_database_collation_actual_version(d.oid),
        format('ALTER DATABASE %I REFRESH COLLATION VERSION', d.datname), pg_has_role(d.datdba, 'USAGE')
    FROM pg_collation AS c
    JOIN pg_database AS d ON d.datname = current_database()
        AND d.datcollversion <> pg_database_collation_actual_version(d.oid)
    WHERE c.collprovider = 'd'"""


@frozen
class CollationDrift:
    """A collation that has another version now than when indexes were built by it, as far as is recorded."""

    schema: str
    name: str
    """Both empty for that of the database itself."""
    version: str
    """The current version."""
    command: str
    """The command that records it, after all indexes are rebuilt."""
    may_be_recorded: bool
    """Whether the role may do that."""
    indexes: Sequence[int]
    files: Sequence[int | None]
    """Files of these indexes; each rebuild makes a new one."""
    partitioned: Sequence[str]
    """Tables partitioned by ranges of it: rows may now belong to other partitions."""

    @property
    def text(self) -> str:
        return f"collation {shown(self.schema, self.name)}" if self.name else "the collation of the database"

    @property
    def mark(self) -> str:
        """The mark that a rebuild of an index records."""
        return f"{self.text} {self.version}"


@frozen
class CollationRebuild:
    """A collation with a new version, and the indexes still to rebuild."""

    drift: CollationDrift
    left: Mapping[int, str]
    """Names of the indexes still to rebuild, by oid."""

    @property
    def is_to_be_recorded(self) -> bool:
        """Whether all indexes are rebuilt, so that only its version is to be recorded."""
        return not self.left

    @property
    def obstacle(self) -> str:
        """Why dbtend cannot record the version, and what to do; "" if it can."""
        drift = self.drift
        if drift.partitioned:
            several = len(drift.partitioned) > 1
            return (
                f"{listed(list(drift.partitioned), 3)} {'have' if several else 'has'} ranges by {drift.text} as"
                f" partitions: see whether each row is in the right one, then run {drift.command};"
            )
        if not drift.may_be_recorded:
            return f"once its indexes are rebuilt, its owner or a superuser has to run {drift.command};"
        return ""


def marks_of(drifts: Iterable[CollationDrift]) -> dict[int, tuple[str, ...]]:
    """The marks that a rebuild records, by oid of the index."""
    marks: dict[int, tuple[str, ...]] = {}
    for drift in drifts:
        for index in drift.indexes:
            marks[index] = (*marks.get(index, ()), drift.mark)
    return marks


def collation_rebuild(drift: CollationDrift, indexes: Iterable[Index], past: TargetHistory) -> CollationRebuild:
    """`indexes`: all of the database. An index is rebuilt if its rebuild is on record and its file is unchanged."""
    names = {index.oid: index.shown for index in indexes}
    left = {}
    for oid, file in zip(drift.indexes, drift.files, strict=True):
        done = past.rebuilt.get(names.get(oid, ""))
        marks = done.effect.get("collations") if done is not None and done.effect.get("file") == file else None
        if not (isinstance(marks, list | tuple) and drift.mark in marks):
            left[oid] = names.get(oid, f"index {oid}")
    return CollationRebuild(drift, left)


async def drifts(reader: Reader) -> list[CollationDrift]:
    """Raises TargetError."""
    return [CollationDrift(*row) for row in await reader.rows(drifts_query(reader.server.version), row=CollationDrift)]


def drifts_query(version: int) -> str:
    """The query. Run it without parameters: it holds percent signs."""
    return _DRIFTS.replace("{drifted}", _OF_COLLATIONS + (_OF_THE_DATABASE if version >= 150_000 else ""))
