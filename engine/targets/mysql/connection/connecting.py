"""Opens connections for maintenance: login, settings such as lock_wait_timeout, read back, and who answers."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import socket
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import pymysql

from engine.domain import typed_passwords
from engine.domain.errors import PasswordNeededError, TargetRefusedError, TargetUnavailableError, UsageError
from engine.system.daemon_threads import DaemonThreads
from engine.system.local_servers import NO_HOST_NAME
from engine.targets.mysql.connection.address import PORT, Address
from engine.targets.mysql.connection.bounded import AnswerError, Wire
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import (
    NO_RIGHT,
    SocketLeftError,
    connecting_error,
    number_of,
    out_of_step,
    reading_error,
)
from engine.targets.mysql.connection.login import TlsMode, methods, tls_context, tls_mode
from engine.targets.mysql.connection.names import account
from engine.targets.mysql.connection.server import RECOVERY, Cluster, Flavor, Server
from engine.targets.mysql.queries import query

CONNECTED_WITHIN: Final = 10.0
"""Seconds within which a server must answer each message of the login."""
LOGIN_WITHIN: Final = 30.0
"""Seconds within which a server must answer all messages of the login."""
IDLE: Final = 31_536_000
"""Seconds that a session may wait for its next statement: a year, the most there is."""
SOCKETS: Final = (
    "/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock",  # noqa: S108
)  # fmt: skip
"""The usual places of a socket."""
_KEEPALIVE: Final = {
    socket.TCP_KEEPIDLE: 30,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 60_000,
}
_T = TypeVar("_T")
_Reached = tuple[Address, Mapping[str, str], socket.socket]
"""A server's complete address, what option files and the URL say of it, and a connected socket."""


async def connect(
    address: Address,
    *,
    name: str,
    lock_timeout: float,
    read_only: bool = False,
    binlog: bool = True,
    statement_timeout: float = 0.0,
) -> tuple[Connection, Server]:
    """Connect, and set every limit that could end maintenance too soon or let it wait without end.

    Args:
        name: the program's name in the attributes of the connection, such as `dbtend 12.1`.
        lock_timeout: seconds; the server counts whole ones, so it is rounded up.
        read_only: let the server refuse every change.
        binlog: whether changes go into the binary log. Raises TargetRefusedError where the user may not leave them out.
        statement_timeout: seconds of a query; 0: no limit.

    Raises TargetError.
    """
    complete, options, sock = await _reached(address)
    typed = typed_passwords.typed_for(address.url)
    password = typed or options.get("password", "")
    try:
        connection = Connection(_wire(complete, options, name, password, sock), sock)
    except BaseException:
        sock.close()
        raise
    try:
        await connection.login(LOGIN_WITHIN)
        flavor, version = await _version(connection, address.url)
        await _set_up(
            connection, flavor, lock_timeout, statement_timeout, address.url, read_only=read_only, binlog=binlog
        )
        server = await _server(connection, flavor, version)
        if server.is_galera:
            await _set_up_node(connection, address.url, binlog=binlog)
    except BaseException as error:
        await connection.close()
        if isinstance(error, AnswerError):
            raise reading_error(address.url, error) from None
        if isinstance(error, pymysql.MySQLError):
            problem = connecting_error(
                address.url, error, database=address.database, password=password, typed=typed is not None
            )
            if isinstance(problem, PasswordNeededError):
                typed_passwords.drop(address.url)
            raise problem from None
        raise
    return connection, server


async def _reached(address: Address) -> _Reached:
    """Raises TargetError."""
    what = address.url
    reaching = asyncio.ensure_future(DaemonThreads(1).run(lambda: _reach(address)))
    try:
        async with asyncio.timeout(LOGIN_WITHIN):
            return await asyncio.shield(reaching)
    except asyncio.CancelledError:
        reaching.add_done_callback(_close_late)
        raise
    except UsageError as error:
        raise TargetUnavailableError(what, f"{error.what}: {error.why}", error.hint) from None
    except UnicodeError:
        raise TargetUnavailableError(what, NO_HOST_NAME, "check its spelling") from None
    except (OSError, TimeoutError) as error:
        reaching.add_done_callback(_close_late)
        raise connecting_error(what, error) from None


def _close_late(reaching: asyncio.Future[_Reached]) -> None:
    """Close a socket that came too late."""
    if not reaching.cancelled() and reaching.exception() is None:
        reaching.result()[2].close()


def _wire(address: Address, options: Mapping[str, str], name: str, password: str, sock: socket.socket) -> Wire:
    """Raises TargetUnavailableError."""
    is_local = sock.family == socket.AF_UNIX
    mode = tls_mode(options, address.url)
    has_tls = not is_local and mode is not TlsMode.DISABLED
    return Wire(
        tls=tls_context(options, mode, address.url) if has_tls else None,
        needs_tls=mode is not TlsMode.PREFERRED,
        timeout=CONNECTED_WITHIN,
        user=address.user,
        password=password.encode(),
        host=address.host,
        database=address.database or None,
        program_name=name,
        auth_plugin_map=methods(is_trusted=is_local or (has_tls and mode.is_verified)),
    )


