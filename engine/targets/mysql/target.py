"""A MariaDB or MySQL database as a target."""

from __future__ import annotations

from engine.domain.engines import EngineName
from engine.domain.errors import TargetRefusedError
from engine.targets import server_target
from engine.targets.mysql.connection.address import Address, address
from engine.targets.mysql.connection.connecting import connect
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.server import Cluster, Server
from engine.targets.mysql.planning import operation_specs
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.session import MySqlSession


class MySqlTarget(server_target.ServerTarget[Connection, Server, MySqlSession]):
    """The database that `text` names, a URL."""

    engine = EngineName.MYSQL
    operations = operation_specs.SPECS
    default_operations = operation_specs.DEFAULT_OPERATIONS
    reader_class = Reader
    session_class = MySqlSession
    _address: Address

    def __init__(self, text: str) -> None:
        super().__init__(address(text))

    async def _connect(self, name: str, *, read_only: bool, before: Server | None) -> tuple[Connection, Server]:
        return await connect(
            self._address,
            name=name,
            lock_timeout=server_target.READING_LOCK_TIMEOUT,
            statement_timeout=server_target.READING_TIMEOUT,
            read_only=read_only,
        )

    def _check_writable(self, server: Server) -> None:
        if server.reads_only:
            why = f"{server.user} may only read there: the server is read-only"
            to_do = "give the source of the replica, or SET GLOBAL read_only = OFF"
            if server.has_group:  # which sets it, and writes would part the member from it
                has_left = server.cluster is not Cluster.GROUP_REPLICATION
                again = "; START GROUP_REPLICATION lets this server join it again" if has_left else ""
                to_do = f"give the primary of its replication group{again}"
            if server.is_innodb_read_only:
                to_do = (
                    "give the source of the replica, or restart it without innodb_read_only and innodb_force_recovery"
                )
            raise TargetRefusedError(self.url, why, to_do)
