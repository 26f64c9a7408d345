"""Real clusters of two servers: Galera of MariaDB, group replication of MySQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from engine.targets.mysql.connection.server import Flavor
from tests.mysql_server import NO_SERVER, MySqlServer, free_port, servers_found
from tests.waiting import wait_until

GALERA: Final = Path("/usr/lib/galera/libgalera_smm.so")  # of the package that mariadb-server needs
_GROUP: Final = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
# A node that does not answer is left out after two seconds, and not after 15.
_PROVIDER: Final = (
    "gcache.size=16M;pc.recovery=no;evs.keepalive_period=PT0.2S;evs.inactive_check_period=PT0.1S;evs.suspect_timeout=PT1S;"
    "evs.inactive_timeout=PT2S;evs.install_timeout=PT1S"
)


def require(flavor: Flavor) -> Path:
    """The program of a server that can be in a cluster. Skips the test where there is none, and fails it in CI."""
    program = servers_found().get(flavor)
    if flavor is Flavor.MYSQL:
        return program or pytest.skip(NO_SERVER[flavor])
    if program is None or not GALERA.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("MariaDB or Galera is not installed")
    return program


def member(flavor: Flavor, number: int = 1, ports: tuple[int, ...] = ()) -> tuple[str, ...]:
    """The options of a server of a cluster; the first makes it.

    Args:
        number: from 1.
        ports: for the traffic between the servers.
    """
    ports = ports or (free_port(),)
    own = ports[number - 1]
    if flavor is Flavor.MYSQL:
        return (
            "--plugin-load-add=group_replication.so", "--log-bin=bin", f"--server-id={number}", "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON", "--report-host=127.0.0.1",
            f"--loose-group-replication-group-name={_GROUP}",
            f"--loose-group-replication-local-address=127.0.0.1:{own}",
            f"--loose-group-replication-group-seeds={','.join(f'127.0.0.1:{port}' for port in ports)}",
            "--loose-group-replication-start-on-boot=OFF",
            f"--loose-group-replication-bootstrap-group={'ON' if number == 1 else 'OFF'}",
        )  # fmt: skip
    others = "" if number == 1 else f"127.0.0.1:{ports[0]}"
    return (
        "--wsrep-on=ON", f"--wsrep-provider={GALERA}", f"--wsrep-cluster-address=gcomm://{others}",
        "--binlog-format=ROW", "--wsrep-node-address=127.0.0.1", "--innodb-autoinc-lock-mode=2",
        "--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
        f"--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{own};ist.recv_addr=127.0.0.1:{free_port()};"
        f"{_PROVIDER}",
    )  # fmt: skip


@contextmanager
def two_servers(flavor: Flavor) -> Iterator[tuple[MySqlServer, MySqlServer]]:
    """The nodes of a Galera cluster, or two servers that may become a group."""
    program = require(flavor)
    ports = free_port(), free_port()
    first = MySqlServer(flavor, program)
    second = MySqlServer(flavor, program, copy_of=first)
    with ExitStack() as stack:
        for server in (first, second):
            stack.callback(server.discard)
        stack.enter_context(first.running(*member(flavor, 1, ports)))
        stack.enter_context(second.running(*member(flavor, 2, ports)))
        if flavor is Flavor.MARIADB:
            wait_for_status(second, "wsrep_local_state_comment", "Synced")
        yield first, second


def status(server: MySqlServer, name: str) -> str:
    with server.admin() as admin, admin.cursor() as cursor:
        cursor.execute(f"SHOW GLOBAL STATUS LIKE '{name}'")
        ((_, value),) = cursor.fetchall()
    return str(value)


def wait_for_status(server: MySqlServer, name: str, value: str) -> None:
    wait_until(
        lambda: status(server, name) == value, otherwise=lambda: f"{name} does not become {value}\n{server.log()}"
    )
