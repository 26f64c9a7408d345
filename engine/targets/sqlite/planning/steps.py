"""Steps as the session executes them: what a plan shows, and how it is done."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from engine.domain.frozen import frozen
from engine.targets.protocol import PlannedStep

if TYPE_CHECKING:
    from engine.targets.sqlite.system.space import Need


class Method(StrEnum):
    """The ways in which a command is carried out."""

    TRANSACTION = "transaction"
    """In a transaction of its own, whose COMMIT is tried again."""
    TOGETHER = "together"
    """Several commands, one for each object, in one transaction; in smaller ones where one of them fails."""
    ANALYZE = "analyze"
    """ANALYZE of the objects in one statement, or of all tables; of fewer at a time where one of them fails."""
    OPTIMIZE = "optimize"
    """In one statement for all tables that SQLite names, where these are many."""
    VACUUM = "vacuum"
    CHECKPOINT = "checkpoint"
    CHECK = "check"
    FOREIGN_KEYS = "foreign_keys"
    INCREMENTAL = "incremental"
    """Again and again, until no page is free."""
    MERGE = "merge"
    """Again and again, until there is nothing left to merge."""
    COPY = "copy"
    COPY_CHECK = "copy_check"


WRITING: Final = frozenset(
    {
        Method.TRANSACTION,
        Method.TOGETHER,
        Method.ANALYZE,
        Method.OPTIMIZE,
        Method.VACUUM,
        Method.INCREMENTAL,
        Method.MERGE,
    }
)


@frozen(kw_only=True)
class SqliteStep(PlannedStep):
    """A planned step, with what its execution goes by."""

    method: Method
    commands: tuple[str, ...] = ()
    """Those for its objects, one by one, where it is for several."""
    settings: tuple[str, ...] = ()
    """Commands that prepare the connection."""
    read_ahead: bool = False
    """Whether the file is worth reading into memory, where it is not there yet."""
    write_behind: bool = False
    """Whether what is written is to go to the disk meanwhile."""
    needs: tuple[Need, ...] = ()
    """The space it needs while it runs."""
    course: tuple[tuple[float, float], ...] = ()
    """How far it is expected to be after so many opcodes; empty where its progress is not told by them."""
    volume: int = 0
    """Bytes that it copies, or rows that it changes, where its progress is told by them."""
    in_memory: bool = False
    """Whether its temporary files are in memory."""
    may_renumber: bool = False
    """Whether VACUUM may change rowids that something goes by."""
    destination: str = ""
    """The new file of a backup."""
    numbered: bool = False
    """Whether it gets another number where somebody takes that name meanwhile."""
    unfinished: str = ""
    """The directory in which it is made."""
