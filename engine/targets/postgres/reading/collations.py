"""Collations whose version has changed since indexes were built by them, and which indexes these are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.domain.advice import TargetHistory
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.targets.postgres.connection.names import shown
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import Index


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
    drifted = query("collation_drifts", from_15=reader.server.version >= 150_000)
    return [CollationDrift(*row) for row in await reader.rows(drifted, row=CollationDrift)]
