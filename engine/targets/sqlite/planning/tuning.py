"""How the connection of an operation is set up: chosen by the size of the database and by what the machine has left.

No setting here touches durability or deleted data: `synchronous`, `secure_delete` and the journal mode
do not change. Each setting was measured to be faster than SQLite's default; settings without a gain (large
caches, in-memory sorters for REINDEX) are not here.
"""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted, size
from engine.domain.requests import Operation
from engine.targets.sqlite.system.page_cache import WORTH_FROM

MEMORY_FOR_TEMPORARY: Final = 1.1
"""Bytes of memory that a temporary database takes for each byte on disk."""
_SHARE_FOR_TEMPORARY: Final = 0.4  # of the memory available: two at once still leave some to others
_SHARE_FOR_CHANGES: Final = 1 / 16
MOST_CHANGES: Final = 16 << 20  # more would be written at the end, when there is nothing else left to do
_PARTS: Final = 8  # a database is written back in: with fewer, progress would jump
_FEWEST_CHANGES: Final = 8 << 20  # below that SQLite's own cache does as well
_FITS_IN_CACHE: Final = 2_000_000
"""Bytes: the own cache of SQLite holds a file that is smaller, and no setting makes it faster."""
_SORTERS: Final = 3  # helper threads; more of them made nothing faster
_MOST_AT_ONCE: Final = 4
_MAPPED: Final = frozenset({Operation.CHECK, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM})
_READ_AHEAD: Final = frozenset({Operation.CHECK, Operation.ANALYZE})
_WRITE_MUCH: Final = frozenset({Operation.VACUUM, Operation.REINDEX})
TAKES_MEMORY: Final = _WRITE_MUCH
"""Operations whose settings depend on the available memory."""
TAKES_PROCESSORS: Final = frozenset({Operation.REINDEX, Operation.CHECK})
"""Operations whose settings depend on the number of processors."""


@frozen(kw_only=True)
class Tuning:
    """The settings of one operation. The defaults are SQLite's own."""

    temporary: int = 0
    """Bytes of temporary files that are expected, and kept in memory; 0: they are files, as ever."""
    changes: int = 0
    """Bytes of changed pages that may wait in memory for their transaction to end; 0: as few as SQLite's cache holds.

    A page that waits is written once, however often it changes, and the journal is synced far less often.
    """
    threads: int = 0
    """Helper threads that sort."""
    mapped: int = 0
    """Bytes of the file that are mapped into memory, and need no copying to be read."""
    read_ahead: bool = False
    """Whether reading the whole file first, in order, pays off if it is not in the page cache."""
    write_behind: bool = False
    """Whether writes go to the disk during the step, which leaves less to sync at the end."""
    parallel: int = 1
    """How many objects at once, on a connection each."""
    memory: int | None = None
    """Bytes that were available when this was chosen."""


def tuning(
    operation: Operation,
    *,
    used_bytes: int,
    size: int,
    memory: int | None,
    processors: int,
    local: bool,
    whole: bool = True,
    in_place: bool = True,
) -> Tuning:
    """The settings for `operation` on a file of `size` bytes, `used_bytes` of them in pages that are not free.

    `memory`: bytes available, None if unknown. `local`: the file lies on this machine, so that it may
    be mapped. `whole`: the operation reads the whole file, and not only named tables or a few rows of each. `in_place`:
    it changes the file itself.
    """
    changes = min(MOST_CHANGES, used_bytes // _PARTS) if operation in _WRITE_MUCH and in_place else 0
    fits = size < _FITS_IN_CACHE
    return Tuning(
        temporary=_temporary(used_bytes, memory) if operation is Operation.VACUUM and in_place else 0,
        changes=_changes(changes, memory),
        threads=_SORTERS if operation is Operation.REINDEX and processors > 1 and not fits else 0,
        mapped=size if local and operation in _MAPPED and in_place and not fits else 0,
        read_ahead=whole and operation in _READ_AHEAD and size >= WORTH_FROM,
        write_behind=local and operation in _WRITE_MUCH and not fits,
        parallel=min(_MOST_AT_ONCE, processors) if operation is Operation.CHECK else 1,
        memory=memory,
    )


def _temporary(used_bytes: int, memory: int | None) -> int:
    needed = round(used_bytes * MEMORY_FOR_TEMPORARY)
    return needed if memory is not None and needed <= memory * _SHARE_FOR_TEMPORARY else 0


def _changes(most: int, memory: int | None) -> int:
    affordable = min(most, int((memory or 0) * _SHARE_FOR_CHANGES))
    return affordable if affordable >= _FEWEST_CHANGES else 0


def pragmas(chosen: Tuning) -> tuple[str, ...]:
    """The commands that set a connection up so. They hold for the connection, and leave nothing in the file."""
    commands = {
        "PRAGMA temp_store = MEMORY": chosen.temporary,
        # The minus means kilobytes: SQLite would take a number of pages that is a multiple of 256 for OFF.
        f"PRAGMA main.cache_spill = -{chosen.changes >> 10}": chosen.changes,
        f"PRAGMA threads = {chosen.threads}": chosen.threads,
        f"PRAGMA main.mmap_size = {chosen.mapped}": chosen.mapped,
    }
    return tuple(command for command, wanted in commands.items() if wanted)


def as_text(chosen: Tuning) -> str:
    """The settings and why, as text; empty if all are SQLite's defaults."""
    parts = []
    if chosen.temporary:
        parts.append(f"temporary files in memory ({size(chosen.temporary)} of {size(chosen.memory)} available)")
    if chosen.threads:
        parts.append(f"{counted(chosen.threads, 'helper thread')} to sort")
    if chosen.changes:
        parts.append(f"up to {size(chosen.changes)} of changed pages in memory")
    if chosen.mapped:
        parts.append("the file mapped into memory")
    if chosen.write_behind:
        parts.append("changed pages written to the disk early")
    if chosen.parallel > 1:
        parts.append(f"{chosen.parallel} tables at once")
    return ", ".join(parts)
