"""How far the replicas of a server are behind: each is asked itself, as the same user."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import pymysql

from engine.domain.errors import ServerTimeoutError, TargetError, TargetRefusedError
from engine.domain.frozen import frozen
from engine.domain.humanize import span
from engine.targets.mysql.connection.bounded import AnswerError
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import NO_RIGHT, number_of, reading_error, server_message
from engine.targets.mysql.connection.names import account
from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.reading.reader import Reader
from engine.targets.outage import TEMPORARY_ERRORS

Connects = Callable[[str, int], Awaitable[tuple[Connection, Server]]]
"""To a host and port."""
_RIGHTS: Final = {
    Flavor.MARIADB: "REPLICATION MASTER ADMIN, REPLICA MONITOR",
    Flavor.MYSQL: "REPLICATION SLAVE, REPLICATION CLIENT",
}
"""The privileges that list the replicas, and that show the delay of each."""
HINT = "set report_host and report_port there and let the same user log in, or use --pause-while"


@frozen
class _Lag:
    """How far a replica is behind."""

    seconds: float | None
    """None if it does not replicate."""
    configured: float
    """Seconds that it lets pass on purpose before it applies a change."""

    def on_purpose(self, host: str, port: int) -> str:
        return f"delayed by {span(self.configured)} on purpose (not to wait for it: --ignore-standby {host}:{port})"


class Replicas:
    """The replicas that have told the server where they are."""

    def __init__(self, reader: Reader, connect: Connects) -> None:
        self._reader, self._connect = reader, connect
        self._open: dict[tuple[str, int], tuple[Connection, Server]] = {}
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        for connection, _ in self._open.values():
            await connection.close()

    async def late(self, limit: float, ignored: Collection[str]) -> str:
        """The first replica that is more seconds behind, as text; "" for none. Raises TargetError.

        One that does not answer counts as such: it restarts, or the server soon forgets it.
        """
        for host, port in await self._places(ignored):
            try:
                lag = await self._lag(host, port)
            except TEMPORARY_ERRORS as error:
                return f"replica {host}:{port} cannot be asked how far it is behind: {error.why}"
            if lag.seconds is None:
                return f"replica {host}:{port} does not replicate"
            if lag.seconds > limit:
                on_purpose = f", {lag.on_purpose(host, port)}" if lag.configured > limit else ""
                return f"replica {host}:{port} is {span(lag.seconds)} behind (limit {span(limit)}){on_purpose}"
        return ""

    async def delayed(self, limit: float, ignored: Collection[str]) -> list[str]:
        """Warnings about replicas that are delayed on purpose by more seconds. Raises TargetError."""
        lags = [(host, port, await self._lag(host, port)) for host, port in await self._places(ignored)]
        return [
            f"--max-delay waits for replica {host}:{port} after each change: it is {lag.on_purpose(host, port)}"
            for host, port, lag in lags
            if lag.configured > limit
        ]

    async def problem(self, ignored: Collection[str]) -> str:
        """Why the delays cannot be known; "" if they can. Raises TargetError where the server cannot be asked."""
        try:
            for host, port in await self._places(ignored):
                try:
                    await self._lag(host, port)
                except TargetRefusedError:
                    raise
                except TargetError as error:
                    return f"--max-delay failed: replica {host or 'without a name'}: {error.why} ({HINT})"
        except TargetRefusedError as error:
            return error.why_and_hint
        return ""

    async def _places(self, ignored: Collection[str]) -> list[tuple[str, int]]:
        command = "SHOW SLAVE HOSTS" if _is_old(self._reader.server) else "SHOW REPLICAS"
        try:
            async with self._reader.alone() as connection:
                rows = await connection.named(command)
        except pymysql.MySQLError as error:
            self._reader.raise_if_lost(error)
            if number_of(error) in NO_RIGHT:
                raise _no_right(
                    self._reader.what, self._reader.server, "the server does not show its replicas"
                ) from None
            raise TargetError(self._reader.what, f"--max-delay failed: {server_message(error)}", HINT) from None
        places = [(row.get("Host") or "", int(row.get("Port") or 0)) for row in rows]
        return [(host, port) for host, port in places if not {host, f"{host}:{port}"} & {*ignored}]

    async def _lag(self, host: str, port: int) -> _Lag:
        """Raises TargetError."""
        place = host, port
        async with self._connecting:  # steps that begin at once share a connection
            if place not in self._open or self._open[place][0].closed:
                self._open[place] = await self._connect(host, port)
            connection, server = self._open[place]
        try:
            rows = await connection.named("SHOW SLAVE STATUS" if _is_old(server) else "SHOW REPLICA STATUS")
        except AnswerError as error:
            raise ServerTimeoutError(f"replica {host}:{port}", server_message(error)) from None
        except pymysql.MySQLError as error:
            what = f"replica {host}:{port}"
            if number_of(error) in NO_RIGHT:
                raise _no_right(what, server, f"{what} does not show how far it is behind") from None
            raise reading_error(what, error) from None
        delays = [value for row in rows for name, value in row.items() if name.startswith("Seconds_Behind_")]
        known = [float(delay) for delay in delays if delay is not None]
        configured = max((float(row.get("SQL_Delay") or 0) for row in rows), default=0.0)
        return _Lag(max(known) if known and len(known) == len(delays) else None, configured)


def _no_right(what: str, server: Server, why: str) -> TargetRefusedError:
    grant = f"as an administrator: GRANT {_RIGHTS[server.flavor]} ON *.* TO {account(server.user)};"
    return TargetRefusedError(what, f"--max-delay failed: {why} to {server.user}", grant)


def _is_old(server: Server) -> bool:
    """Whether it has the older names of statements."""
    return server.flavor is Flavor.MARIADB or server.version < (8, 0, 22)
