"""Errors, each with a sentence that says what to do."""

from __future__ import annotations

import errno
from enum import StrEnum
from typing import Final

from engine.domain.jobs import JobId
from engine.domain.masking import without_credentials
from engine.domain.statuses import Reason


class ErrorKind(StrEnum):
    """The machine-readable name of an error."""

    USAGE = "usage"
    CONFIG = "config"
    TARGET = "target"
    REFUSED = "refused"
    BUSY = "busy"
    STORE = "store"
    READ_ONLY = "read_only"
    NOT_FOUND = "not_found"
    NOT_AVAILABLE = "not_available"
    DUPLICATE = "duplicate"
    SYSTEM = "system"
    INTERNAL = "internal"


class DbtendError(Exception):
    """An error that a user can meet: what failed, why, and what to do about it.

    `str()` gives the one or two sentences that are shown: `WHAT: WHY (HINT)`. No password is ever part of them.
    """

    kind = ErrorKind.USAGE

    def __init__(self, what: str, why: str, hint: str = "") -> None:
        self.what, self.why, self.hint = without_credentials(what), without_credentials(why), without_credentials(hint)
        super().__init__(f"{self.what}: {self.why_and_hint}")

    @property
    def why_and_hint(self) -> str:
        """`WHY (HINT)`."""
        return f"{self.why} ({self.hint})" if self.hint else self.why


class UsageError(DbtendError):
    """The request itself is wrong: nothing was stored."""


class ConfigError(DbtendError):
    kind = ErrorKind.CONFIG


class StoreError(DbtendError):
    """The store of jobs cannot be opened, read or written."""

    kind = ErrorKind.STORE
    is_transient = False
    """Whether a later attempt may succeed without any action of a person."""


class StoreBusyError(StoreError):
    """Another process keeps the store locked."""

    is_transient = True


class StoreUnreachableError(StoreBusyError):
    """The server of a shared store does not answer. Its workers wait for as long as that takes. They end
    if others may take over."""


class StoreFullError(StoreError):
    """The disk of the store is full, or fails."""

    is_transient = True


class StoreUncertainError(StoreFullError):
    """A write failed, and may or may not be there when the store is opened again."""


class StoreLostError(StoreError):
    """The file of the store was removed or replaced while it was open: nothing more is read or written."""


class ReadOnlyError(StoreError):
    """The call would change something, and the engine is read-only: nothing was touched."""

    kind = ErrorKind.READ_ONLY


class JobNotFoundError(DbtendError):
    kind = ErrorKind.NOT_FOUND


class NotAvailableError(DbtendError):
    """Named in the design, not built yet."""

    kind = ErrorKind.NOT_AVAILABLE


class DuplicateRequestError(DbtendError):
    """Another parent job carries out the very same request. Or it repeated the job first, since the user decided to."""

    kind = ErrorKind.DUPLICATE

    def __init__(self, target: str, parent_id: int, *, has_ended: bool = False) -> None:
        self.parent_id = parent_id
        why, hint = f"job #{parent_id} already does exactly this", "wait for it, or cancel it"
        if has_ended:
            why, hint = (
                f"job #{parent_id} has repeated the job meanwhile",
                "see its result; retry again to run it once more",
            )
        super().__init__(target, why, hint)


class OwnershipLostError(Exception):
    """A finish or report came from a process that no longer owns the child: nothing was written."""


class TargetError(DbtendError):
    """The target, or one step on it, failed. `reason` is stored with the child."""

    kind = ErrorKind.TARGET
    reason = Reason.OPERATION_ERROR


class TargetUnavailableError(TargetError):
    """The target cannot be opened at all: missing, no database, no permission."""

    reason = Reason.REFUSED


class TargetMissingError(TargetUnavailableError):
    """There is no such file or database."""


class TargetUnrecognizedError(TargetUnavailableError):
    """The file is there, and is no database of this kind."""


class ServerUnavailableError(TargetUnavailableError):
    """Its server is down or does not answer: a running operation waits for it."""

    reason = Reason.OPERATION_ERROR

    def __init__(
        self, what: str, why: str, hint: str = "", *, state: str = "server is down", left_socket: bool | None = None
    ) -> None:
        """
        Args:
            state: of the server, as a short text.
            left_socket: whether it left the socket behind on which it listened, as one that dies does, or removed it,
                as one that is shut down does; None: not known, or it is reached by the network.
        """
        self.state, self.left_socket = state, left_socket
        super().__init__(what, why, hint)


