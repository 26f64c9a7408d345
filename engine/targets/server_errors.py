"""Errors that all servers have, in sentences that say what to do."""

from __future__ import annotations

from typing import Final

from engine.domain.errors import ServerUnavailableError, TargetError
from engine.domain.masking import masked

LONGEST_SENTENCE: Final = 1_000
"""Characters of a server message that are read."""

# Why a connection failed, and what to do:
SHUTTING_DOWN: Final = "the server is shutting down", "try again when it is up"
SILENT: Final = "the server does not answer", "check host and network"
ENDED: Final = "the server ended the connection", "check whether it runs"
NONE_FOUND: Final = "it asks for a password, and none was found"
TYPED_IS_WRONG: Final = "the password that was typed is wrong"

# Why a step failed:
DEADLOCKED: Final = "the server ended it to resolve a deadlock with another session"
NO_CONNECTION_LEFT: Final = "the server has no connection left. End some, or use fewer --jobs"


def first_line(message: str) -> str:
    """The first line of what a server says, redacted."""
    lines = message[:LONGEST_SENTENCE].strip().splitlines()
    return masked("".join(filter(str.isprintable, lines[0])) if lines else "no reason given")


def not_connected(what: str, message: str) -> TargetError:
    """`message`: of the server; nothing else is known of its cause."""
    return ServerUnavailableError(what, f"cannot be connected to: {message}", state="server cannot be connected to")


def not_read(what: str, message: str) -> TargetError:
    """The same, where the catalog cannot be read."""
    return TargetError(what, f"cannot be inspected: {message}")


def lost(what: str) -> TargetError:
    return ServerUnavailableError(what, "the connection was lost", "check the server, then try again")


def cancelled(message: str) -> str:
    """Why a step failed that no one here cancelled."""
    return f"another session cancelled it: {message}"
