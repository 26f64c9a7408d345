"""SQLite files as targets."""

from engine.targets.sqlite.system.holders import locked_by
from engine.targets.sqlite.target import SqliteTarget

__all__ = ["SqliteTarget", "locked_by"]
