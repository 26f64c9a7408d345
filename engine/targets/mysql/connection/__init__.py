"""Connections to MariaDB and MySQL servers: login, settings, errors."""
