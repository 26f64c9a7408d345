"""What a user asks for: operations on a target, and their options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.thresholds import Thresholds


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
    REPACK = "repack"
    CLEAN_LEFTOVERS = "clean-leftovers"
    REBUILD = "rebuild"
    REPAIR = "repair"
    PURGE_UNDO = "purge-undo"
    COMPACT = "compact"


class OnFailure(StrEnum):
    """What happens to the rest after a failure."""

    CONTINUE = "continue"
    STOP = "stop"


class CheckLevel(StrEnum):
    """The level of a check: `full` also compares every index with its table."""

    QUICK = "quick"
    FULL = "full"


class Speed(StrEnum):
    """How much load an operation puts on a server."""

    GENTLE = "gentle"
    NORMAL = "normal"
    FULL = "full"


class SqliteLibrary(StrEnum):
    """The library that works on a SQLite file."""

    SYSTEM = "system"
    """The one that Python is linked with."""
    BUNDLED = "bundled"
    """The one in the package apsw, which is newer as a rule."""


class IndexCleanup(StrEnum):
    """Whether VACUUM removes dead entries from indexes; `auto` leaves it to the server."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class OnDuplicate(StrEnum):
    """What happens to a request that an open job already carries out."""

    REFUSE = "refuse"
    MERGE = "merge"
    """The open job stands for it."""
    ADD = "add"
    """It is a job of its own, and waits until the other has ended."""


@frozen(kw_only=True)
class ServerOptions:
    """Options of operations on a database server; see `option_specs`. None leaves the choice to the server."""

    schemas: tuple[str, ...] = ()
    exclude_schemas: tuple[str, ...] = ()
    system: bool = False
    """The catalog itself, and nothing else."""
    analyze: bool = False
    freeze: bool = False
    index_cleanup: IndexCleanup | None = None
    truncate: bool | None = None
    parallel_workers: int | None = None
    skip_locked: bool = False
    buffer_usage_limit: int | None = None
    """Kilobytes of shared buffers that VACUUM and ANALYZE use."""
    disable_page_skipping: bool = False
    process_main: bool = True
    process_toast: bool = True
    min_xid_age: int | None = None
    min_mxid_age: int | None = None
    missing_only: bool = False
    in_stages: bool = False
    """ANALYZE three times with rising statistics targets, so that first statistics exist soon."""
    offline: bool = False
    """REINDEX without CONCURRENTLY, a rebuild that is not online: it blocks writers."""
    tablespace: str | None = None
    speed: Speed = Speed.FULL
    max_lag: int | None = None
    """Bytes of standby lag above which no step begins."""
    ignored_standbys: tuple[str, ...] = ()
    """Standbys that `max_lag` does not count, by application_name; replicas that `max_delay` does not, by host:port."""
    max_delay: float | None = None
    """Seconds that a replica may be behind; above it no step begins."""
    max_running: int | None = None
    """Threads of the server that may run at once; above it no step begins."""
    pause_while: str | None = None
    yield_after: float | None = None
    """Seconds that other sessions may wait for a lock of a step; then the step is cancelled and queued again."""
    snapshot_wait: float | None = None
    """Seconds that a concurrent rebuild may wait for older transactions; None: until the time limit, or an hour without
    one."""
    server_wait: float | None = None
    no_binlog: bool = False
    """Keep the work out of the binary log, so that replicas do not repeat it."""
    queue: str | None = None
    """The queue of a shared store whose workers carry it out; None: those of any host."""

    @property
    def is_concurrent(self) -> bool:
        """Whether indexes are rebuilt concurrently: those of the catalog cannot be."""
        return not (self.offline or self.system)

    @property
    def longest_wait(self) -> float:
        """Seconds that an operation waits for a server that is down."""
        return SERVER_WAIT if self.server_wait is None else self.server_wait


