"""A real PgBouncer in front of a server of the tests, thrown away afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres_databases import Database
from tests.waiting import wait_until

PORT = 6432


class PgBouncer:
    """Applications reach the database by it; `application` is one of them."""

    def __init__(self, base: Path, database: Database) -> None:
        self.base, self.database = base, database

    @property
    def url(self) -> str:
        return f"postgresql://postgres@:{PORT}/{self.database.name}?host={self.base}"

    def application(self, **parameters: Any) -> psycopg.Connection[Any]:
        """A connection of somebody who knows nothing of dbtend."""
        return psycopg.connect(self.url, autocommit=True, prepare_threshold=None, **parameters)

    def ask(self, command: str) -> list[dict[str, Any]]:
        """A command of its administration console."""
        url = f"postgresql://postgres@:{PORT}/pgbouncer?host={self.base}"
        with psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as console:
            return console.execute(command.encode()).fetchall()


@contextmanager
def pgbouncer(database: Database, mode: str, *, pool_size: int = 20, **settings: str | int) -> Iterator[PgBouncer]:
    """`settings`: more lines of its configuration."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no pgbouncer: apt install pgbouncer")
    base = Path(tempfile.mkdtemp(prefix="dbtend-pool-"))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # which it refuses to run as
        nobody = pwd.getpwnam("nobody")
        os.chown(base, nobody.pw_uid, nobody.pw_gid)
        base.chmod(0o755)
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    (base / "users").write_text('"postgres" ""\n')
    lines = {
        "listen_addr": "",
        "listen_port": PORT,
        "unix_socket_dir": base,
        "auth_type": "trust",
        "auth_file": base / "users",
        "admin_users": "postgres",
        "pool_mode": mode,
        "default_pool_size": pool_size,
        **settings,
    }
    configured = [
        "[databases]",
        f"* = host={database.server.base} port={database.server.tcp_port or 5432}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in lines.items()),
    ]
    (base / "pgbouncer.ini").write_text("\n".join(configured) + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with (base / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, base / "pgbouncer.ini"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            start_new_session=True, **as_user,
        )  # fmt: skip
    try:
        wait_until(
            lambda: process.poll() is not None or _listens(base),
            otherwise=lambda: (base / "log").read_text()[-2000:],
        )
        assert process.poll() is None, (base / "log").read_text()[-2000:]
        yield PgBouncer(base, database)
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        shutil.rmtree(base)


def _listens(base: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as there:
        return there.connect_ex(f"{base}/.s.PGSQL.{PORT}") == 0
