"""Errors of MariaDB and MySQL as sentences that say what to do."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from typing import Final

import pymysql

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
from engine.domain.statuses import Reason
from engine.targets import server_errors
from engine.targets.mysql.connection.bounded import AnswerError
from engine.targets.mysql.connection.names import account, quote
from engine.targets.mysql.connection.option_files import Password, exposed_files
from engine.targets.waits import no_lock

LOCK_TIMEOUT: Final = 1205
DEADLOCK: Final = 1213
INTERRUPTED: Final = 1317
"""A KILL QUERY ended the statement."""
TIMED_OUT: Final = frozenset({1969, 3024})
"""max_statement_time or max_execution_time ended the statement."""
NOT_THIS_DATABASE: Final = 1044
UNKNOWN_COMMAND: Final = 1047
"""Also of the node of a Galera cluster that takes no statements on tables: it is joining, or has lost the majority."""
_ACCOUNT: Final = re.compile(r"'(.*)'@'([^']*)'")
DENIED: Final = 1142
NO_RIGHT: Final = frozenset({NOT_THIS_DATABASE, 1095, DENIED, 1143, 1227, 1370, 1698})
NO_SUCH_TABLE: Final = 1146
NO_TABLE: Final = frozenset({1049, 1051, 1109, NO_SUCH_TABLE})
IS_READ_ONLY: Final = 1290
READ_ONLY: Final = frozenset({IS_READ_ONLY, 1792, 1836, 3989})
NEEDS_KEY: Final = 3750
DISK_FULL: Final = frozenset({1021, 1114, 1878, 3675})
NOT_SUPPORTED: Final = frozenset({1178, 1235, 1286, 1845, 1846})
"""The server cannot do this; also raised for an ALTER TABLE that is impossible with this ALGORITHM or LOCK."""
DAMAGED: Final = frozenset({1033, 1034, 1035, 1194, 1195, 1712, 1812, 1877, 1932})
CONNECTION_LOST: Final = 2013
LOST: Final = frozenset({1053, 1080, 1927, 2006, CONNECTION_LOST, 2055, 3032, 4031})
"""The server or the network ended the connection."""
NO_SPACE: Final = 28
"""ENOSPC, the number of the operating system in `Got error 28 ... from storage engine`."""
FROM_ENGINE: Final = frozenset({3, 20, 1026, 1030})
"""The errors whose text has a number of the operating system in it."""
OF_ACCOUNT: Final = frozenset({1203, 1226})
"""The limits of an account, or of all accounts of a user."""
ACCESS_DENIED: Final = frozenset({1045, 1698})
NEEDS_TLS: Final = 2061
"""A login would send a password that others on the network can read."""
_OTHER_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_OR_TLS: Final = "the server says the same where the account asks for TLS or a certificate (REQUIRE SSL or X509)"
WHERE_PASSWORDS_ARE: Final = (
    "put it into ~/.my.cnf (mode 0600), below [client]; a typed password is known only to the process that asked for it"
)

_REFUSALS: Final[Mapping[int, tuple[type[TargetError], str, str]]] = {
    **dict.fromkeys(LOST, (ServerUnavailableError, *server_errors.ENDED)),
    1040: (TooManyConnectionsError, "the server has no connection left", "end some, or raise max_connections"),
    1203: (TooManyConnectionsError, "the user has no connection left", "end some, or raise max_user_connections"),
    1226: (TooManyConnectionsError, "the user has reached a limit of its account", "wait, or ALTER USER ... WITH ..."),
    1049: (TargetMissingError, "the database does not exist", "list them with SHOW DATABASES"),
    1129: (TargetUnavailableError, "the server blocks this host after failed connections", "run FLUSH HOSTS there"),
    1130: (TargetUnavailableError, "the server has no user for this host", "CREATE USER 'USER'@'HOST' there"),
    1251: (TargetUnavailableError, "the user logs in by a method that is out of date", "ALTER USER, with another one"),
    1524: (TargetUnavailableError, "the plugin of the user's login is not loaded", "load it, or ALTER USER"),
    1820: (TargetUnavailableError, "the password has expired", "ALTER USER ... IDENTIFIED BY ..."),
    1862: (TargetUnavailableError, "the password has expired", "ALTER USER ... IDENTIFIED BY ..."),
    2026: (TargetUnavailableError, "the server has no TLS", "switch it on there, or give ?ssl-mode=DISABLED"),
    2059: (TargetUnavailableError, "the user's login is by a plugin that dbtend does not have", "ALTER USER"),
    NEEDS_TLS: (
        TargetUnavailableError,
        "the user's login would send the password where others can read it",
        "switch on TLS at the server; for a password as plain text give ?ssl-ca=PATH, too",
    ),
    3118: (TargetUnavailableError, "the user's account is locked", "ALTER USER ... ACCOUNT UNLOCK"),
    3159: (TargetUnavailableError, "the server allows only connections with TLS", "leave out ssl-mode=DISABLED"),
    4151: (TargetUnavailableError, "the user's account is locked", "ALTER USER ... ACCOUNT UNLOCK"),
    1053: (ServerUnavailableError, *server_errors.SHUTTING_DOWN),
    3032: (ServerUnavailableError, "the server is in offline mode", "SET GLOBAL offline_mode = OFF there"),
}


def number_of(error: BaseException) -> int:
    """The error's number; 0 if it has none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


