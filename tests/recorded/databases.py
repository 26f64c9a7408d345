"""What the recorded commands work on: of each kind the same databases each time."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from engine.targets.mysql.connection.server import Flavor
from tests import mysql_server, postgres_server
from tests.mysql_server import MySqlServer
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.recorded.commands import Kind
from tests.recorded.statements import Sent, sent_to_mysql, sent_to_postgres
from tests.sqlite_files import (
    add_index_that_cannot_be_rebuilt,
    make_database,
    make_notes,
    remove_index_entries,
    transaction,
)
from tests.waiting import wait_until


class Databases(ABC):
    version: str
    """Of what answers: another one answers otherwise."""
    server: Path | None = None
    """The directory of a server, which differs each time."""

    def __init__(self, home: Path, end: ExitStack) -> None:
        """In the directory `home`. What is started goes with `end`."""
        self.home, self._end = home, end
        self.store = str(home / "jobs.db")

    @abstractmethod
    def build(self) -> Mapping[str, str]:
        """Names of targets, with their URLs."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[object]:
        """Another session is in the way of whatever is done to `shop`."""

    def sent(self) -> Sent:
        """What dbtend has sent to the server since it was asked last."""
        return Sent()


class SqliteFiles(Databases):
    version = f"SQLite {sqlite3.sqlite_version}"

    def build(self) -> Mapping[str, str]:
        files = {name: self.home / f"{name}.db" for name in ("shop", "blog", "notes", "bad", "damaged")}
        make_database(files["shop"], rows=400)
        make_database(files["blog"], rows=3000, journal_mode="wal", auto_vacuum="incremental")
        make_notes(files["notes"])
        add_index_that_cannot_be_rebuilt(make_database(files["bad"], rows=400))
        remove_index_entries(make_database(files["damaged"], rows=400), "order")
        return {name: str(path) for name, path in files.items()}

    def lock(self) -> AbstractContextManager[object]:
        return transaction(self.home / "shop.db", "IMMEDIATE")


class SharedStore(SqliteFiles):
    """SQLite files, and a store in PostgreSQL that is yet to be made."""

    def build(self) -> Mapping[str, str]:
        server, version = _postgres(self._end)
        self.server, self.version = server.base, f"{SqliteFiles.version}, {version}"
        self.store = server.url("jobs")
        with as_admin(server.url()) as admin:
            admin.execute("CREATE DATABASE jobs")
        return super().build()


def _postgres(end: ExitStack, *settings: str) -> tuple[PostgresServer, str]:
    servers = postgres_server.servers_found()
    server = PostgresServer(servers[max(servers)], settings)
    end.callback(server.discard)
    server.start()
    with as_admin(server.url()) as admin:
        return server, f"PostgreSQL {admin.info.server_version}"


class PostgresDatabases(Databases):
    SHOP: Final = (
        "CREATE EXTENSION amcheck",
        "CREATE TABLE item (id int PRIMARY KEY, name text)",
        "INSERT INTO item SELECT g, 'name ' || g FROM generate_series(1, 5000) AS g",
        "CREATE INDEX item_name ON item (name)",
        "CREATE TABLE orders (id int PRIMARY KEY, total int)",
        "INSERT INTO orders SELECT 3000 - g, g FROM generate_series(1, 3000) AS g",
        "ALTER TABLE orders CLUSTER ON orders_pkey",
        "CREATE INDEX item_name_ccnew ON item (name)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'item_name_ccnew'::regclass",
        "SELECT pg_stat_force_next_flush()",  # else what came before would be counted after it
        "VACUUM ANALYZE",
        "DELETE FROM item WHERE id > 1000",
        "SELECT pg_stat_force_next_flush()",
    )
    BAD: Final = (
        "CREATE FUNCTION public.half(number int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT number / 2'",
        "CREATE TABLE halves (number int)",
        "INSERT INTO halves VALUES (1), (2)",
        "CREATE INDEX halves_half ON halves (public.half(number))",
        "CREATE OR REPLACE FUNCTION public.half(number int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT number / 0'",
    )

    def build(self) -> Mapping[str, str]:
        logs = ("log_statement=all", "log_min_messages=log", "log_line_prefix='<%a|%p> '")
        server, self.version = _postgres(self._end, *logs)
        self.server, self._url = server.base, server.url
        for name, statements in {"shop": self.SHOP, "blog": self.SHOP, "bad": self.BAD}.items():
            with as_admin(server.url()) as admin:
                admin.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
            with as_admin(server.url(name)) as admin:
                for statement in statements:
                    admin.execute(statement)
        self._log = _Log(server.base / "log")
        return {name: server.url(name) for name in ("shop", "blog", "bad", "gone")}

    @contextmanager
    def lock(self) -> Iterator[object]:
        with as_admin(self._url("shop")) as other, other.transaction():
            yield other.execute("LOCK TABLE item, orders")

    def sent(self) -> Sent:
        return sent_to_postgres(self._log.new())


