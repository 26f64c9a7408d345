"""A primary server of a shared store and its standby, which takes over."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.network_hosts import free_port
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import TEMPLATE, make_template, set_grace
from tests.waiting import wait_until

STORE = "store"
STREAMING = "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'"
SYNCHRONOUS = "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
RECEIVING = "SELECT count(*) = 1 FROM pg_stat_wal_receiver"


class Pair:
    """Two servers that one URL names."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        self.primary, self.standby = primary, standby

    @property
    def url(self) -> str:
        """Of the store."""
        hosts = f"127.0.0.1:{self.primary.tcp_port},127.0.0.1:{self.standby.tcp_port}"
        return f"postgresql://postgres@{hosts}/{STORE}?target_session_attrs=read-write"

    def set_grace(self, seconds: int) -> None:
        with as_admin(self.primary.url(STORE)) as admin:
            set_grace(admin, seconds)

    def synchronize(self) -> None:
        """From now on the primary acknowledges only what the standby has applied."""
        _set(self.primary, "synchronous_standby_names", "*")
        _until(self.primary, SYNCHRONOUS)

    def fall_behind(self) -> None:
        """Let the standby get nothing that the primary writes from now on."""
        with as_admin(self.primary.url()) as admin:
            ((written,),) = admin.execute("SELECT pg_current_wal_insert_lsn()")
        _until(self.standby, f"SELECT pg_last_wal_replay_lsn() >= '{written}'")
        _set(self.standby, "primary_conninfo", "")
        _until(self.standby, f"SELECT NOT ({RECEIVING})")

    def kill_primary(self) -> None:
        self.primary.stop(signal.SIGQUIT)

    def promote(self) -> None:
        with as_admin(self.standby.url()) as admin:
            admin.execute("SELECT pg_promote()")

    def fail_over(self) -> None:
        self.kill_primary()
        self.promote()


def _set(server: PostgresServer, setting: str, value: str) -> None:
    with as_admin(server.url()) as admin:
        admin.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        admin.execute("SELECT pg_reload_conf()")


def _until(server: PostgresServer, question: str) -> None:
    with as_admin(server.url()) as admin:
        wait_until(lambda: bool(admin.execute(question.encode()).fetchone() == (True,)))


@contextmanager
def streaming_pair(binaries: Path) -> Iterator[Pair]:
    """A primary with a store, and a standby that streams from it."""
    settings = ["synchronous_commit=remote_apply", "max_connections=100", "log_min_messages=warning"]
    primary = PostgresServer(binaries, settings)
    try:
        primary.listen(free_port())
        primary.start()
        make_template(primary)
        with as_admin(primary.url()) as admin:
            admin.execute(f"CREATE DATABASE {STORE} TEMPLATE {TEMPLATE}")
        standby = PostgresServer(binaries, settings, copy_of=primary)
        try:
            standby.listen(free_port())
            standby.start()
            _until(primary, STREAMING)
            yield Pair(primary, standby)
        finally:
            standby.discard()
    finally:
        primary.discard()
