"""Which server is meant by a name, and whether it runs on this machine, by the socket of a connection to it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Final

NO_HOST_NAME: Final = "no host can have this name"
"""Why a connection fails where Python raises UnicodeError for the name: it has an empty or too long part."""


def host_spelling(host: str) -> str:
    """The spelling that stands for all of an address or name. No name is resolved."""
    if host.startswith(("/", "@")):  # a socket
        return host
    name = host.lower().removesuffix(".")
    try:
        ip = ip_address(name)
    except ValueError:
        return name
    return "localhost" if ip.is_loopback else str(ip)


def user_of_server(line: socket.socket) -> int | None:
    """The user of this machine that the server at the other end of a unix socket runs as; None for others."""
    peer = _peer(line)
    return None if peer is None else peer[1]


def process_of_server(line: socket.socket) -> int | None:
    """The process of this machine that made the unix socket at the other end; None for others."""
    peer = _peer(line)
    return None if peer is None else peer[0]


def _peer(line: socket.socket) -> tuple[int, int] | None:
    """Its process and user."""
    if sys.platform != "linux" or line.family != socket.AF_UNIX:
        return None
    with contextlib.suppress(OSError):  # it has just been closed
        process, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(process), int(user)
    return None


def milliseconds_of_thread(process: int, thread: int) -> int | None:
    """How long a thread of a process has used a processor; None if that cannot be seen, as in a container."""
    try:
        fields = Path(f"/proc/{process}/task/{thread}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def is_loopback(line: socket.socket) -> bool:
    """Whether the server has a port of this machine; it may be in a container, or at the end of a tunnel."""
    with contextlib.suppress(OSError):  # it has just ended
        return line.family != socket.AF_UNIX and ip_address(line.getpeername()[0]).is_loopback
    return False


def owner(directory: Path) -> int | None:
    """The owner of a directory; None if it cannot be seen. A container has other directories, and users, than we."""
    try:
        return directory.stat().st_uid
    except (OSError, ValueError):  # a name with a zero byte is a ValueError
        return None