class MySqlDatabases(Databases):
    SHOP: Final = (
        "CREATE TABLE item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200)) STATS_AUTO_RECALC = 0",
        "INSERT INTO item VALUES (NULL, REPEAT('x', 100))",
        *["INSERT INTO item SELECT NULL, name FROM item"] * 11,
        "ANALYZE TABLE item",
        "DELETE FROM item WHERE id % 2",
        "CREATE TABLE orders (id INT PRIMARY KEY, total INT, KEY by_total (total)) STATS_AUTO_RECALC = 0",
        "INSERT INTO orders SELECT id, id % 100 FROM item",
    )
    DAMAGED: Final = (
        "CREATE TABLE logs (id INT PRIMARY KEY) ENGINE=MyISAM",
        "INSERT INTO logs VALUES (1), (2)",
        "FLUSH TABLES",
    )

    UNPURGED: Final = (
        "SELECT 1 FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len' AND count > 0"
    )

    def __init__(self, home: Path, end: ExitStack, flavor: Flavor) -> None:
        super().__init__(home, end)
        self._flavor = flavor

    def build(self) -> Mapping[str, str]:
        server = MySqlServer(self._flavor, mysql_server.servers_found()[self._flavor])
        self._end.callback(server.discard)
        log = server.base / "statements"
        logged = ("--general-log=ON", f"--general-log-file={log}")
        server.options = (*logged, "--innodb-stats-auto-recalc=OFF", "--innodb-purge-rseg-truncate-frequency=1")
        server.start()
        self.server, self._admin = server.base, server.admin
        with closing(server.admin()) as admin, admin.cursor() as cursor:
            cursor.execute("SELECT version()")
            self.version = f"{self._flavor} {(cursor.fetchone() or ('',))[0]}"
            for name, statements in {"shop": self.SHOP, "blog": self.SHOP, "damaged": self.DAMAGED}.items():
                for statement in (f"CREATE DATABASE {name}", f"USE {name}", *statements):
                    cursor.execute(statement)
            wait_until(lambda: cursor.execute(self.UNPURGED) == 0)  # a file may grow by a page meanwhile
        (server.data / "damaged" / "logs.MYI").write_bytes(b"noise" * 100)
        self._log = _Log(log)
        return {name: server.url(name) for name in ("shop", "blog", "damaged", "gone")}

    @contextmanager
    def lock(self) -> Iterator[object]:
        with closing(self._admin("shop")) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLES item WRITE, orders WRITE")
            self._log.new()
            yield other

    def sent(self) -> Sent:
        return sent_to_mysql(self._log.new())


class _Log:
    def __init__(self, path: Path) -> None:
        self._path, self._read = path, len(path.read_text())

    def new(self) -> str:
        """What was written since the last call."""
        text = self._path.read_text()
        new, self._read = text[self._read :], len(text)
        return new


MAKERS: Final[Mapping[Kind, Callable[[Path, ExitStack], Databases]]] = {
    Kind.SQLITE: SqliteFiles,
    Kind.POSTGRESQL: PostgresDatabases,
    Kind.MARIADB: lambda home, end: MySqlDatabases(home, end, Flavor.MARIADB),
    Kind.MYSQL: lambda home, end: MySqlDatabases(home, end, Flavor.MYSQL),
    Kind.SHARED: SharedStore,
}