class SocketLeftError(ConnectionRefusedError):
    """There is a socket, and nobody listens on it."""


def server_message(error: BaseException) -> str:
    """The first line of an error message, redacted."""
    return server_errors.first_line(str(error.args[-1] if error.args else error))


def connecting_error(
    what: str, error: BaseException, *, database: str = "", password: str = "", typed: bool = False
) -> TargetError:
    """The error of a failed connection.

    Args:
        database: the one that was named.
        password: the one that was tried.
        typed: whether the user typed it.
    """
    cause = getattr(error, "original_exception", error)
    number = number_of(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"its certificate cannot be verified: {cause.verify_message}"
        is_of_other_name = cause.verify_code in _OTHER_NAME
        signed = "give the authority that signed it: ?ssl-ca=PATH"
        hint = "name the host as its certificate does, or give ?ssl-mode=VERIFY_CA" if is_of_other_name else signed
        return TargetUnavailableError(what, why, hint)
    if isinstance(cause, ssl.SSLError):
        return TargetUnavailableError(what, f"TLS fails: {cause.reason}", "check its TLS, or give ?ssl-mode=DISABLED")
    if isinstance(cause, TimeoutError):
        return ServerTimeoutError(what, *server_errors.SILENT)
    if isinstance(cause, socket.gaierror):
        return ServerUnavailableError(what, "its host name cannot be resolved", "check its spelling, and the DNS")
    if isinstance(cause, PermissionError):
        return TargetUnavailableError(what, "no permission to use its socket", "run dbtend as a user who may use it")
    if isinstance(cause, OSError):
        hint = "check host, port or socket, and whether it runs"
        left_socket = isinstance(cause, SocketLeftError) or (False if isinstance(cause, FileNotFoundError) else None)
        return ServerUnavailableError(what, "no server answers there", hint, left_socket=left_socket)
    if number in ACCESS_DENIED:
        if typed:
            return PasswordNeededError(what, server_errors.TYPED_IS_WRONG, f"{WHERE_PASSWORDS_ARE}; {_OR_TLS}")
        if not password:
            ignored = [f"{file} is ignored: {exposed}; {exposed.fix}" for file, exposed in exposed_files().items()]
            hint = ignored[0] if ignored else WHERE_PASSWORDS_ARE
            return PasswordNeededError(what, server_errors.NONE_FOUND, f"{hint}; {_OR_TLS}")
        why = "the password is wrong, the user does not exist, or its account asks for TLS or a certificate"
        hint = f"correct it in {password.file}" if isinstance(password, Password) else WHERE_PASSWORDS_ARE
        return TargetUnavailableError(what, why, hint)
    if number == NOT_THIS_DATABASE:
        named = _ACCOUNT.search(server_message(error))
        user = account(f"{named[1]}@{named[2]}") if named else "USER"
        hint = f"as an administrator: GRANT SELECT ON {quote(database)}.* TO {user};"
        return TargetUnavailableError(what, "the user has no right to this database", hint)
    if is_out_of_step(error):
        return out_of_step(what)
    if number in _REFUSALS:
        kind, why, hint = _REFUSALS[number]
        if number in OF_ACCOUNT:
            return TooManyConnectionsError(what, why, hint, state="account has no connection left")
        return kind(what, why, hint)
    return server_errors.not_connected(what, server_message(error))


def is_out_of_step(error: BaseException) -> bool:
    """Whether Galera says it. Others, such as a proxy, have no text of Galera (WSREP)."""
    return number_of(error) == UNKNOWN_COMMAND and server_message(error).startswith("WSREP")


def out_of_step(what: str) -> ServerStartingError:
    """The error of a node that takes no statements on tables."""
    hint = "try again when wsrep_ready is ON there, or give another node"
    return ServerStartingError(what, _OUT_OF_STEP, hint, state="node is not in step with its cluster")


def lost_connection(error: pymysql.MySQLError) -> bool:
    """Whether the error means that the server or the network ended the connection."""
    return not isinstance(error, AnswerError) and number_of(error) in LOST


def is_disk_full(error: BaseException) -> bool:
    number = number_of(error)
    return number in DISK_FULL or (number in FROM_ENGINE and f" {NO_SPACE} " in f"{server_message(error)} ")


def reading_error(what: str, error: pymysql.MySQLError) -> TargetError:
    """Why the catalog could not be read."""
    number = number_of(error)
    if isinstance(error, AnswerError):
        hint = "check that it is a MariaDB or MySQL server, and the network"
        return TargetUnavailableError(what, server_message(error), hint)
    if lost_connection(error):
        return server_errors.lost(what)
    if is_out_of_step(error):
        return out_of_step(what)
    if is_disk_full(error):
        return TargetError(what, "the disk of the server is full", "make room there, then try again")
    if number == LOCK_TIMEOUT:
        return TargetBusyError(what, "a table is locked by another session", "try again later")
    if number in TIMED_OUT:
        return ServerTimeoutError(what, "the server takes too long to read its catalog", "try again later")
    if number in NO_RIGHT:
        return TargetRefusedError(what, server_message(error), "grant the user the missing right")
    if number in DAMAGED:
        return TargetDamagedError(what, f"its catalog is damaged: {server_message(error)}", "restore a backup")
    return server_errors.not_read(what, server_message(error))


_OUT_OF_STEP: Final = "the node is not in step with its Galera cluster: it is joining, or has lost the majority"
ALLOWS_NO_CHANGE: Final = "the server allows no change: it is read-only, such as a replica"
_SENTENCES: Final[Mapping[int, str]] = {
    DEADLOCK: server_errors.DEADLOCKED,
    1040: server_errors.NO_CONNECTION_LEFT,
    1053: "the server was shut down",
    1927: "an administrator ended the connection",
    1037: "the server is out of memory",
    1041: "the server is out of memory",
    NEEDS_KEY: "the server changes no table without a primary key (sql_require_primary_key): add one",
    1799: "more was written to the table during the rebuild than innodb_online_alter_log_max_size holds. Raise it, or"
    " try again when less is written",
}


def explain(error: pymysql.MySQLError, *, waited: float, blockers: str = "") -> str:
    """Why a step failed. `waited`: the lock timeout in seconds; `blockers`: who held the lock, as text."""
    number = number_of(error)
    if isinstance(error, AnswerError):
        return f"{server_message(error)}. Check that it is a MariaDB or MySQL server, and the network"
    if number == LOCK_TIMEOUT:
        return no_lock(waited, blockers)
    if number == INTERRUPTED:
        return server_errors.cancelled(server_message(error))
    if is_out_of_step(error):
        return f"{_OUT_OF_STEP}. Try again when wsrep_ready is ON there"
    if number in _SENTENCES:
        return _SENTENCES[number]
    if lost_connection(error):
        return "the connection was lost: the server crashed or was shut down, or the network failed"
    if is_disk_full(error):
        return "the disk of the server is full. Make room, then try again"
    if number in READ_ONLY:
        return ALLOWS_NO_CHANGE
    return server_message(error)


def reason_of(error: pymysql.MySQLError) -> Reason | None:
    """The reason of a failure; None for an error of the operation."""
    number = number_of(error)
    if number in {LOCK_TIMEOUT, DEADLOCK, 1040, 1203} or is_out_of_step(error):
        return Reason.TARGET_BUSY
    if number in NO_RIGHT | READ_ONLY | {NEEDS_KEY}:
        return Reason.REFUSED
    if lost_connection(error) and number not in _SENTENCES:
        return Reason.SERVER_LOST
    return Reason.NOT_SUPPORTED if number in NOT_SUPPORTED else None
