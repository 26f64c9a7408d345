"""Databases on a real MariaDB or MySQL server, and other sessions that are in the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pymysql

from engine.targets.mysql.connection.server import Flavor
from tests.mysql_server import MySqlServer
from tests.waiting import wait_until

NUMBERS = itertools.count(1)


class MySqlDatabase:
    """One database, and a connection of root that the test itself uses."""

    def __init__(self, server: MySqlServer, name: str) -> None:
        self.server, self.name = server, name
        self.admin = server.admin(name)

    @property
    def flavor(self) -> Flavor:
        return self.server.flavor

    @property
    def url(self) -> str:
        return self.server.url(quote(self.name))

    def as_user(self, user: str) -> str:
        return self.server.url(self.name, user)

    def reconnect(self) -> None:
        """After the server was away."""
        self.admin = self.server.admin(self.name)

    def __call__(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run them one by one; the rows of the last."""
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            with self.admin.cursor() as cursor:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def value(self, query: str) -> Any:
        return self(query)[0][0]

    @contextmanager
    def session(self, *statements: str) -> Iterator[pymysql.Connection[Any]]:
        """Another session of root in the middle of a transaction."""
        other = self.server.admin(self.name)
        try:
            with other.cursor() as cursor:
                for statement in ("BEGIN", *statements):
                    cursor.execute(statement)
            yield other
        finally:
            if other.open:
                other.close()

    def wait_for(self, query: str) -> None:
        """Ask again and again until it is true."""
        wait_until(lambda: self.value(query), otherwise=lambda: f"it does not come true: {query}")


@contextmanager
def new_database(server: MySqlServer) -> Iterator[MySqlDatabase]:
    name = f"shop{next(NUMBERS)}"
    with server.admin() as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    database = MySqlDatabase(server, name)
    try:
        yield database
    finally:
        if database.admin.open:
            database.admin.close()
        with server.admin() as admin, admin.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
