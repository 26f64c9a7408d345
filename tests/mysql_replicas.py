"""A real replica of a MariaDB or MySQL server, which can stop, and can be late on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pymysql.cursors import DictCursor

from engine.targets.mysql.connection.server import Flavor
from tests.mysql_databases import MySqlDatabase
from tests.mysql_server import MySqlServer
from tests.waiting import wait_until

USER: Final = "joe"
_GTIDS: Final = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
_WORDS: Final = {
    Flavor.MARIADB: ("SLAVE", "MASTER", "MASTER"),
    Flavor.MYSQL: ("REPLICA", "REPLICATION SOURCE", "SOURCE"),
}
_MORE: Final = {
    Flavor.MARIADB: "MASTER_USE_GTID=slave_pos, MASTER_SSL_VERIFY_SERVER_CERT=0",
    Flavor.MYSQL: "SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1",
}


class Replica:
    """A replica, and a connection to it."""

    def __init__(self, source: MySqlServer, server: MySqlServer) -> None:
        self.source, self.server = source, server
        self.database = MySqlDatabase(server, "mysql")
        self._service, self._change, self._place = _WORDS[source.flavor]

    @staticmethod
    def url(server: MySqlServer, database: str) -> str:
        """Of the user who may log in on both."""
        return f"{server.tcp_url(database, USER)}?ssl-mode=DISABLED"

    def follow(self, database: MySqlDatabase) -> None:
        """Begin to replicate, by a new user of the source, until this database is there, and the user."""
        database(f"CREATE USER IF NOT EXISTS {USER}@127.0.0.1", f"GRANT ALL ON *.* TO {USER}@127.0.0.1")
        place = self._place
        self.database(
            f"STOP {self._service}",
            f"CHANGE {self._change} TO {place}_HOST='127.0.0.1', {place}_PORT={self.source.port},"
            f" {place}_USER='{USER}', {_MORE[self.source.flavor]}",
            f"START {self._service}",
        )
        tables = f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{database.name}'"
        rights = (
            f"SELECT COUNT(*) FROM information_schema.user_privileges WHERE grantee LIKE '%{USER}%'"
            " AND privilege_type <> 'USAGE'"
        )
        self.database.wait_for(f"SELECT ({tables}) > 0 AND ({rights}) > 0")

    def set_delay(self, seconds: int) -> None:
        self.database(
            f"STOP {self._service}",
            f"CHANGE {self._change} TO {self._place}_DELAY={seconds}",
            f"START {self._service}",
        )

    def stop_applying(self) -> None:
        self.database(f"STOP {self._service} SQL_THREAD")

    def go_on(self) -> None:
        self.database(f"START {self._service}")

    def wait_until_late(self) -> None:
        with self.database.admin.cursor(DictCursor) as cursor:

            def seconds_behind() -> object:
                cursor.execute(f"SHOW {self._service} STATUS")
                (row,) = cursor.fetchall()
                return next(value for name, value in row.items() if name.startswith("Seconds_Behind_"))

            wait_until(seconds_behind)


@contextmanager
def replica_of(source: MySqlServer) -> Iterator[Replica]:
    """A replica of a server, which runs then."""
    gtids = _GTIDS if source.flavor is Flavor.MYSQL else ()
    server = MySqlServer(source.flavor, source.program, source.options, copy_of=source)
    reported = ("--report-host=127.0.0.1", f"--report-port={server.port}")
    try:
        with (
            source.running("--log-bin=bin", "--server-id=1", *gtids),
            server.running("--log-bin=bin", "--server-id=2", *reported, *gtids),
        ):
            replica = Replica(source, server)
            yield replica
            replica.database.admin.close()
    finally:
        server.discard()
