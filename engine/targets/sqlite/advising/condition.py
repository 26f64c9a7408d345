"""The condition of a database: the numbers that advice goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from engine.domain.frozen import frozen
from engine.domain.jobs import Micros
from engine.targets.sqlite.reading.obstacles import NO_OBSTACLES, Obstacles


@frozen(kw_only=True)
class Leaves:
    """The leaf pages of a table or an index."""

    pages: int
    cells: int
    """Rows, or entries, in them."""
    unused: int
    """Bytes."""
    largest: int = 0
    """Bytes of the largest row, or entry, as far as it is in its page."""


@frozen(kw_only=True)
class Packing:
    """Bytes: what packing all pages would give back, and what is unused in them."""

    packable: int
    unused: int


@frozen(kw_only=True)
class Statistics:
    """What the query planner knows of a table that has indexes or had statistics collected, and what is true."""

    table: str
    known_rows: int | None = None
    """What the statistics say; None where there are none."""
    rows: int | None = None
    """None where they were not counted."""
    missing: tuple[str, ...] = ()
    """The indexes that the statistics do not know, where the table is known to be big enough to matter."""
    unseen: bool = False
    """Whether nobody had the time to find out how many rows there are, or whether there are enough to matter."""


@frozen(kw_only=True)
class Condition:
    """A database as it is. Sizes are bytes."""

    pages: int
    page_size: int
    free_pages: int = 0
    gives_pages_back: bool = False
    """Whether auto_vacuum is incremental."""
    is_wal: bool = False
    wal_size: int = 0
    file_size: int | None = None
    """Of the file itself: what is only in the log so far makes it grow."""
    changed_at: Micros | None = None
    """When the file was last written, as its file system says,"""
    log_changed_at: Micros | None = None
    """and its log; None where there is nothing in it."""
    leaves: tuple[Leaves, ...] | None = None
    """None where nobody looked into the pages."""
    unseen: str = ""
    """Why nobody did."""
    packing: Packing | None = None
    """What an earlier look into the pages found, since which nobody has written."""
    statistics: tuple[Statistics, ...] = ()
    indexes: frozenset[str] = frozenset()
    segments: Mapping[str, int] = field(default_factory=dict)
    """Of each full-text index."""
    obstacles: Obstacles = NO_OBSTACLES
    """Looked for where something is needed."""

    @property
    def size(self) -> int:
        return self.pages * self.page_size

    @property
    def only_in_log(self) -> int:
        """By how much the file grows when the log is written back."""
        return 0 if self.file_size is None else max(self.size - self.file_size, 0)

    @property
    def free(self) -> int:
        return self.free_pages * self.page_size

    @property
    def used(self) -> int:
        return max(self.size - self.free, 0)  # a damaged header may count more free pages than there are