MAX_WAIT: Final = 20 * 86_400.0
"""The longest wait in seconds for a server or its transactions: PostgreSQL timeouts hold no more."""
SERVER_WAIT: Final = 600.0
"""The default seconds that an operation waits for a server that is down."""
NO_SERVER_OPTIONS: Final = ServerOptions()


@frozen(kw_only=True)
class Options:
    """How a request is carried out. What the options mean is in `option_specs`; times are seconds."""

    on_failure: OnFailure = OnFailure.CONTINUE
    on_step_failure: OnFailure = OnFailure.CONTINUE
    """What happens after a failed step of an operation; steps that run beside it end normally."""
    lock_timeout: float = 5.0
    time_limit: float | None = None
    """Seconds after the submit from which on no child and no step begins."""
    until: str | None = None
    """A time of day, `HH:MM` in local time, from which on no child and no step begins."""
    stop_at_limit: bool = False
    fit: bool = True
    """Whether a step that by its estimate would end after the limit is not begun; one without an estimate is."""
    verify: bool = False
    """Check the database before and after. If the first check finds damage, or cannot complete, nothing else runs."""
    check_first: bool = False
    """Whether a failed or incomplete check skips the operations after it."""
    check: CheckLevel | None = None
    jobs: int | None = None
    objects: tuple[str, ...] = ()
    rebuild: tuple[str, ...] = ()
    """The indexes for REINDEX if they differ from `objects`; none: as `objects`."""
    leave_out: tuple[str, ...] = ()
    """Tables to skip with their indexes; a check still covers them."""
    done: tuple[tuple[Operation, str], ...] = ()
    """What an earlier job did, by operation and object: these steps are not repeated."""
    analysis_limit: int | None = None
    backup_to: str | None = None
    keep: int | None = None
    swap: bool = False
    """Whether VACUUM makes a copy that takes the place of the file."""
    sqlite: SqliteLibrary = SqliteLibrary.SYSTEM
    if_needed: Thresholds | None = None
    """An operation that these thresholds do not call for when it would begin is skipped: the target could not be
    inspected at the submit."""
    limits: Thresholds | None = None
    """The thresholds of `optimize`; None: the default ones."""
    confirmed: bool = False
    """Whether the user has confirmed operations that block all access to a table."""
    force: bool = False
    """Override refusals of preflight, also that of what is known to be damaged."""
    server: ServerOptions = NO_SERVER_OPTIONS

    @property
    def check_level(self) -> CheckLevel:
        return self.check or (CheckLevel.QUICK if self.verify else CheckLevel.FULL)

    def objects_for(self, operation: Operation) -> tuple[str, ...]:
        """The tables and indexes an operation works on; none: all."""
        return (operation is Operation.REINDEX and self.rebuild) or self.objects

    def left_out_by(self, operation: Operation) -> tuple[str, ...]:
        """The tables that an operation skips. A check covers them, too."""
        return () if operation is Operation.CHECK else self.leave_out

    def done_by(self, operation: Operation) -> frozenset[str]:
        """The objects on which an operation was done by an earlier job."""
        return frozenset(name for by, name in self.done if by is operation)


DEFAULT_OPTIONS: Final = Options()


@frozen(kw_only=True)
class Request:
    """Operations, in order, on one target. Stored as submitted, never changed."""

    target: str
    operations: tuple[Operation, ...]
    options: Options = field(default_factory=Options)
    estimates: Mapping[Operation, float] = field(default_factory=dict)
    """The seconds that each operation takes by the plan that was accepted; none where there was no plan. Its children
    keep them, so a request that is read from the store has none."""

    @property
    def children(self) -> tuple[Operation, ...]:
        """The operations of the children, in order; with `verify` between two checks."""
        if self.options.verify:
            return (Operation.CHECK, *self.operations, Operation.CHECK)
        return self.operations

    def options_of(self, place: int) -> Options:
        """The options of the child at a place, from 0: `verify` is not of a check between the two around the others."""
        is_named = self.children[place] is Operation.CHECK and 0 < place < len(self.children) - 1
        return replace(self.options, verify=False) if is_named and self.options.verify else self.options
