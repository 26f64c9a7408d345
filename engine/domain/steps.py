"""The progress of a running child, its steps and its log.

Times are microseconds since the epoch, UTC (`Micros`); sizes are bytes; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.domain.requests import Operation
from engine.domain.statuses import Status

Micros = int
Facts = Mapping[str, int | float | str | Sequence[str] | None]
"""What an engine says of a database, JSON-able; `size` (bytes) is always there."""
MAX_FINDINGS: Final = 100
"""A check that has found as many looks no further, or tells no more of them."""


def format_findings(number: int) -> str:
    """How many findings there are, as far as a check tells."""
    return counted(number, "finding") if number < MAX_FINDINGS else f"{number:,} or more findings"


class WaitsFor(StrEnum):
    """What a running step needs of others before it can go on."""

    LOCK = "lock"
    TRANSACTIONS = "transactions"
    """That transactions end, or let go of their snapshots: nobody has to wait behind that."""
    SERVER = "server"
    """That the server is up, or has a connection left."""
    LOAD = "load"
    """That there is less to do on the server."""


@frozen(kw_only=True)
class Progress:
    """How far a running child is. `fraction` is None while nothing honest can be said."""

    fraction: float | None = None
    object: str | None = None
    steps_done: int = 0
    steps_total: int = 0
    phase: str | None = None
    """What goes on inside the step, where there is more to say than that it runs."""
    waits_for: WaitsFor | None = None
    """What it cannot go on without; the phase says more of it."""
    waited: Micros = 0
    """How much of its time, up to now, nothing went on but to wait for others."""


WHOLE: Final = "main"
"""The object of a step on all of a SQLite database."""


def object_name(name: str | None) -> str:
    """The table or index that a step is for; "" where it is for the whole database, whose name says nothing."""
    return "" if name is None or name == WHOLE else name


FINISHING = "finishing, cannot be interrupted"
"""The phase of a step that was asked to stop and goes on all the same."""
CLEANING_UP = "removing what is unfinished"
"""The phase of a step that has stopped, or has failed, and takes away what it leaves."""
WRITING_BACK = "writing back"
"""The phase of a step from which on it can no longer be interrupted."""
UNINTERRUPTIBLE_PHASES = frozenset({FINISHING, WRITING_BACK})
"""The phases in which a step goes on to its end, whoever asks it to stop."""
WAITING = "waiting for its lock"
"""How the phase of a step begins that waits for a lock,"""
PAUSED = "paused"
"""and of one that spares others."""


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
    effect: Facts | None = None
    """What it did, in numbers, such as `freed_pages` or `findings`; of a step for several objects also on which."""

    @property
    def done(self) -> tuple[str, ...]:
        """The tables or indexes on which it was carried out; of several also where it failed on others."""
        several = (self.effect or {}).get("objects")
        if isinstance(several, list | tuple):
            return tuple(map(str, several))
        return (self.object,) if self.status is Status.COMPLETED else ()


class LogLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LOG_HEAD = 200
"""Of the log of an attempt this many lines are kept from its beginning,"""
LOG_TAIL = 800
"""and this many from its end: a gap in the numbers tells what was left out."""
LOG_LINE_LIMIT = 8_000
"""Characters of one line that are kept, from both its ends."""


@frozen(kw_only=True)
class LogLine:
    """One line of a child's log; they are numbered from 1 in each attempt."""

    number: int
    attempt: int
    at: Micros
    level: LogLevel
    message: str
