"""What is known of a database at the first look, before anything is planned."""

from __future__ import annotations

from engine.domain.frozen import frozen
from engine.domain.jobs import EngineName, Facts, Operation
from engine.targets.lock_impact import Lock


@frozen(kw_only=True)
class OperationInfo:
    """What an engine says of an operation it offers, in words a DBA reads before choosing it."""

    operation: Operation
    summary: str
    lock: Lock
    """Whom it blocks while it runs, for the database as it is now."""


@frozen(kw_only=True)
class TargetInfo:
    """A look at a database: what it is, and what can be done with it."""

    url: str
    engine: EngineName
    version: str
    facts: Facts
    operations: tuple[OperationInfo, ...]
    remarks: tuple[str, ...] = ()
    """What has happened to it as it was looked at."""
    read_only: str = ""
    """Why nothing can be written to it; empty where it can be maintained."""
