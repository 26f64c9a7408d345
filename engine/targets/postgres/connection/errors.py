"""Errors of PostgreSQL as sentences that say what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import psycopg

from engine.domain.errors import (
    PasswordNeededError,
    ServerStartingError,
    ServerTimeoutError,
    ServerUnavailableError,
    TargetBusyError,
    TargetDamagedError,
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    TargetUnavailableError,
    TooManyConnectionsError,
)
from engine.domain.masking import masked
from engine.domain.statuses import Reason
from engine.targets import server_errors
from engine.targets.postgres.connection.bounded import AnswerError
from engine.targets.waits import no_lock

LOCK_TIMEOUT: Final = "55P03"
CANCELLED: Final = "57014"
DEADLOCK: Final = "40P01"
NO_RIGHT: Final = "42501"
NO_TABLE: Final = "42P01"
READ_ONLY: Final = "25006"
DISK_FULL: Final = "53100"
TERMINATED: Final = "57P01"
CRASHED: Final = "57P02"
"""Another process of the server did."""
GONE: Final = frozenset({NO_TABLE, "42704", "3F000"})
"""The planned relation, index or schema no longer exists."""
INTERNAL: Final = "XX000"
"""An internal error; also raised for a relation that was just dropped."""
_DAMAGED: Final = ("XX", "58")
"""Classes of errors: internal and corruption, and of the system: a file that is gone, a disk that cannot be read."""

_LOADING: Final = "dfmgr.c"
"""Where the server loads the library of an extension."""

LONGEST_DETAIL: Final = 200


def reports_damage(error: psycopg.Error) -> bool:
    """Whether the error means damaged data: no lock, right, cancel or lost connection, and no library
    that is missing."""
    return (error.sqlstate or "").startswith(_DAMAGED) and error.diag.source_file != _LOADING


def server_message(error: BaseException) -> str:
    """The first line of an error message, redacted."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return server_errors.first_line(primary or str(error))


def message_with_detail(error: psycopg.Error) -> str:
    """With what the server says in detail, such as which key is there twice: a value of the database, so it may be
    long, and hold anything."""
    detail = masked((error.diag.message_detail or "")[: 2 * LONGEST_DETAIL]).removesuffix(".")
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in detail)
    short = printable if len(printable) <= LONGEST_DETAIL else f"{printable[:LONGEST_DETAIL]}…"
    return f"{server_message(error)}: {short}" if short else server_message(error)


WHERE_PASSWORDS_ARE: Final = (
    "put it into ~/.pgpass (mode 0600) or a service file;"
    " a typed password is known only to the process that asked for it"
)

# A refused connection has no SQLSTATE, only text. Text in another language is shown unchanged.
_REFUSALS: Final[tuple[tuple[str, type[TargetError], str, str], ...]] = (
    (
        r'too many connections for (role|database) "', TooManyConnectionsError, "its CONNECTION LIMIT leaves none",
        "end some connections, or raise it: ALTER ROLE or DATABASE ... CONNECTION LIMIT",
    ),
    (
        r"too many clients|too many connections|remaining connection slots",
        TooManyConnectionsError, "the server has no connection left", "end some connections, or raise max_connections",
    ),
    (
        r"query_wait_timeout|no more connections allowed|max clients reached",
        TooManyConnectionsError, "its pooler has no connection left",
        "end some connections, or raise the size of the pool",
    ),
    (r"no password supplied|fe_sendauth", PasswordNeededError, server_errors.NONE_FOUND, WHERE_PASSWORDS_ARE),
    (
        r"password authentication failed", TargetUnavailableError, "the password is wrong", WHERE_PASSWORDS_ARE,
    ),
    (r'role "[^"]*" does not exist', TargetUnavailableError, "the role does not exist", "check the user in the target"),
    (
        r'database "[^"]*" does not exist', TargetMissingError, "the database does not exist",
        "list them with psql -l",
    ),
    (
        r'database "[^"]*" is not currently accepting connections', TargetUnavailableError,
        "the database accepts no connections", "ALTER DATABASE ... ALLOW_CONNECTIONS true",
    ),
    (
        r'invalid database "', TargetUnavailableError, "a DROP DATABASE left it half dropped", "drop it again",
    ),
    (
        r"no pg_hba\.conf entry", TargetUnavailableError, "its pg_hba.conf has no entry for this connection",
        "allow the host, user and database there",
    ),
    (
        r"definition of service .* not found|service file .* not found", TargetUnavailableError,
        "the service does not exist", "name it in ~/.pg_service.conf, or in the file that PGSERVICEFILE names",
    ),
    (r"shutting down", ServerUnavailableError, *server_errors.SHUTTING_DOWN),
    (
        r"starting up|recovery mode|not yet accepting|read-only|hot standby mode", ServerStartingError,
        "the server is not up yet", "try again in a moment",
    ),
    (
        r"Connection refused|No such file or directory|could not translate host|Name or service|No route to host",
        ServerUnavailableError, "no server answers there", "check host and port, and whether it runs",
    ),
    (r"timeout expired|timed out", ServerTimeoutError, *server_errors.SILENT),
    (
        r"closed the connection unexpectedly|terminating connection|reset by peer|Broken pipe",
        ServerUnavailableError, *server_errors.ENDED,
    ),
    (
        r"permission denied for database", TargetUnavailableError, "the role has no CONNECT privilege on it",
        "GRANT CONNECT ON DATABASE ... TO ...",
    ),
)  # fmt: skip


