"""SQLite files as targets."""

from engine.targets.sqlite.target import SqliteTarget

__all__ = ["SqliteTarget"]