def _reach(address: Address) -> _Reached:
    """Raises UsageError, OSError."""
    found = address.options()
    complete = address.complete(found)
    path = complete.parameters.get("socket", "")
    if not complete.port and not path:
        path = next((place for place in SOCKETS if Path(place).exists()), "")
    return complete, {**found, **complete.parameters}, _connected(complete, path)


def _connected(address: Address, path: str) -> socket.socket:
    if path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECTED_WITHIN)
            sock.connect(path)
        except BaseException as error:
            sock.close()
            if isinstance(error, ConnectionRefusedError):
                raise SocketLeftError from error
            raise
        return sock
    sock = socket.create_connection((address.host, address.port or PORT), CONNECTED_WITHIN)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


async def _version(connection: Connection, what: str) -> tuple[Flavor, tuple[int, ...]]:
    text, comment, connection.id, pseudo = await connection.row(
        "SELECT VERSION(), @@version_comment, CONNECTION_ID(), @@pseudo_thread_id", row=(str, str, int, int)
    )
    if {number % 2**32 for number in (connection.id, pseudo)} != {connection.greeted_as}:
        raise TargetUnavailableError(what, f"is another session than that of the login: {_PROXY}", _ITSELF)
    numbers = re.match(r"(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?", text)
    if numbers is None:
        raise AnswerError("it says of itself no version that MariaDB or MySQL has")
    flavor = Flavor.MARIADB if "mariadb" in f"{text} {comment}".lower() else Flavor.MYSQL
    return flavor, tuple(int(number) for number in numbers.groups(default="0"))


async def _set_up(
    connection: Connection,
    flavor: Flavor,
    lock_timeout: float,
    statement_timeout: float,
    what: str,
    *,
    read_only: bool,
    binlog: bool,
) -> None:
    """Set the session, and read back what it is set to."""
    seconds = min(max(math.ceil(lock_timeout), 1), IDLE)
    settings: dict[str, int | float | str] = {
        "lock_wait_timeout": seconds,
        "innodb_lock_wait_timeout": seconds,
        "wait_timeout": IDLE,
        # No ANSI_QUOTES, no NO_BACKSLASH_ESCAPES; a copy of a table accepts all of its values.
        "sql_mode": "NO_ENGINE_SUBSTITUTION",
        "lc_messages": "en_US",
        # The catalog is read to its end, whatever the server allows applications.
        "sql_select_limit": 2**64 - 1,
        "sql_big_selects": 1,
    }
    if flavor is Flavor.MARIADB:
        settings["max_statement_time"] = float(statement_timeout)
    else:
        settings["max_execution_time"] = round(statement_timeout * 1000)
        settings["information_schema_stats_expiry"] = 0
    values = {name: repr(value) if isinstance(value, str) else f"{value}" for name, value in settings.items()}
    await connection.short_command("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in values.items()))
    if read_only:
        await connection.short_command("SET SESSION TRANSACTION READ ONLY")
    if not binlog:
        await set_log_bin(connection, flavor, what, "0")
    kinds = tuple(map(type, settings.values()))
    found = await connection.row("SELECT " + ", ".join(f"@@SESSION.{name}" for name in settings), row=kinds)
    (again,) = await connection.row("SELECT CONNECTION_ID()", row=(int,))
    if again != connection.id or found != tuple(settings.values()):
        raise TargetUnavailableError(what, f"does not keep what a session is set to: {_PROXY}", _ITSELF)


_PROXY: Final = "it seems to go through a proxy that shares connections"
_ITSELF: Final = "give the address of the server itself"


async def set_log_bin(connection: Connection, flavor: Flavor, what: str, value: str) -> None:
    """Set whether changes go into the binary log. Raises TargetRefusedError, pymysql.MySQLError."""
    try:
        await connection.short_command(f"SET SESSION sql_log_bin = {value}")
    except pymysql.MySQLError as error:
        if number_of(error) not in NO_RIGHT:
            raise
        right = "BINLOG ADMIN" if flavor is Flavor.MARIADB else "SESSION_VARIABLES_ADMIN"
        (user,) = await connection.row("SELECT CURRENT_USER()", row=(str,))
        why = f"{user} may not keep changes out of the binary log"
        raise TargetRefusedError(what, why, f"as an administrator: GRANT {right} ON *.* TO {account(user)};") from None


async def _set_up_node(connection: Connection, what: str, *, binlog: bool) -> None:
    """Check that a node of a Galera cluster takes statements. Without `binlog` it keeps ALTER TABLE to itself.

    Raises ServerStartingError, pymysql.MySQLError.
    """
    _, is_ready = await connection.row("SHOW GLOBAL STATUS LIKE 'wsrep_ready'", row=(str, str))
    if is_ready != "ON":
        raise out_of_step(what)
    if not binlog:  # for ALTER TABLE Galera does not look at sql_log_bin
        await connection.short_command("SET SESSION wsrep_osu_method = 'RSU'")


_VARIABLES: Final = (
    *RECOVERY.values(), "datadir", "group_replication_group_name", "hostname", "innodb_force_recovery",
    "innodb_read_only", "lower_case_table_names", "port", "read_only", "server_uid", "server_uuid",
    "show_gipk_in_create_table_and_information_schema", "sql_require_primary_key", "super_read_only", "wsrep_on",
    "wsrep_provider",
)  # fmt: skip
_MAY_WRITE: Final = re.compile(r"\b(ALL PRIVILEGES|SUPER|CONNECTION_ADMIN|READ_ONLY ADMIN)\b.* ON \*\.\* ")


async def _server(connection: Connection, flavor: Flavor, version: tuple[int, ...]) -> Server:
    user, database = await connection.row("SELECT CURRENT_USER(), DATABASE()", row=(str, str | None))
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    found = dict(await connection.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})", row=(str, str)))
    identity = "\0".join(found.get(name, "") for name in ("server_uuid", "server_uid", "hostname", "port", "datadir"))
    (started,) = await connection.row(query("started", mariadb=flavor is Flavor.MARIADB), row=(int,))
    return Server(
        flavor=flavor,
        version=version,
        connection_id=connection.id,
        user=user,
        database=database or "",
        host_key=f"{flavor}:{hashlib.sha256(identity.encode()).hexdigest()[:32]}",
        reads_only=await _reads_only(connection, found),
        is_read_only=_is_read_only(found),
        is_replica=await _is_replica(connection, flavor, version),
        cluster=cluster(found, await _members(connection, found)),
        started=started,
        recovers=recovers(found),
        is_innodb_read_only=_is_innodb_read_only(found),
        requires_primary_key=_requires_primary_key(found),
        has_group=bool(found.get("group_replication_group_name")),
        ignores_case=found.get("lower_case_table_names", "0") != "0",
    )


