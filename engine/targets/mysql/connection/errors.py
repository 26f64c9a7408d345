"""Errors of MariaDB and MySQL as sentences that say what to do."""

from __future__ import annotations

import pymysql

from engine.domain.errors import ServerUnavailableError, TargetError, TargetUnavailableError
from engine.domain.masking import masked
from engine.targets.mysql.connection.bounded import AnswerError

LONGEST_SENTENCE = 1_000


def number_of(error: BaseException) -> int:
    """The error's number; 0 if it has none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def server_message(error: BaseException) -> str:
    """The first line of an error message, redacted."""
    lines = str(error.args[-1] if error.args else error)[:LONGEST_SENTENCE].strip().splitlines()
    return masked("".join(filter(str.isprintable, lines[0])) if lines else "no reason given")


def connecting_error(what: str, error: BaseException) -> TargetError:
    return ServerUnavailableError(what, f"cannot be connected to: {server_message(error)}")


def lost_connection(error: pymysql.MySQLError) -> bool:
    """Whether the error means that the server or the network ended the connection."""
    return not isinstance(error, AnswerError) and number_of(error) in {2006, 2013, 1053}


def reading_error(what: str, error: pymysql.MySQLError) -> TargetError:
    """Why the catalog could not be read."""
    if isinstance(error, AnswerError):
        return TargetUnavailableError(what, server_message(error), "check that it is a MariaDB or MySQL server")
    if lost_connection(error):
        return ServerUnavailableError(what, "the connection was lost", "check the server, then try again")
    return TargetError(what, f"cannot be inspected: {server_message(error)}", "")
