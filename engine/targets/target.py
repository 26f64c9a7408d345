"""A database by name: what every database engine implements, once.

A `Target` has no connection; a `Session` (`engine.targets.session`) is one, opened for one child job or one inspection
and closed after it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from engine.domain.engines import EngineName
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options, Request
from engine.domain.steps import WaitsFor
from engine.targets.operation_specs import OperationSpec
from engine.targets.waits import OthersLookup, no_others

if TYPE_CHECKING:
    from engine.targets.session import Inspection, Session

JournalCheck = Callable[[], Awaitable[None]]
"""Called before a file is opened that has a journal or a log; raises TargetError if that belongs to another file."""


class Waiting(Protocol):
    """Called with what a session waits for before any step begins."""

    def __call__(self, why: str, waits_for: WaitsFor = WaitsFor.LOCK) -> None:
        """`why`: for a lock, its holder."""


class Target(ABC):
    """A database that can be maintained, by name."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The canonical URL, such as `sqlite:///srv/sales.db`. It never holds a password."""

    engine: EngineName
    operations: Mapping[Operation, OperationSpec]
    """All operations that the engine offers."""
    default_operations: Sequence[Operation]
    """The operations of a request that names none, in the best order for the engine."""
    elsewhere: str | None = None
    """The host that alone can look at it: it is a file there; None: this one can."""

    @abstractmethod
    async def identify(self) -> str:
        """The key for mutual exclusion: equal for all names of the same database.

        Raises TargetError where the database does not exist or does not answer.
        """

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that connecting uses besides the URL, with their values."""
        return {}

    @property
    def host_key(self) -> str | None:
        """The key of its server by its name, the same for all databases there; None for a file. It does not connect."""
        return None

    async def identify_for_damage(self) -> str:
        """The key of its database for damage on record: the same for all names of the database. A new file that got
        the inode of a deleted one has another key, where the file system keeps the time when a file was made.

        Raises as `identify`.
        """
        return await self.identify()

    async def identify_host(self) -> str | None:
        """The key of its server, equal for all names of the server; None for a file.

        Raises TargetError where the database does not exist or does not answer.
        """
        return None

    @abstractmethod
    def fingerprint(self) -> str:
        """Fingerprint of the database: another one means another database. Cheap: it does not open the database.

        Raises TargetUnavailableError where the database does not exist or cannot be read.
        """

    def state(self) -> str:
        """A fingerprint that changes with every write to the database; "" if that is unknown without opening it,
        or where there is none."""
        return ""

    def validate(self, request: Request) -> None:
        """Raise UsageError for options that contradict each other. Options of other engines are gone by then."""
        return

    def needs_confirmation(self, operation: Operation, options: Options) -> str:
        """The risk that a person must confirm first, such as `locks its tables for all sessions`; "" for none."""
        spec = self.operations.get(operation)
        return spec.confirmation(offline=options.server.offline) if spec is not None else ""

    async def goes_in_turns(self, operation: Operation, options: Options) -> bool:
        """Whether the operation may take several steps, so that their order counts. Reads no database."""
        return self.operations[operation].in_turns

    @abstractmethod
    def connect(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        planning: bool = False,
        read_only: bool = False,
        name: str = "",
        waiting: Waiting | None = None,
        server_wait: float = 0.0,
        others_work: OthersLookup = no_others,
        journal_check: JournalCheck | None = None,
    ) -> AbstractAsyncContextManager[Session]:
        """Open a session that can maintain this database, or with `writing=False` only read it.

        planning: Runs no step, so a write-ahead log is not written back.
        read_only: Writes nothing, whatever `writing` says; does not even roll back after a crash.
        lock_timeout: Seconds to wait for a lock, at opening and in each step.
        name: The application name that a server sees; the part before the last space is the same for all jobs of a
            store.
        waiting: Called with what the session waits for before any step begins.
        server_wait: Seconds to wait for a server that is down, or has no connection left.
        others_work: See `StepContext`.
        journal_check: see `JournalCheck`.

        Raises TargetError if maintenance cannot or must not start.
        """

    def look(
        self, *, lock_timeout: float, read_only: bool = False, recover: bool = False
    ) -> AbstractAsyncContextManager[Inspection]:
        """Open a session only to inspect: no plan, no step.

        recover: May roll back what a crash left in a file; else HotJournalError is raised.
        """
        return self.connect(lock_timeout=lock_timeout, writing=False, read_only=read_only)

    def key_at_once(self, *, writing: bool) -> str | None:
        """What `preflight` of no objects returns, where a moment tells; None where only `preflight` can. For a thread.

        Raises what `preflight` raises.
        """
        return None

    @abstractmethod
    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> str:
        """What `identify` returns. Raises what `connect` would raise, and UsageError for an object that does not exist
        or that one of the operations cannot work on."""