class ServerTimeoutError(ServerUnavailableError):
    """It accepts connections and does not answer in time: so does every database on it."""


class TargetDamagedError(TargetUnavailableError):
    """It is too damaged to be opened. A check reports that; nothing else can be done."""

    reason = Reason.OPERATION_ERROR


class ServerDiedError(TargetDamagedError):
    """The server went down while dbtend read a table: a damaged page may have ended it."""

    reason = Reason.SERVER_DIED

    def __init__(self, what: str, table: str, database: str) -> None:
        """`table`: as a plan names it. `database`: see `Target.identify`."""
        super().__init__(what, f"the server died while reading {table}", "read its error log")
        self.table, self.database = table, database


class PasswordNeededError(TargetUnavailableError):
    """Its server asks for a password, and none was typed, or a wrong one."""


class TargetRefusedError(TargetError):
    """Preflight: the target can be opened, but the operation must not run on it."""

    kind = ErrorKind.REFUSED
    reason = Reason.REFUSED


class HotJournalError(TargetRefusedError):
    """A process died in a transaction on the file, which must be rolled back before anything can be read."""


class TargetBusyError(TargetError):
    """A lock could not be acquired within the lock timeout."""

    kind = ErrorKind.BUSY
    reason = Reason.TARGET_BUSY


class SystemLimitError(DbtendError):
    """The operating system refuses a resource."""

    kind = ErrorKind.SYSTEM

    @classmethod
    def of(cls, error: Exception) -> SystemLimitError | None:
        """The error for an exception of the operating system; None for other exceptions."""
        if isinstance(error, MemoryError):
            return cls("memory", "there is not enough of it", "free some, or raise its limit (ulimit -v)")
        if isinstance(error, RecursionError):
            return cls("input", "it nests too deeply", "make it flatter")
        if isinstance(error, RuntimeError) and "new thread" in str(error):  # Python has no other name for it
            return cls(
                "the system", "it starts no more threads", "raise the limits on memory and processes (ulimit -v -u)"
            )
        if not isinstance(error, OSError):
            return None
        why, hint = error.strerror or str(error), _HINTS.get(error.errno or 0, "")
        return cls(str(error.filename), why, hint) if error.filename else cls("the system", f"it refuses: {why}", hint)


_HINTS: Final = {
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "too much is open on this machine: end something",
    errno.ENOMEM: "free some memory, or raise its limit (ulimit -v)",
    errno.EAGAIN: "raise the limit on processes (ulimit -u)",
    errno.ENOSPC: "make room on its file system",
    errno.ENAMETOOLONG: "give a shorter name",
}


class ServerStartingError(TargetBusyError):
    """Its server is starting up, shutting down or in recovery."""

    reason = Reason.OPERATION_ERROR

    def __init__(self, what: str, why: str, hint: str = "", *, state: str = "server is starting up") -> None:
        """`state`: the state of the server, as a short text."""
        self.state = state
        super().__init__(what, why, hint)


class TooManyConnectionsError(TargetBusyError):
    """Its server, or its pooler, has no connection left: at all, for this role, or to this database."""

    reason = Reason.OPERATION_ERROR

    def __init__(self, what: str, why: str, hint: str = "", *, state: str = "server has no connection left") -> None:
        """`state`: the state of the server or the account, as a short text."""
        self.state = state
        super().__init__(what, why, hint)


class InternalError(DbtendError):
    """A defect of dbtend itself."""

    kind = ErrorKind.INTERNAL


def internal_error(error: Exception) -> InternalError:
    return InternalError("internal error", f"{type(error).__name__}: {error}", "repeat with --debug for details")


def no_such_batch(batch_id: int) -> JobNotFoundError:
    return JobNotFoundError(f"batch b{batch_id}", "there is no such batch", "list jobs with `dbtend history`")


def no_such_job(job: JobId) -> JobNotFoundError:
    return JobNotFoundError(f"job {job}", "there is no such job", "list them with `dbtend history`")
