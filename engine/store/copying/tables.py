"""What a copy of a store consists of: tables, in the order of what they refer to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

Row = tuple[Any, ...]
Rows = list[Row]

JOB_TABLES: Final[Mapping[str, Sequence[str]]] = {
    "parent_job": ("id",),
    "child_job": ("parent_id", "ordinal"),
    "step": ("parent_id", "ordinal", "attempt", "number"),
    "log": ("parent_id", "ordinal", "attempt", "number"),
    "attempt": ("parent_id", "ordinal", "attempt"),
}
"""The tables of jobs, copied in portions of parents, and by what their rows are ordered."""
EVENTS: Final = "event"
BATCHES: Final = "batch"
OTHER_TABLES: Final = (
    "schedule", "firing", "recipient", "message", "notification", "survey", "measured", "told_critical", "last_run",
    "damage",
)  # fmt: skip
"""Copied whole, at the end. Worker processes and a pause belong to the store that they are in."""
TABLES: Final = (BATCHES, *JOB_TABLES, EVENTS, *OTHER_TABLES)
NUMBERED: Final = (BATCHES, "parent_job", "message", "notification")
"""Tables whose rows get numbers; no number is given twice."""

OnProgress = Callable[[int, int], None]
"""Called with how many jobs are copied, and of how many."""


class Source(Protocol):
    """A store without writers while it is read. Each method raises StoreError."""

    name: str
    """The name of the source. It stays the same when the copy is resumed."""

    async def columns(self, table: str) -> Sequence[str]: ...

    async def rows(
        self, table: str, columns: Sequence[str], *, low: int | None = None, high: int | None = None
    ) -> Rows:
        """Ordered rows as the shared store keeps them. `low`, `high`: ids of parents, or numbers of events."""
        ...

    async def parents(self, after: int, limit: int) -> list[int]:
        """The ids of the next ones, in order."""
        ...

    async def last_numbers(self) -> Mapping[str, int]:
        """The highest number that each of NUMBERED, and events, has given."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """The number of rows of each table."""
        ...

    async def open_jobs(self) -> int: ...

    async def live_workers(self) -> int: ...


def order_of(table: str) -> Sequence[str]:
    """The columns that order the rows of a table."""
    if table in JOB_TABLES:
        return JOB_TABLES[table]
    return ("seq",) if table == EVENTS else ("id",) if table in NUMBERED else ()


def range_column(table: str) -> str:
    """The column that a range of rows is chosen by."""
    return order_of(table)[0]
