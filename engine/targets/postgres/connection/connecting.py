"""Opens connections for maintenance: settings such as lock_timeout, read back, and the server's identity."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import psycopg

from engine.domain import typed_passwords
from engine.domain.errors import PasswordNeededError, TargetUnavailableError, TooManyConnectionsError
from engine.domain.frozen import frozen
from engine.system.dsn import Address
from engine.system.local_servers import NO_HOST_NAME
from engine.targets.answer_shapes import Shape
from engine.targets.postgres.connection import pooling
from engine.targets.postgres.connection.bounded import ANSWER_WITHIN, STRANGE, AnswerError, Connection
from engine.targets.postgres.connection.errors import connecting_error, reading_error
from engine.targets.postgres.queries import query

CONNECTED_WITHIN: Final = 10.0
"""Seconds within which a server must answer each message of the login."""
POOL_GIVES_WITHIN: Final = 3.0
"""Seconds within which a pooler must give a further connection; an exhausted one lets clients wait."""
GONE_AFTER: Final = 2
"""Seconds until the server notices a lost client and ends its statement."""
KEEPALIVE: Final = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "connect_timeout": "10",
}


@frozen
class Server:
    """Who answers on a connection."""

    version: int
    """The number in server_version_num, such as 170010."""
    version_text: str
    connection_id: int
    """The pid of its process there. Behind a pooler, libpq knows another one."""
    database: str
    database_oid: int
    system: str
    """The identifier of the cluster, the same under whatever address."""
    user: str
    is_superuser: bool
    is_standby: bool
    reads_only: bool
    started: str
    """Start time of the server; it changes with a restart."""
    connected: float
    """When the connection was opened, by the clock of the server: seconds since 1970."""
    login: str
    """The role that logged in; `user` may be another one."""
    login_limit: int | None
    """The CONNECTION LIMIT of that role; None: without one."""
    database_limit: int | None
    """That of the database, for this role."""
    is_pooled: bool = False
    """Whether a pooler is in between."""

    @property
    def key(self) -> str:
        return f"{self.host_key}:{self.database_oid}"

    @property
    def host_key(self) -> str:
        return f"postgresql:{self.system}"


_ROW_OF_WHO: Final[Shape] = (
    int, str, int, str, int, str | None, str, bool, bool, bool, str, float, str, int | None, int | None, str, str, str
)  # fmt: skip
# English words, where we may ask for them.
_IN_ENGLISH: Final = "CASE WHEN {may} THEN pg_catalog.set_config('lc_messages', 'C', false) END"
_MAY: Final = "pg_catalog.has_parameter_privilege('lc_messages', 'SET')"
_MAY_BEFORE_15: Final = "pg_catalog.current_setting('is_superuser')::pg_catalog.bool"
_VERSIONS: Final = range(90_000, 1_000_000)
"""The version numbers of anything that could be PostgreSQL."""


async def connect(
    address: Address,
    *,
    name: str,
    lock_timeout: float,
    statement_timeout: float = 0,
    read_only: bool = False,
    of_pool: bool = False,
) -> tuple[Connection, Server]:
    """Connect, and set every limit that could end maintenance too soon or let it run without end.

    Sets nothing before it is known that no pooler shares the server connection.

    Args:
        name: the application_name.
        read_only: let the server refuse every change.
        of_pool: whether an earlier connection went through a pooler.

    Raises TargetError; TooManyConnectionsError also if that pooler has none left.
    """
    parameters, what = address.parameters, address.url
    asked: dict[str, Any] = {**{key: value for key, value in KEEPALIVE.items() if key not in parameters}, **parameters}
    asked |= {"application_name": name, "client_encoding": "UTF8"}  # SQL_ASCII would give bytes for text
    connection = await _opened(what, asked)
    connection.patience = CONNECTED_WITHIN
    try:
        is_pooled = await _has_pooler(connection, what, POOL_GIVES_WITHIN if of_pool else None)
        if is_pooled:
            connection.prepare_threshold = None
            await pooling.refuse_shared(connection, lambda: _opened(what, asked), what)
            await connection.restore_settings_on_close()
        server = replace(await _set_up(connection, lock_timeout, statement_timeout, what, asked), is_pooled=is_pooled)
        if read_only:
            await connection.execute("SELECT pg_catalog.set_config('default_transaction_read_only', 'on', false)")
        connection.patience = ANSWER_WITHIN
    except BaseException as error:
        was_closed = connection.closed
        await connection.close()
        if isinstance(error, psycopg.Error) and error.sqlstate is None and not was_closed:
            raise reading_error(what, AnswerError(STRANGE)) from None
        if isinstance(error, AnswerError):
            raise reading_error(what, error) from None
        if isinstance(error, psycopg.Error):
            raise connecting_error(what, error) from None
        raise
    return connection, server


async def _opened(what: str, asked: Mapping[str, Any]) -> Connection:
    """A connection to which nothing has been said yet. Raises TargetError."""
    password = typed_passwords.typed_for(what)
    known = asked if password is None else {**asked, "password": password}
    try:
        return await Connection.connect(autocommit=True, **known)
    except (psycopg.Error, OSError) as error:
        problem = connecting_error(what, error, typed=password is not None)
        if isinstance(problem, PasswordNeededError):
            typed_passwords.drop(what)
        raise problem from None
    except UnicodeError:
        raise TargetUnavailableError(what, NO_HOST_NAME, "check its spelling") from None


async def _has_pooler(connection: Connection, what: str, within: float | None) -> bool:
    """Raises TooManyConnectionsError if there is no answer within that many seconds."""
    try:
        async with asyncio.timeout(within):
            return await pooling.has_pooler(connection)
    except TimeoutError:
        why = f"its pooler gives no further connection within {within:g} s"
        raise TooManyConnectionsError(what, why, "end some connections, or raise the size of the pool") from None


async def _set_up(
    connection: Connection, lock_timeout: float, statement_timeout: float, what: str, asked: Mapping[str, str]
) -> Server:
    version = connection.info.server_version
    if version not in _VERSIONS:
        raise AnswerError("it says of itself no version that PostgreSQL has")
    milliseconds = max(round(lock_timeout * 1000), 1)  # 0 means no limit
    settings = {
        "statement_timeout": f"{round(statement_timeout * 1000)}",
        "lock_timeout": f"{milliseconds}",
        "idle_in_transaction_session_timeout": "0",
        "search_path": "",
        "client_min_messages": "notice",
        "application_name": asked["application_name"],
        # The server gives a network up that drops everything after as long as we do.
        "tcp_keepalives_idle": asked["keepalives_idle"],
        "tcp_keepalives_interval": asked["keepalives_interval"],
        "tcp_keepalives_count": asked["keepalives_count"],
        "tcp_user_timeout": asked["tcp_user_timeout"],
    }
    if version >= 140_000:
        settings["idle_session_timeout"] = "0"
    if version >= 170_000:
        settings["transaction_timeout"] = "0"
    if version >= 140_000:
        settings["client_connection_check_interval"] = f"{GONE_AFTER}s"
    try:
        backend = await _set(connection, settings)
    except psycopg.errors.Error:
        if connection.closed or settings.pop("client_connection_check_interval", None) is None:
            raise
        backend = await _set(connection, settings)  # some servers cannot watch their clients
    *who, timeout, locks, path = await connection.row(query("server"), row=_ROW_OF_WHO)
    server = Server(*who)
    if server.version not in _VERSIONS:
        raise AnswerError("it says of itself no version that PostgreSQL has")
    kept = (backend, path, timeout == "0" or statement_timeout > 0, locks != "0")
    if kept != (server.connection_id, "", True, True):
        why = "does not keep what a session is set to: it seems to go through a pooler"
        raise TargetUnavailableError(what, why, "give the address of the server itself, or a pool in session mode")
    return server


async def _set(connection: Connection, settings: Mapping[str, str]) -> int:
    """Set all of these, or none. Returns the pid of the process that did. Raises psycopg.Error."""
    may = _MAY if connection.info.server_version >= 150_000 else _MAY_BEFORE_15
    calls = [_IN_ENGLISH.format(may=may), *["pg_catalog.set_config(%s, %s, false)"] * len(settings)]
    query = f"SELECT pg_catalog.pg_backend_pid(), {', '.join(calls)}"
    words = [word for pair in settings.items() for word in pair]
    backend, *_ = await connection.row(query, words, row=(int, *[str | None] * len(calls)))
    return int(backend)
