"""Databases on a real server, and other sessions that are in the way."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from tests.postgres_server import PostgresServer
from tests.waiting import wait_until

NUMBERS = itertools.count(1)
# An index on it is being built until somebody lets it go, wherever 13 is among the rows. Not until the row is deleted:
# whether a rebuild that waited meanwhile sees it no more depends on when it began to wait.
SLOW = """
CREATE FUNCTION public.slow(number int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    IF number = 13 AND coalesce(current_setting('dbtend_test.fast', true), '') = '' THEN
        FOR tick IN 1..30000 LOOP
            EXIT WHEN EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objid = 13);
            PERFORM pg_catalog.pg_sleep(0.02);
        END LOOP;
    END IF;
    RETURN number;
END $$
"""


def as_admin(url: str) -> psycopg.Connection[Any]:
    """What a test asks there is answered in a minute, or fails."""
    bound = "-c statement_timeout=60s"
    return psycopg.connect(url, autocommit=True, application_name="test", connect_timeout=30, options=bound)


class Database:
    """One database, and a connection to it that the test itself uses."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server, self.name = server, name
        self.admin = self._connected()

    def reconnect(self) -> None:
        """After the server was away."""
        self.admin.close()
        self.admin = self._connected()

    def _connected(self) -> psycopg.Connection[Any]:
        def connection() -> psycopg.Connection[Any] | None:
            with suppress(psycopg.OperationalError):
                return as_admin(self.url)
            return None

        return wait_until(connection, otherwise=lambda: "the server does not come back")

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    @property
    def major(self) -> int:
        return self.admin.info.server_version // 10_000

    def as_user(self, user: str) -> str:
        return self.server.url(self.name, user)

    def __call__(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run them one by one; the rows of the last."""
        rows: list[tuple[Any, ...]] = []
        changes = False
        for statement in statements:
            if changes and statement.startswith(("VACUUM", "ANALYZE")):
                self.wait_for_counters()  # else earlier changes would be counted after it
            cursor = self.admin.execute(statement)
            rows = cursor.fetchall() if cursor.description is not None else []
            is_read = cursor.description is not None and "pg_stat_reset" not in statement
            changes |= not is_read and cursor.statusmessage not in {"SET", "RESET"}
            if self.major >= 15 and self.admin.info.transaction_status is TransactionStatus.IDLE:
                self.admin.execute("SELECT pg_stat_force_next_flush()")  # others see now what was counted
        if changes:
            self.wait_for_counters()
        return rows

    def wait_for_counters(self) -> None:
        """Until others see what this session counted.

        Before PostgreSQL 15, a session sends them, and the server writes them to a file, every half second at most.
        """
        if self.major < 15 and self.admin.info.transaction_status is TransactionStatus.IDLE:
            time.sleep(0.5)
            self.admin.execute("SELECT 1")
            told = self.value("SELECT clock_timestamp()")
            self.wait_for(f"SELECT pg_stat_get_snapshot_timestamp() > '{told}'")

    def value(self, query: str) -> Any:
        return self(query)[0][0]

    @contextmanager
    def session(self, *statements: str, user: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """Another session in the middle of a transaction."""
        with psycopg.connect(self.as_user(user), application_name="somebody") as other:
            for statement in statements:
                other.execute(statement)
            yield other
            if not other.closed:
                other.rollback()

    def end_sessions(self, which: str) -> int:
        """End sessions and wait until their processes are gone. `which`: a condition on pg_stat_activity."""
        ended = self(f"SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE {which}")
        wait_until(lambda: not any(_is_running(pid) for pid, _ in ended), otherwise=lambda: f"they do not end: {ended}")
        return len(ended)

    def invalid_indexes(self) -> list[str]:
        query = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid ORDER BY 1"
        return [name for (name,) in self(query)]

    def ours(self) -> list[tuple[Any, ...]]:
        """What dbtend has running there, but for its monitor: pid, application_name, wait_event, query."""
        return self(
            "SELECT pid, application_name, wait_event, query FROM pg_stat_activity"
            " WHERE application_name ~ '^dbtend' AND datname = current_database() AND state = 'active'"
            " AND query !~ 'pg_stat_activity'"
        )

    def wait_for(self, query: str) -> None:
        """Ask again and again until it is true."""
        wait_until(lambda: self.value(query), otherwise=lambda: f"it does not come true: {query}")

    def make_slow(self) -> None:
        """A table `slow` whose index `slow_number` is not built to its end, and takes the others with it."""
        self(
            SLOW,
            "CREATE TABLE public.slow (number int)",
            "SET dbtend_test.fast = on",
            "CREATE INDEX slow_number ON public.slow (public.slow(number))",
            "INSERT INTO public.slow SELECT generate_series(1, 20)",
            "RESET dbtend_test.fast",
        )

    def let_go(self) -> None:
        """From now on the index is built at once, also by who has begun."""
        self("SELECT pg_advisory_lock(13)")

    def set_fast(self) -> None:
        self(f"ALTER DATABASE {self.name} SET dbtend_test.fast = 'on'")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


OUR_SESSIONS = "application_name ~ '^dbtend' AND datname = current_database()"
"""The sessions of dbtend, as a condition on pg_stat_activity."""
DIRTY_SHARED = """
SELECT oid::regclass::text FROM pg_class WHERE relisshared AND relkind = 'r' AND pg_stat_get_dead_tuples(oid) > 0
"""
"""The catalogs that all databases share, with dead rows."""
SECRET = "corect-h0rse"
"""The password of a role whom a server of tests asks for one."""
SLEEPS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND application_name ~ '^dbtend'"
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name ~ '^dbtend'"


def _drop(server: PostgresServer, name: str) -> None:
    """Also where a page that a test has damaged just brought the server down."""
    errors: list[psycopg.OperationalError] = []

    def is_dropped() -> bool:
        try:
            with as_admin(server.url()) as admin:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                for (role,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^joe'").fetchall():
                    admin.execute(f"DROP ROLE {role}")
        except psycopg.OperationalError as error:
            errors.append(error)
            return False
        return True

    wait_until(is_dropped, otherwise=lambda: errors[-1])


@contextmanager
def new_database(server: PostgresServer) -> Iterator[Database]:
    name = f"shop{next(NUMBERS)}"
    with as_admin(server.url()) as admin:
        quickly = "STRATEGY file_copy" if admin.info.server_version >= 150_000 else ""
        admin.execute(f"CREATE DATABASE {name} {quickly}")
        for (dirty,) in admin.execute(DIRTY_SHARED).fetchall():  # what other tests dropped is no need of this one
            admin.execute(f"VACUUM {dirty}")
    database = Database(server, name)
    try:
        yield database
    finally:
        database.admin.close()
        _drop(server, name)
