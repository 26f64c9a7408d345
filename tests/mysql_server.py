"""Real MariaDB and MySQL servers for tests, thrown away afterwards, as root or as anybody."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pymysql

from engine.targets.mysql.connection.server import Flavor
from tests.server_templates import make_or_copy
from tests.small_disk import on_a_small_disk
from tests.waiting import wait_until

FAST: Final = (
    "--skip-log-bin", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=48M",
    "--innodb-flush-method=nosync", "--innodb-log-file-size=32M", "--max-connections=60", "--skip-name-resolve",
)  # fmt: skip
FAST_MYSQL: Final = (
    "--skip-log-bin", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=48M",
    "--innodb-redo-log-capacity=64M", "--max-connections=60", "--skip-name-resolve", "--secure-file-priv=",
    "--mysqlx=OFF",
)  # fmt: skip
STARTS_WITHIN: Final = 600
"""Seconds. MySQL needs one of the processor to recover from a crash, which took more than 30 on a machine at work."""
PROGRAMS: Final = {Flavor.MARIADB: "mariadbd", Flavor.MYSQL: "mysqld"}
NO_SERVER: Final = {
    Flavor.MARIADB: "no MariaDB server to test with: apt-get install mariadb-server, or name its directory in"
    " MYSQLTEST_BIN",
    Flavor.MYSQL: "no MySQL server to test with: run .ci/mysql-server as root, or name the directory of"
    " its mysqld in MYSQLTEST_BIN",
}
REQUIRED: Final = frozenset({Flavor.MARIADB})
"""Servers without which tests fail in CI."""


def servers_found() -> dict[Flavor, Path]:
    """The server program of each flavor; the first place that has one counts, `.ci/mysql-server` has the last."""
    places = [
        *filter(None, os.environ.get("MYSQLTEST_BIN", "").split(os.pathsep)),
        *os.environ["PATH"].split(os.pathsep),
        "/usr/sbin",
        *map(str, Path("/opt").glob("mysql*/usr/sbin")),
    ]
    found: dict[Flavor, Path] = {}
    for place in map(Path, places):
        for flavor, name in PROGRAMS.items():
            program = place / name
            if program.exists() and not (flavor is Flavor.MYSQL and program.resolve().name == "mariadbd"):
                found.setdefault(flavor, program)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class MySqlServer:
    """A server in a temporary directory. Nothing else on the disk is touched."""

    def __init__(
        self, flavor: Flavor, program: Path, options: Sequence[str] = (), *, copy_of: MySqlServer | None = None
    ) -> None:
        """`copy_of`: one that does not run: a copy is made sooner than a server."""
        self.flavor, self.program = flavor, program
        self.options = tuple(options)
        """Of the next start, and of making a MySQL server; they come after the usual ones."""
        self.base = Path(tempfile.mkdtemp(prefix="dbtend-my-"))
        self.socket = self.base / "socket"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._keyring: Path | None = None
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._become_unprivileged()
        if copy_of is None:
            make_or_copy(f"{program} {' '.join(self.options)}", self.data, self._make)
        else:
            subprocess.run(["cp", "-a", copy_of.data, self.data], check=True)
        (self.data / "auto.cnf").unlink(missing_ok=True)  # by which a server is known to others

    def _become_unprivileged(self) -> None:
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        user = known.get("mysql") or known["nobody"]
        self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(self.base, user.pw_uid, user.pw_gid)
        self.base.chmod(0o755)

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log_file(self) -> Path:
        return self.base / "log.err"  # MySQL gives it this ending

    @property
    def unpacked(self) -> Path | None:
        """The root of Debian's packages, where they were unpacked beside the system."""
        root = self.program.parents[2]
        return root if root != Path("/") and (root / "usr/lib64").exists() else None

    @property
    def _plugins(self) -> Path:
        return (self.unpacked or Path("/")) / "usr/lib/mysql/plugin"

    def add_keyring(self) -> bool:
        """Let MySQL encrypt the tables that ask for it, from the next start on; False if its package cannot.

        It reads which components to load beside its program, and their settings in the directory of its plugins.
        """
        if not (self._plugins / "component_keyring_file.so").exists():
            return False
        place = self.base / "keyring"
        place.mkdir()
        for file in (self.program, *self._plugins.iterdir()):
            (place / file.name).symlink_to(file)
        (place / "mysqld.my").write_text('{"components": "file://component_keyring_file"}')
        settings = json.dumps({"path": str(place / "keys"), "read_only": False})
        (place / "component_keyring_file.cnf").write_text(settings)
        if self._as_user:
            os.chown(place, self._as_user["user"], self._as_user["group"])
        self._keyring = place
        return True

    @property
    def _command(self) -> list[str | Path]:
        program = self._keyring / self.program.name if self._keyring else self.program
        plugins = [f"--plugin-dir={self._keyring}"] if self._keyring else []
        if self.unpacked is None:
            return [program, "--no-defaults", *plugins]
        root = self.unpacked
        loader = root / "usr/lib64/ld-linux-x86-64.so.2"
        libraries = f"{root}/usr/lib/x86_64-linux-gnu"
        return [
            loader, "--library-path", libraries, program, "--no-defaults",
            f"--lc-messages-dir={root}/usr/share/mysql", f"--plugin-dir={self._keyring or self._plugins}",
        ]  # fmt: skip

    def _make(self) -> None:
        if self.flavor is Flavor.MYSQL:
            command = [*self._command, "--initialize-insecure", f"--datadir={self.data}", "--secure-file-priv=",
                       *self.options]  # fmt: skip
        else:
            command = ["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
                       "--auth-root-authentication-method=normal", "--innodb-flush-method=nosync"]  # fmt: skip
        self._run(command)
        if self.flavor is Flavor.MARIADB:  # its first start takes longest
            self.start()
            self.stop()

    def _run(self, command: Sequence[str | Path]) -> None:
        ran = subprocess.run(command, cwd="/", env=self._environment, capture_output=True, text=True, **self._as_user)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    @property
    def _environment(self) -> dict[str, str]:
        # A server that starts empties its directory of temporary files, also while it makes its data files.
        path = f"{os.environ['PATH']}:/usr/sbin"
        return {**os.environ, "PATH": path, "TZ": "UTC", "TMPDIR": str(self.base)}

    def url(self, database: str = "", user: str = "root", *, scheme: str = "") -> str:
        """By its socket."""
        return f"{scheme or self.flavor}://{user}@localhost/{database}?socket={self.socket}"

    def tcp_url(self, database: str = "", user: str = "ann") -> str:
        """By its port of the loopback interface."""
        return f"{self.flavor}://{user}@127.0.0.1:{self.port}/{database}"

    def start(self, *, small_disk: tuple[Path, str] | None = None) -> None:
        """`small_disk`: see `on_a_small_disk`."""
        command: Sequence[str | Path] = [
            *self._command,
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--pid-file={self.base}/pid",
            f"--log-error={self.log_file}",
            f"--tmpdir={self.base}",  # a server that starts removes what others have in theirs
            *(FAST if self.flavor is Flavor.MARIADB else FAST_MYSQL),
            *self.options,
        ]
        if small_disk is not None:
            command = on_a_small_disk(command, *small_disk, self._as_user)
        with (self.base / "output").open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd="/",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **({} if small_disk else self._as_user),
            )
        process = self.process

        def is_ready() -> bool:
            assert process.poll() is None, self.log()
            return self._is_ready()

        wait_until(is_ready, otherwise=lambda: f"the server does not get ready\n{self.log()}", patience=STARTS_WITHIN)

    @contextmanager
    def running(self, *options: str, small_disk: tuple[Path, str] | None = None) -> Iterator[None]:
        """While inside, the server runs, also with these options."""
        usual, self.options = self.options, (*self.options, *options)
        try:
            self.start(small_disk=small_disk)
            yield
        finally:
            self.stop(signal.SIGKILL)
            self.options = usual

    def log(self) -> str:
        paths = (self.base / "output", self.log_file)
        return "".join(path.read_text(errors="replace")[-2000:] for path in paths if path.exists())

    def _is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        try:
            self.admin().close()
        except pymysql.OperationalError:
            return False
        return True

    def admin(self, database: str | None = None, *, within: int = 60) -> pymysql.Connection[Any]:
        """A connection of root, for the test itself: what it asks is answered in so many seconds, or fails."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            database=database,
            autocommit=True,
            connect_timeout=30,
            read_timeout=within,
            ssl_disabled=True,
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """SIGTERM is a shutdown, SIGKILL a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)
            self.process = None

    def discard(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.base)


@contextmanager
def running_server(flavor: Flavor, program: Path, options: Sequence[str] = ()) -> Iterator[MySqlServer]:
    """A server that runs while inside, and is thrown away afterwards."""
    server = MySqlServer(flavor, program, options)
    try:
        server.start()
        yield server
    finally:
        server.discard()
