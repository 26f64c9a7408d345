"""The operations that an engine offers, and what an inspection shows of a database."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from engine.domain.engines import EngineName
from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.domain.steps import Facts
from engine.targets.lock_impact import Lock


@frozen(kw_only=True)
class OperationSpec:
    """An operation: its purpose, its lock, and what remains after a cancel."""

    summary: str
    lock: Lock
    after_cancel: str
    """What remains after a cancel while it runs, as text: `nothing changed`."""
    after_cancel_of_swap: str = ""
    """The same with `swap`; "" for the same text."""
    writes: bool = True
    """Whether it needs a writable database."""
    is_repeatable: bool = True
    """Whether it may simply run again after its worker process died."""
    by_object: bool = True
    """Whether it can be limited to some tables and indexes."""
    in_turns: bool = True
    """Whether it works on several objects, so that their order counts."""
    needs_confirmation: str = ""
    """What a person must confirm before it runs; "" for nothing."""
    needs_confirmation_offline: str = ""
    """The same with `offline`; "" if that makes no difference."""
    stands_for: tuple[Operation, ...] = ()
    """The operations of other engines that do the same; a request for one names this one."""

    def confirmation(self, *, offline: bool) -> str:
        """What a person must confirm before it runs; "" for nothing."""
        return (self.needs_confirmation_offline if offline else "") or self.needs_confirmation


def operation_infos(
    specs: Mapping[Operation, OperationSpec], locks: Mapping[Operation, Lock] = MappingProxyType({})
) -> tuple[OperationInfo, ...]:
    """`locks`: those that differ from the specs in the current mode of the database."""
    return tuple(
        _operation_info(operation, spec.summary, locks.get(operation, spec.lock)) for operation, spec in specs.items()
    )


@cache  # of thousands of databases in a console, each garbage collection looks at every value
def _operation_info(operation: Operation, summary: str, lock: Lock) -> OperationInfo:
    return OperationInfo(operation=operation, summary=summary, lock=lock)


@frozen(kw_only=True)
class OperationInfo:
    """An operation that an engine offers, as a DBA reads it before choosing."""

    operation: Operation
    summary: str
    lock: Lock
    """The lock that it takes on the database in its current mode."""
    by_server: bool = False
    """Whether this server does it by itself, and has no command for it; its advice says how."""


@frozen
class Autovacuum:
    """Whether a server keeps the tables of a database in order by itself."""

    keeps_up: bool
    found: str
    remedy: str = ""
    """What to do, with the cause if it is seen."""


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
    lacks_rights: bool = False
    """Whether this role may not maintain some of its tables; a remark names them."""
    elsewhere: str | None = None
    """The other host whose file it is: nothing else is known of it here."""

    @property
    def product(self) -> str:
        """The program that it is a database of, with its version: `sqlite 3.46.1`, `MariaDB 11.8.9`."""
        return self.version if self.engine == EngineName.MYSQL else f"{self.engine} {self.version}"
