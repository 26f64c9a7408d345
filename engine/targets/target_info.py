"""What an inspection shows of a database."""

from __future__ import annotations

from engine.domain.frozen import frozen
from engine.domain.requests import EngineName, Operation
from engine.domain.steps import Facts
from engine.targets.lock_impact import Lock


@frozen(kw_only=True)
class OperationInfo:
    """An operation that an engine offers, as a DBA reads it before choosing."""

    operation: Operation
    summary: str
    lock: Lock
    """The lock that it takes on the database in its current mode."""


@frozen(kw_only=True)
class TargetInfo:
    """A database: what it is, and which operations it offers."""

    url: str
    engine: EngineName
    version: str
    facts: Facts
    operations: tuple[OperationInfo, ...]
    remarks: tuple[str, ...] = ()
    """What the inspection itself caused, such as a rollback after a crash."""
    read_only: str = ""
    """Why it cannot be written; "" if it can."""
