"""Hosts for tests: network namespaces of this machine, each with a link to it that can be cut."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

NETWORK = "10.0.0.0/8"


class Host:
    """A network namespace. `server`: the address of this machine, as it is reached from there."""

    def __init__(self, number: int) -> None:
        own = os.getpid()
        self.name = f"dbtend{own}-{number}"
        self._link = f"dbt{own}.{number}"
        net = f"10.{20 + own % 200}.{own // 200 % 250}"
        self.server, self._address = f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}"

    def make(self) -> None:
        _ip("netns", "add", self.name)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("addr", "add", f"{self.server}/30", "dev", self._link)
        _ip("-n", self.name, "addr", "add", f"{self._address}/30", "dev", "eth0")
        for link in (("link", "set", self._link), ("-n", self.name, "link", "set", "eth0")):
            _ip(*link, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        subprocess.run(["ip", "link", "del", self._link], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)

    @property
    def command(self) -> Sequence[str]:
        """Runs the command that follows it on this host."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        _ip("link", "set", self._link, "down")

    def join(self) -> None:
        _ip("link", "set", self._link, "up")


def free_port() -> int:
    with socket.create_server(("", 0)) as free:
        return int(free.getsockname()[1])


def why_no_hosts() -> str:
    """Why none can be made here; "" if they can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "hosts are made by root, with ip of iproute2"
    probe = Host(0)
    try:
        probe.make()
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made here: {error.stderr.strip()}"
    finally:
        probe.remove()
    return ""


@contextmanager
def network_hosts(count: int) -> Iterator[Sequence[Host]]:
    """So many hosts while inside. A test that needs them is skipped where there are none, and fails in CI."""
    if why := why_no_hosts():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    with ExitStack() as made:
        hosts = [Host(number) for number in range(count)]
        for host in hosts:
            made.callback(host.remove)
            host.make()
        yield hosts


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)