def connecting_error(what: str, error: BaseException, *, typed: bool = False) -> TargetError:
    """The error of a failed connection. `typed`: whether it used a password typed by the user."""
    words = str(error)[: server_errors.LONGEST_SENTENCE]
    if isinstance(error, psycopg.Error) and error.pgconn is not None and error.pgconn.needs_password:
        return PasswordNeededError(what, server_errors.NONE_FOUND, WHERE_PASSWORDS_ARE)
    if typed and "password authentication failed" in words:
        return PasswordNeededError(what, server_errors.TYPED_IS_WRONG, WHERE_PASSWORDS_ARE)
    for pattern, kind, why, hint in _REFUSALS:
        if re.search(pattern, words):
            return kind(what, why, hint)
    return server_errors.not_connected(what, server_message(error))


def lost_connection(error: psycopg.Error) -> bool:
    """Whether the error means that the server or the network ended the connection."""
    state = error.sqlstate
    return not isinstance(error, AnswerError) and (state is None or state.startswith(("57P", "08")))


def reading_error(what: str, error: psycopg.Error) -> TargetError:
    """Why the catalog could not be read."""
    state = error.sqlstate
    if isinstance(error, AnswerError):
        return TargetUnavailableError(what, str(error), "check that it is a PostgreSQL server, and the network")
    if state == LOCK_TIMEOUT:
        return TargetBusyError(what, "its catalog is locked by another session", "try again later")
    if lost_connection(error):
        return server_errors.lost(what)
    if state == NO_RIGHT:
        return TargetRefusedError(what, server_message(error), "connect as a role that may read the catalog")
    if state != INTERNAL and reports_damage(error):
        hint = "restore a backup of the database, or ask for help before anything is written to it"
        return TargetDamagedError(what, f"its catalog is damaged: {message_with_detail(error)}", hint)
    return server_errors.not_read(what, server_message(error))


def setting_error(what: str, error: psycopg.Error) -> TargetError:
    """Why a connection could not be prepared for a step."""
    if isinstance(error, AnswerError) or lost_connection(error):
        return reading_error(what, error)
    return TargetError(what, message_with_detail(error))


_SENTENCES: Final[Mapping[str, str]] = {
    DEADLOCK: server_errors.DEADLOCKED,
    READ_ONLY: "the server or the role allows no change: it is a standby, or default_transaction_read_only is on",
    DISK_FULL: "the disk of the server is full: the space that this step took is free again. Make room, then try again",
    "53300": server_errors.NO_CONNECTION_LEFT,
    "53200": "the server is out of memory. Lower maintenance_work_mem, or use fewer --jobs",
    TERMINATED: "an administrator ended the connection, or the server was shut down",
    CRASHED: "another process of the server crashed, and the server restarts. Unfinished work is rolled back",
    "57P03": "the server is starting or stopping",
    "XX001": "a page is damaged. Check the disk of the server and the backups before anything else",
    "XX002": "an index is damaged. REINDEX it, and check the disk of the server",
    "55006": "it is in use",
}


def explain(error: psycopg.Error, *, is_closed: bool, waited: float, blockers: str = "") -> str:
    """Why a step failed. `waited`: the lock_timeout in seconds; `blockers`: who held the lock, as text."""
    state = error.sqlstate
    if isinstance(error, AnswerError):
        return f"{error}. Check that it is a PostgreSQL server, and the network"
    if state == LOCK_TIMEOUT:
        return no_lock(waited, blockers)
    if state == CANCELLED:
        return server_errors.cancelled(server_message(error))
    if state in _SENTENCES:
        return _SENTENCES[state or ""]
    if state is None and is_closed:
        return "the connection was lost: the server crashed or was shut down at once, or the network failed"
    return message_with_detail(error)


def reason_of(error: psycopg.Error) -> Reason | None:
    """The reason of a failure; None for an error of the operation."""
    match error.sqlstate:
        case "55P03" | "55006" | "40P01":
            return Reason.TARGET_BUSY
        case "42501" | "25006":
            return Reason.REFUSED
        case "0A000":
            return Reason.NOT_SUPPORTED
        case None if lost_connection(error):
            return Reason.SERVER_LOST
        case _:
            return None
