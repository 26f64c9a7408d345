"""A SQLite file that is open, for a session or an inspection."""

from __future__ import annotations

from engine.domain.frozen import frozen
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.opened_file import OpenedFile


@frozen
class OpenDatabase:
    """A connection, the file that it has open, and how it waits for locks."""

    connection: MeteredConnection
    file: OpenedFile
    lock_timeout: float
    blockers: BlockerFinder
    rolled_back: bool = False
    """Whether opening it rolled back a transaction of an earlier crash."""