def recovers(variables: Mapping[str, str]) -> dict[str, str]:
    """See `Server`."""
    found = {engine: variables.get(name, "") for engine, name in RECOVERY.items()}
    return {engine: how for engine, how in found.items() if how not in {"", "OFF"}}


async def _reads_only(connection: Connection, variables: dict[str, str]) -> bool:
    if variables.get("super_read_only") == "ON" or _is_innodb_read_only(variables):
        return True
    if not _is_read_only(variables):
        return False
    grants = await connection.short_command("SHOW GRANTS")
    return not any(_MAY_WRITE.search(text or "") for (text,) in grants)


def _is_innodb_read_only(variables: Mapping[str, str]) -> bool:
    return variables.get("innodb_read_only") == "ON" or variables.get("innodb_force_recovery", "0") in {"4", "5", "6"}


def _requires_primary_key(variables: Mapping[str, str]) -> bool:
    """False where the server hides the primary keys that it made by itself."""
    is_shown = variables.get("show_gipk_in_create_table_and_information_schema", "ON") == "ON"
    return is_shown and variables.get("sql_require_primary_key") == "ON"


def _is_read_only(variables: Mapping[str, str]) -> bool:
    return variables.get("read_only", "OFF") != "OFF"


async def _is_replica(connection: Connection, flavor: Flavor, version: tuple[int, ...]) -> bool:
    """False where the user may not know."""
    command = "SHOW ALL SLAVES STATUS" if flavor is Flavor.MARIADB else "SHOW REPLICA STATUS"
    if flavor is Flavor.MYSQL and version < (8, 0, 22):
        command = "SHOW SLAVE STATUS"
    return bool(await _unless_refused(connection, connection.short_command(command)))


async def _members(connection: Connection, variables: Mapping[str, str]) -> int | None:
    """How many members its replication group has, as far as it knows; None where it may not say."""
    if not variables.get("group_replication_group_name"):
        return 0
    found = await _unless_refused(connection, connection.row(query("group_members"), row=(int,)))
    return int(found[0]) if found is not None else None


async def _unless_refused(connection: Connection, answer: Awaitable[_T]) -> _T | None:
    """None where the server refuses it. Raises pymysql.MySQLError where the connection is lost."""
    try:
        return await answer
    except pymysql.MySQLError:
        if connection.closed:
            raise
        return None


def cluster(variables: Mapping[str, str], members: int | None) -> Cluster | None:
    """What the server belongs to. `members`: of its replication group; None: not known."""
    if variables.get("wsrep_on") == "ON" and variables.get("wsrep_provider", "none") not in {"", "none"}:
        return Cluster.GALERA
    return None if members == 0 else Cluster.GROUP_REPLICATION
