"""What it means that the server of the store refused a connection.

Such an error has no SQLSTATE, only text; text in another language is shown unchanged.
"""

from __future__ import annotations

import re
from typing import Final

from engine.domain.errors import StoreBusyError, StoreError, StoreUnreachableError

_WHERE_IT_IS: Final = "put the password into ~/.pgpass (mode 0600) or a service file"
_REFUSALS: Final[tuple[tuple[str, type[StoreError], str, str], ...]] = (
    (r"too many c|remaining connection slots", StoreBusyError, "the server has no connection left",
        "end some connections, or raise max_connections"),
    (r"server is in hot standby mode", StoreUnreachableError, "only a standby server answers, which is read-only",
        "give the URL of the primary server, or promote one"),
    (r"no password supplied|fe_sendauth", StoreError, "it asks for a password, and none was found", _WHERE_IT_IS),
    (r"password authentication failed", StoreError, "the password is wrong", _WHERE_IT_IS),
    (r'role "[^"]*" does not exist', StoreError, "the role does not exist", "check the user in the URL"),
    (r'database "[^"]*" does not exist', StoreError, "there is no such database",
        "make it with createdb, then run `dbtend store init`"),
    (r"no pg_hba\.conf entry", StoreError, "its pg_hba.conf has no entry for this connection",
        "allow the host, user and database there"),
    (r"service .* not found|service file .* not found", StoreError, "the service does not exist",
        "name it in ~/.pg_service.conf, or in the file that PGSERVICEFILE names"),
    (r"permission denied for database", StoreError, "the role has no CONNECT privilege on it",
        "GRANT CONNECT ON DATABASE ... TO ..."),
    (r"starting up|recovery mode|not yet accepting|shutting down", StoreUnreachableError,
        "the server is not up", "try again in a moment"),
    (r"Connection refused|No such file or directory|could not translate host|Name or service|No route to host",
        StoreUnreachableError, "cannot be reached: no server answers there",
        "check host and port, and whether it runs"),
    (r"timeout expired|timed out", StoreUnreachableError, "cannot be reached: the server does not answer",
        "check host and network"),
)  # fmt: skip


def refusal(what: str, text: str) -> StoreError | None:
    """The error for the text of a connection that failed; None if it says nothing that is known."""
    if "unsupported startup parameter" in text:  # of a pooler
        return behind_pooler(what)
    found = next((entry for entry in _REFUSALS if re.search(entry[0], text)), None)
    if found is None:
        return None
    _, kind, why, hint = found
    return kind(what, why, hint)


def behind_pooler(what: str) -> StoreError:
    why = "is behind a connection pooler, and the store needs sessions of its own"
    return StoreError(what, why, "give the address of the server itself")


def namesake_error(host: str) -> StoreError:
    """Why a host is refused while another one works under its name."""
    why = f"another machine that works for this store is called {host}, too"
    hint = "give each its own name, such as DBTEND_HOST=NAME; right after a crash of this one, wait 15 s"
    return StoreError("this host", why, hint)
