"""The condition of a database: the numbers that advice is based on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from engine.domain.frozen import frozen
from engine.domain.steps import Micros
from engine.targets.sqlite.reading.obstacles import NO_OBSTACLES, Obstacles


@frozen(kw_only=True)
class Leaves:
    """The leaf pages of a table or an index."""

    pages: int
    cells: int
    """Rows or entries in them."""
    unused: int
    """Bytes."""
    largest: int = 0
    """Bytes of the largest row or entry, without overflow pages."""


@frozen(kw_only=True)
class Packing:
    """Bytes that packing all pages would free, and bytes unused in pages."""

    packable: int
    unused: int


@frozen(kw_only=True)
class Statistics:
    """The statistics of a table, and its real number of rows."""

    table: str
    known_rows: int | None = None
    """Rows by the statistics; None without statistics."""
    rows: int | None = None
    """None where they were not counted."""
    missing: tuple[str, ...] = ()
    """The indexes without statistics, if the table is known to be big enough to matter."""
    unseen: bool = False
    """Whether there was no time to count its rows, or to find out whether they matter."""


@frozen(kw_only=True)
class Condition:
    """The measured state of a database. Sizes are bytes."""

    pages: int
    page_size: int
    free_pages: int = 0
    gives_pages_back: bool = False
    """Whether auto_vacuum is incremental."""
    is_wal: bool = False
    library_loses_commits: str | None = None
    """The version of SQLite that is used here, if its checkpoints can lose commits; else None."""
    wal_size: int = 0
    file_size: int | None = None
    """Bytes of the file itself; pages that are only in the log make it grow later."""
    changed_at: Micros | None = None
    """When the file was last written, by its file system."""
    log_changed_at: Micros | None = None
    """When its log was last written; None for an empty log."""
    leaves: tuple[Leaves, ...] | None = None
    """None where the pages were not read."""
    unseen: str = ""
    """Why the pages were not read, as text."""
    packing: Packing | None = None
    """The result of an earlier inspection of the pages, if nothing was written since; or what a sample of them says."""
    statistics: tuple[Statistics, ...] = ()
    indexes: frozenset[str] = frozenset()
    segments: Mapping[str, int] = field(default_factory=dict)
    """The number of segments of each full-text index."""
    obstacles: Obstacles = NO_OBSTACLES
    """Found where an operation is needed."""

    @property
    def size(self) -> int:
        return self.pages * self.page_size

    @property
    def only_in_log(self) -> int:
        """Bytes that the file grows by when the log is written back."""
        return 0 if self.file_size is None else max(self.size - self.file_size, 0)

    @property
    def free(self) -> int:
        return self.free_pages * self.page_size

    @property
    def used(self) -> int:
        return max(self.size - self.free, 0)  # a damaged header may count more free pages than there are
