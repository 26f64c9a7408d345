"""What an operation changes, looked at before and after it: as far as that costs next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.domain.jobs import CheckLevel, Facts, Operation
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.running.checking import Findings, remedy

if TYPE_CHECKING:
    from engine.targets.sqlite.reading.catalog import Summary
    from engine.targets.sqlite.reading.reader import Reader

ALWAYS_MEASURED: Final = 64_000_000
"""Bytes of database whose every page may be looked at before and after: some 20 ms."""


class Effects:
    """Remembers what there was, to say afterwards what has changed."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._statistics: frozenset[tuple[Any, ...]] | None = None
        self.findings: Findings | None = None
        """What a check has found; None before it has looked."""
        self.check_level = CheckLevel.FULL
        self.unchecked = 0
        """How many parts of the database its check has not got through yet."""
        self.backup: Facts = {}
        """What a backup has made."""
        self.freed: Facts = {}
        """How many pages an incremental VACUUM has freed; the file loses those that map them, too."""

    async def facts(self, operation: Operation | None) -> Facts:
        """The facts as they are now, with those that `operation` changes. Raises TargetError."""
        summary = await self._reader.summary()
        return {**summary.facts, **await self._of(operation, summary)}

    async def _of(self, operation: Operation | None, summary: Summary) -> Facts:
        match operation:
            case Operation.VACUUM:
                return await self._measured("unused", catalog.UNUSED_BYTES, summary)
            case Operation.REINDEX:
                return await self._measured("index_size", catalog.INDEX_BYTES, summary)
            case Operation.ANALYZE | Operation.OPTIMIZE:
                return await self._statistics_facts()
            case Operation.CHECK if self.findings is not None:
                return {
                    "findings": len(self.findings.sentences),
                    "damaged_indexes": self.findings.indexes,
                    "damage": self.findings.lost,
                    "broken_rule": self.findings.broken_rule,
                    "orphans": self.findings.orphans,
                    "remedy": remedy(self.findings),
                    "level": self.check_level,
                    "file": self._reader.opened.key,
                    "complete": self.findings.complete and not self.unchecked,
                }
            case Operation.FTS_OPTIMIZE:
                segments = (await self._reader.fts_segments()).values()
                return {"fts_segments": sum(known.number for known in segments if known is not None)}
            case Operation.BACKUP:
                return self.backup
            case Operation.INCREMENTAL_VACUUM:
                return self.freed
            case _:
                return {}

    async def _measured(self, name: str, sql: str, summary: Summary) -> Facts:
        if summary.size > ALWAYS_MEASURED or not await self._reader.rows(catalog.HAS_DBSTAT):
            return {}
        value = await self._reader.measured(sql)
        return {} if value is None else {name: value}

    async def _statistics_facts(self) -> Facts:
        has_any = await self._reader.rows(catalog.HAS_STATISTICS)
        now = frozenset(map(tuple, await self._reader.rows(catalog.STATISTICS))) if has_any else frozenset()
        before, self._statistics = self._statistics, now
        changed = {} if before is None else {"changed_stat_rows": len({row[:2] for row in before ^ now})}
        return {"stat_rows": len(now), **changed}
