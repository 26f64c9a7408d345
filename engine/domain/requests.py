"""What a user asks for: operations on a target, and their options."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen


class EngineName(StrEnum):
    """The database engines that dbtend can maintain."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Operation(StrEnum):
    """The kinds of maintenance, over all engines."""

    VACUUM = "vacuum"
    ANALYZE = "analyze"
    REINDEX = "reindex"
    OPTIMIZE = "optimize"
    CHECK = "check"
    CHECKPOINT = "checkpoint"
    INCREMENTAL_VACUUM = "incremental-vacuum"
    FTS_OPTIMIZE = "fts-optimize"
    BACKUP = "backup"
    VACUUM_FULL = "vacuum-full"
    CLUSTER = "cluster"
    CLEAN_LEFTOVERS = "clean-leftovers"


class OnFailure(StrEnum):
    """What happens to those that come after one that failed."""

    CONTINUE = "continue"
    STOP = "stop"


class CheckLevel(StrEnum):
    """How thorough a check is: `full` also compares every index with its table."""

    QUICK = "quick"
    FULL = "full"


class Speed(StrEnum):
    """How much of a server's time an operation takes."""

    GENTLE = "gentle"
    NORMAL = "normal"
    FULL = "full"


class OnDuplicate(StrEnum):
    """What happens to a request that an open parent job already carries out."""

    REFUSE = "refuse"
    MERGE = "merge"


@frozen(kw_only=True)
class ServerOptions:
    """How operations on a database server do their work. None leaves it to the server."""

    schemas: tuple[str, ...] = ()
    """The schemas that the operations are for; none: all."""
    analyze: bool = False
    """Whether VACUUM also collects statistics."""
    freeze: bool = False
    index_cleanup: str | None = None
    """`auto`, `on` or `off`."""
    truncate: bool | None = None
    """Whether VACUUM gives empty pages at the end of a table back, which needs an exclusive lock for a moment."""
    parallel_workers: int | None = None
    """Processes of the server that VACUUM takes for the indexes of one table."""
    skip_locked: bool = False
    """Leave out what is locked, instead of waiting for it."""
    buffer_usage_limit: int | None = None
    """Kilobytes of shared buffers that VACUUM and ANALYZE use."""
    missing_only: bool = False
    """ANALYZE only what has no statistics."""
    in_stages: bool = False
    """ANALYZE three times, each time more thoroughly, so that there are some statistics soon."""
    offline: bool = False
    """REINDEX without CONCURRENTLY: faster, and nobody can write meanwhile."""
    speed: Speed = Speed.FULL
    max_lag: int | None = None
    """Bytes that a standby may be behind; as long as it is more, no step begins."""
    pause_while: str | None = None
    """A query; as long as it gives true, or a number above 0, no step begins."""
    yield_after: float | None = None
    """Seconds that others may wait behind a step; then it gives way."""
    snapshot_wait: float | None = None
    """Seconds that a rebuild which is concurrent may wait for transactions that began before it; None for until the
    time limit, or an hour where there is none."""
    server_wait: float | None = None
    """Seconds that an operation waits for a server that is down; None for ten minutes."""


MAX_WAIT: Final = 20 * 86_400.0
"""Seconds that a wait for a server, or for transactions on it, may take: a server can be told no more."""
SERVER_WAIT: Final = 600.0
"""Seconds that an operation waits for a server that is down, where nobody says otherwise."""
NO_SERVER_OPTIONS: Final = ServerOptions()


@frozen(kw_only=True)
class Options:
    """How a request wants to be carried out."""

    on_failure: OnFailure = OnFailure.CONTINUE
    """What follows an operation that failed."""
    on_step_failure: OnFailure = OnFailure.CONTINUE
    """What follows, inside one operation, a step that failed; what runs beside it goes on to its end."""
    lock_timeout: float = 5.0
    """Seconds to wait for a lock on the target before the step fails."""
    time_limit: float | None = None
    """Seconds after the submit from which on no child, and no step, begins any more."""
    until: str | None = None
    """A time of day, `HH:MM` where the request is made, from which on no child, and no step, begins any more."""
    stop_at_limit: bool = False
    """Whether what still runs at the limit is asked to stop, too."""
    force: bool = False
    """Go on where preflight would refuse, if that cannot harm the data."""
    verify: bool = False
    """Check the database before and after, as children of their own; where the first check fails nothing else runs."""
    check_first: bool = False
    """Whether a check that finds damage, or does not get through, keeps what comes after it from running."""
    jobs: int | None = None
    """How many objects at once inside one operation, where it can; None leaves that to the engine."""
    objects: tuple[str, ...] = ()
    """The tables and indexes that the operations which go object by object are for; none: all."""
    rebuild: tuple[str, ...] = ()
    """The indexes that REINDEX is for, where the other operations are for other objects; none: as `objects` says."""
    leave_out: tuple[str, ...] = ()
    """The tables that nothing is done to, nor to their indexes; a check looks at them all the same."""
    analysis_limit: int | None = None
    """Rows of each index that ANALYZE looks at; None: all of them."""
    check: CheckLevel | None = None
    """How thorough a check is; None: full where it was asked for, quick around other operations (`verify`)."""
    backup_to: str | None = None
    """The new file of a backup, or the directory where it goes; None: beside the database."""
    confirmed: bool = False
    """Whether somebody has said yes to operations that lock everybody out of a table."""
    server: ServerOptions = NO_SERVER_OPTIONS

    @property
    def check_level(self) -> CheckLevel:
        return self.check or (CheckLevel.QUICK if self.verify else CheckLevel.FULL)

    def objects_for(self, operation: Operation) -> tuple[str, ...]:
        """The tables and indexes that an operation is for; none: all."""
        return (operation is Operation.REINDEX and self.rebuild) or self.objects


DEFAULT_OPTIONS: Final = Options()


@frozen(kw_only=True)
class Request:
    """What a DBA asks for: operations, in order, on one target. Stored as asked, never changed."""

    target: str
    operations: tuple[Operation, ...]
    options: Options = field(default_factory=Options)

    @property
    def children(self) -> tuple[Operation, ...]:
        """What the children do, in order: the operations, between two checks where that is wanted."""
        if self.options.verify:
            return (Operation.CHECK, *self.operations, Operation.CHECK)
        return self.operations
