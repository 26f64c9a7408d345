"""The progress of a running child, its steps and its log.

Times are microseconds since the epoch, UTC (`Micros`); sizes are bytes; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status

Micros = int
Fact = int | float | str | Sequence[str] | Sequence[int] | None
Facts = Mapping[str, Fact]
"""Facts of a database, JSON-able; `size` (bytes) is always there."""
MOST_DAMAGED_PAGES: Final = 1_000
MAX_FINDINGS: Final = 100
"""A check stops, or reports no more, after this many findings."""


def format_findings(number: int) -> str:
    """The number of findings, as text."""
    return counted(number, "finding") if number < MAX_FINDINGS else f"{number:,} or more findings"


class WaitsFor(StrEnum):
    """What a running step waits for."""

    LOCK = "lock"
    TRANSACTIONS = "transactions"
    """Older transactions must end or release their snapshots; other sessions are not blocked."""
    SERVER = "server"
    """The server must be up and have a free connection."""
    LOAD = "load"
    """The load of the server must fall."""
    SPACE = "space"
    """The disk of the server must have room."""


@frozen(kw_only=True)
class Progress:
    """The progress of a running child. `fraction` is None while it is unknown."""

    fraction: float | None = None
    object: str | None = None
    steps_done: int = 0
    steps_total: int = 0
    phase: str | None = None
    """What happens inside the step, as text."""
    waits_for: WaitsFor | None = None
    """What it waits for; the phase says more."""
    waited: Micros = 0
    """Microseconds so far in which it only waited."""


WHOLE: Final = "main"
"""The object of a step on a whole SQLite database."""


def object_name(name: str | None) -> str:
    """The table or index of a step; "" if it is for the whole database."""
    return "" if name is None or name == WHOLE else name


FINISHING = "finishing, cannot be interrupted"
"""The phase of a step that was asked to stop and cannot."""
CLEANING_UP = "cleaning up"
"""The phase of a step that was cancelled or failed and removes its partial results."""
WRITING_BACK = "writing back"
"""The phase in which a step can no longer be interrupted."""
UNINTERRUPTIBLE_PHASES = frozenset({FINISHING, WRITING_BACK})
"""The phases in which a step ignores a cancel."""
FILE: Final = "file"
"""The fact of an operation on a file, before and after it: the key of the file that was measured."""
REPLACED_FILE: Final = "replaced_file"
"""The fact of an operation that exchanged a file: the key of the file that was replaced."""
IS_UNCHECKED: Final = "is_unchecked"
"""The fact before an operation that writes: no check of its database is on record."""
SIZE_BEFORE: Final = "size_before"
"""The fact of a step: the bytes of its object before it."""
EXPECTED: Final = "expected_seconds"
"""The fact of a step that was not begun because it would not fit: the seconds until its work is safe."""
TIME_LEFT: Final = "time_left"
"""The fact of a step that was not begun because it would not fit: the seconds that its window was still open."""
WAITING = "waiting for its lock"
"""The start of the phase of a step that waits for a lock."""
PAUSED = "paused"
"""The start of the phase of a step that pauses for the sake of other sessions."""
WAITS: Final = "waits"
"""The fact of a step: when it waited for others, as the beginning and end of each wait in turn; one that goes on has no
end. A step that gave way and ran again has those of before, too."""
COURSE: Final = "course"
"""The fact of a step: the count of its work for a million rows at each twentieth of its time, for the next run of its
command."""
WAITED_FOR: Final = "waited_for"
"""The fact of a step that gave up waiting, unless for a lock: what it waited for, a `WaitsFor`."""
GAVE_WAY: Final = "gave_way"
"""The fact of a step, and of a job: how often it stopped for sessions that waited behind it."""
FOLLOWED: Final = "followed"
"""The fact of a step that completed, where a further step of its job does the rest of the work on its object."""
MOVES_PAGES: Final = frozenset(
    {Operation.VACUUM, Operation.REINDEX, Operation.INCREMENTAL_VACUUM, Operation.FTS_OPTIMIZE}
)
"""Operations on a file that is mapped before and after them."""
PAGES_BEFORE: Final = "pages_before"
"""The fact of an operation on a file: the map of its pages before the operation."""
PAGES_AFTER: Final = "pages_after"
"""The fact of an operation on a file: the map of its pages after the operation."""
FREED_PAGES: Final = "freed_pages"
"""The fact of an INCREMENTAL VACUUM, also of one that was cancelled: how many pages it gave back."""
REWRITTEN: Final = "rewritten"
"""The fact of a VACUUM that rewrote the whole file, also of one whose follow-up failed."""
NOT_MAPPED: Final = "pages_not_mapped"
"""The fact of an operation on a file: why there is no map of its pages."""


@frozen(kw_only=True)
class Step:
    """One SQL command that a child executed on one object: an entry of the command log."""

    number: int
    attempt: int
    object: str
    command: str
    status: Status
    started_at: Micros
    finished_at: Micros | None = None
    operation: Operation | None = None
    """The kind of work: OPTIMIZE has steps of VACUUM, ANALYZE and REINDEX. None: unknown (stored by an old version)."""
    error: str | None = None
    error_is_finding: bool = False
    """Whether the error reports what a check found."""
    reason: Reason | None = None
    """Why it did not complete, unless by an error of the operation itself."""
    effect: Facts | None = None
    """What it did, in numbers, such as `freed_pages` or `findings`; a step for several objects also lists them."""

    @property
    def done(self) -> tuple[str, ...]:
        """The tables or indexes on which it completed; for a step on several, even if it failed on others."""
        several = (self.effect or {}).get("objects")
        if isinstance(several, list | tuple):
            return tuple(map(str, several))
        return (self.object,) if self.status is Status.COMPLETED and FOLLOWED not in (self.effect or {}) else ()

    @property
    def gave_up_on_transactions(self) -> bool:
        """Whether it gave up waiting for transactions of other sessions, which --lock-timeout does not limit."""
        return (self.effect or {}).get(WAITED_FOR) == WaitsFor.TRANSACTIONS

    @property
    def waits(self) -> tuple[tuple[Micros, Micros | None], ...]:
        """Each wait with its end; None: it goes on."""
        found = (self.effect or {}).get(WAITS)
        if not isinstance(found, list | tuple):
            return ()
        times = [time for time in found if isinstance(time, int)]
        return tuple(zip_longest(times[::2], times[1::2]))


class LogLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LOG_HEAD = 200
"""Lines kept from the beginning of the log of an attempt."""
LOG_TAIL = 800
"""Lines kept from the end of the log of an attempt; a gap in the numbers shows how many were dropped."""
LOG_LINE_LIMIT = 8_000
"""Characters kept of one line, from both ends."""


@frozen(kw_only=True)
class LogLine:
    """One line of a child's log; they are numbered from 1 in each attempt."""

    number: int
    attempt: int
    at: Micros
    level: LogLevel
    message: str
    is_settings: bool = False
    """Whether it only names settings of the connection."""
