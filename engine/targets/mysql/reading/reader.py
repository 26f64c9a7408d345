"""Reads the catalog of a MariaDB or MySQL database."""

from __future__ import annotations

import pymysql

from engine.domain.errors import TargetError
from engine.targets.catalog_reader import CatalogReader
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import lost_connection, reading_error
from engine.targets.mysql.connection.server import Server


class Reader(CatalogReader[Connection, Server]):
    """The catalog of one database."""

    driver_error = pymysql.MySQLError

    def error(self, error: pymysql.MySQLError) -> TargetError:
        return reading_error(self.what, error)

    def is_lost(self, error: pymysql.MySQLError) -> bool:
        return lost_connection(error)
