"""Steps as the session executes them: what a plan shows, and how a step runs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from engine.domain.frozen import frozen
from engine.domain.requests import CheckLevel, Operation, SqliteLibrary
from engine.domain.steps import WHOLE
from engine.targets.plans import PlannedStep
from engine.targets.sqlite.planning.operation_specs import SPECS, lock_of
from engine.targets.sqlite.reading.catalog import Summary

if TYPE_CHECKING:
    from engine.targets.sqlite.system.old_backups import BackupSeries


class Method(StrEnum):
    """How a command runs."""

    TRANSACTION = "transaction"
    """Runs in a transaction of its own, whose COMMIT is retried."""
    GROUPED = "together"
    """Several commands, one for each object, in one transaction; split where one of them fails."""
    ANALYZE = "analyze"
    """One ANALYZE for the objects, or for all tables; split where one of them fails."""
    OPTIMIZE = "optimize"
    """PRAGMA optimize; one ANALYZE where it names many tables."""
    VACUUM = "vacuum"
    SWAP = "swap"
    """VACUUM into a copy, which then takes the place of the file."""
    CHECKPOINT = "checkpoint"
    CHECK = "check"
    FOREIGN_KEYS = "foreign_keys"
    INCREMENTAL = "incremental"
    """Incremental vacuum in chunks, until no page is free."""
    MERGE = "merge"
    """Merges of a full-text index, until there is nothing left to merge."""
    REBUILD = "rebuild"
    """A full-text index is made anew from its text."""
    COPY = "copy"
    COMPARE = "compare"
    """The contents of the copy with those of the database as it was copied."""
    COPY_CHECK = "copy_check"
    REMOVE_BACKUPS = "remove_backups"


WRITING: Final = frozenset(
    {
        Method.TRANSACTION,
        Method.GROUPED,
        Method.ANALYZE,
        Method.OPTIMIZE,
        Method.VACUUM,
        Method.SWAP,
        Method.INCREMENTAL,
        Method.MERGE,
        Method.REBUILD,
    }
)
AFTER_COPY: Final = frozenset({Method.COMPARE, Method.COPY_CHECK, Method.REMOVE_BACKUPS})
"""Methods that work on backups: what happens to the database does not matter."""
CHECKING: Final = frozenset({Method.CHECK, Method.FOREIGN_KEYS})
REBUILDING: Final = frozenset({Method.TRANSACTION, Method.GROUPED})
"""The methods of REINDEX."""
LOSING: Final = REBUILDING | {Method.VACUUM, Method.SWAP}
"""The methods of REINDEX and VACUUM, which may remove the last trace of lost rows."""


@frozen(kw_only=True)
class SqliteStep(PlannedStep):
    """A planned step, with everything that its execution needs."""

    method: Method
    is_wal: bool = False
    """Whether the database was in WAL mode when the step was planned."""
    blocks_writers: bool = False
    """Whether other connections cannot write while it runs."""
    ignores_space: bool = False
    """Whether it runs even where the disk has too little room (`force`)."""
    has_follow_up: bool = False
    """Whether the plan has a step whose lack does harm."""
    check_level: CheckLevel = CheckLevel.FULL
    """The level of a check, as requested."""
    checks: int = 0
    """How many steps of the plan are of Method.CHECK."""
    commands: tuple[str, ...] = ()
    """The command for each of its objects, where it has several."""
    library: SqliteLibrary = SqliteLibrary.SYSTEM
    """The library that runs it."""
    settings: tuple[str, ...] = ()
    """Commands that set up the connection."""
    read_ahead: bool = False
    """Whether to read the file into the page cache first."""
    write_behind: bool = False
    """Whether to write changed pages to the disk while it runs."""
    course: tuple[tuple[float, float], ...] = ()
    """Expected progress, as (opcodes, seconds), of a VACUUM as (bytes, seconds): see `copy_costs`. Empty where neither
    measures it."""
    volume: int = 0
    """Bytes that it copies or removes, or rows that it changes, where these measure its progress."""
    copied: int = 0
    """Bytes of the new database that it is expected to make; 0 if unknown."""
    in_memory: bool = False
    """Whether its temporary files are in memory."""
    may_renumber: bool = False
    """Whether VACUUM may change rowids that indexes or views use."""
    destination: str = ""
    """The path of the backup."""
    numbered: bool = False
    """Whether the backup gets the next free number if its name is taken when it completes."""
    unfinished: str = ""
    """The directory of the unfinished copy: of a backup, or of the file that will replace this one."""
    compared: bool = False
    """Whether the copy is compared with the database."""
    by_pages: bool = False
    """Whether the copy is made page by page, and not by VACUUM."""
    is_known_damaged: bool = False
    """Whether the copied database is on record as damaged: a quick check of the copy may miss that."""
    series: BackupSeries | None = None
    """The backups; the oldest are removed."""
    keep: int = 0
    """How many of them stay, with the new one."""
    counts_rows: bool = False
    """Whether it begins only where the rows of tables and the entries of indexes show that no rows are lost."""
    compares_values: bool = False
    """Whether REINDEX compares what they hold, too: a person accepted damage."""


def step_of(
    operation: Operation, summary: Summary, method: Method, command: str, reason: str, name: str = WHOLE
) -> SqliteStep:
    """A step of the operation, with the lock in the current journal mode."""
    return SqliteStep(
        method=method,
        object=name,
        command=command,
        reason=reason,
        lock=lock_of(operation, wal=summary.is_wal),
        after_cancel=SPECS[operation].after_cancel,
    )
