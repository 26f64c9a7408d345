"""Steps of a MariaDB or MySQL plan, with the data that running them needs."""

from __future__ import annotations

from enum import StrEnum

from engine.domain.frozen import frozen
from engine.targets.mysql.reading.tables import NO_TABLE, Table
from engine.targets.plans import PlannedStep


class Method(StrEnum):
    """How a command works, and what remains where it does not complete."""

    ANALYZE = "analyze"
    REBUILD = "rebuild"
    """ALTER TABLE ... FORCE: it raises its errors, and is rolled back where it does not complete."""
    CHECK = "check"
    FOREIGN_KEY = "foreign_key"
    """A query for rows whose foreign key refers to no row."""
    REPAIR = "repair"
    """REPAIR TABLE of an engine without transactions: stopped in the middle it leaves the table crashed."""
    PURGE_UNDO = "purge_undo"

    @property
    def answers_with_verdict(self) -> bool:
        """Whether its rows are (table, operation, kind of message, message), and failures are among them."""
        return self in {Method.ANALYZE, Method.CHECK, Method.REPAIR}


@frozen(kw_only=True)
class MySqlStep(PlannedStep):
    """A planned step of MariaDB or MySQL."""

    method: Method
    table: Table = NO_TABLE
    commands: tuple[str, ...] = ()
    """Of ANALYZE: its commands one by one, where it has several; `command` shows them together."""
    makes_histograms: bool = False
    """Of ANALYZE on MySQL. To store one it waits for a global read lock of another session without end: it hears
    neither its lock timeout nor KILL then."""
    parent: Table | None = None
    """The other table of a foreign key."""
    in_total_order: bool = False
    """Whether all nodes of a Galera cluster run it at the same place among their changes: then it cannot be stopped."""
    gain: int = 0
    """Of REBUILD: bytes that it is expected to give back, if the advice asks for it."""
    with_helper: bool = False
    """Of PURGE_UNDO: whether it makes a tablespace for transactions while it runs, and drops it then."""

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.table.shown,) if self.table is not NO_TABLE else ()

    @property
    def is_repeatable(self) -> bool:
        """Whether it may run again after the server restarted."""
        return self.method not in {Method.REPAIR, Method.PURGE_UNDO}

    @property
    def stops_safely(self) -> bool:
        """Whether the server can end it while it runs, and its table is unchanged then."""
        return self.is_repeatable and not self.in_total_order
