"""A server that answers as no MariaDB or MySQL does: in front of a real one, of whose answers it alters some."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

SLOW: Final = 0.05
CLEAR: Final = b"\xfemysql_clear_password\0"


def packet(number: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number % 256]) + body


def column(name: bytes, kind: int = 253) -> bytes:
    texts = (b"def", b"", b"", b"", name, b"")
    return b"".join(bytes([len(text)]) + text for text in texts) + struct.pack("<BHIBHBxx", 12, 45, 80, kind, 0, 0)


class Client:
    """One connection of dbtend."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self.socket, self.over = connection, over
        self.rng = random.Random(7)

    def send(self, *bodies: bytes, number: int = 1) -> None:
        self.socket.sendall(b"".join(packet(number + n, body) for n, body in enumerate(bodies)))

    def send_for_ever(self, body: bytes, number: int) -> None:
        while not self.over.is_set():
            self.socket.sendall(b"".join(packet(number + n, body) for n in range(256)))


How = Callable[[Client, bytes, int], None]
"""Sends something instead of an answer of the real server, of which this is the first packet, with its number."""

EOF: Final = b"\xfe\0\0\2\0"


def _drip(client: Client, body: bytes, number: int) -> None:
    client.socket.sendall(packet(number, b"x" * 1000)[:4])
    while not client.over.wait(SLOW):
        client.socket.sendall(b"\1")


def _rows(client: Client, body: bytes, number: int) -> None:
    client.send(b"\1", column(b"a"), EOF, number=number)
    client.send_for_ever(b"\xfc\xe8\3" + b"x" * 1000, number + 3)


def _nothings(client: Client, body: bytes, number: int) -> None:
    client.send(b"\1", column(b"a"), EOF, number=number)
    client.send_for_ever(b"\xfb", number + 3)


def _one_packet(client: Client, body: bytes, number: int) -> None:
    while not client.over.is_set():
        client.socket.sendall(b"\xff\xff\xff" + bytes([number % 256]) + b"x" * 0xFFFFFF)
        number += 1


def _strange_values(client: Client, body: bytes, number: int) -> None:
    """Of as many columns as there are wanted in the first question after the login."""
    values = (b"\5x\xff'y\n", b"\xfb", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff")
    kinds = (253, 8, 246)
    client.send(b"\3", *(column(b"a", kind) for kind in kinds), EOF, b"".join(values), EOF, number=number)


def _sent(*bodies: bytes) -> How:
    return lambda client, body, number: client.send(*bodies, number=number)


def _with_another_id(greeting: bytes) -> bytes:
    end = greeting.index(b"\0") + 1
    return greeting[:end] + b"\xff\xff\xff\x7f" + greeting[end + 4 :]


HOW: Final[dict[str, How]] = {
    "garbage": lambda client, body, number: client.socket.sendall(client.rng.randbytes(5000)),
    "garbage in packets": lambda client, body, number: client.send(
        *(client.rng.randbytes(client.rng.randrange(50)) for _ in range(200)), number=number
    ),
    "silence": lambda client, body, number: None,
    "end": lambda client, body, number: client.socket.shutdown(socket.SHUT_RDWR),
    "drip": _drip,
    "rows without end": _rows,
    "nothings without end": _nothings,
    "one packet without end": _one_packet,
    "strange values": _strange_values,
    "more columns than there are": _sent(b"\xfe" + b"\xff" * 8),
    "no columns": _sent(b"\xfc\0\0", EOF, EOF),
    "another column": _sent(b"\1", column(b"a"), EOF, b"\1x", EOF),
    "a row cut short": _sent(b"\1", column(b"a"), EOF, b"\xfd\xff", EOF),
    "no rows": _sent(b"\1", column(b"a"), EOF, EOF),
    "fine": _sent(b"\0\0\0\2\0\0\0"),
    "fine, and more to come": lambda client, body, number: client.send_for_ever(b"\0\0\0\n\0\0\0", number),
    "a file is wanted": _sent(b"\xfb/etc/passwd"),
    "an error without words": _sent(b"\xff"),
    "an error with too many": _sent(b"\xff\x17\4#HY000" + b"\x1b[31m\n" * 1_000_000),
    "another number": lambda client, body, number: client.send(body, number=number + 3),
    "nothing in a packet": _sent(b""),
}
LOGIN: Final[dict[str, How]] = {
    "another version": lambda client, body, number: client.send(b"\n" + b"x\0" + body[10:], number=number),
    "cut short": lambda client, body, number: client.send(body[:12], number=number),
    "another session": lambda client, body, number: client.send(_with_another_id(body), number=number),
    "no encoding": lambda client, body, number: client.send(body[:-3] + b"\xff\xff\0", number=number),
}
"""Only of the first packet of all."""
PASSWORD: Final[dict[str, bytes]] = {
    "clear": CLEAR,
    "dialog": b"\xfedialog\0\4Password: ",
    "sha256": b"\xfesha256_password\0" + b"s" * 20 + b"\0",
    "old": b"\xfemysql_old_password\0" + b"s" * 8 + b"\0",
    "unknown": b"\xfeno_such_method\0",
    "parsec": b"\xfeparsec\0" + b"n" * 32,
    "again and again": b"\xfemysql_native_password\0" + b"s" * 20 + b"\0",
}
"""Methods of login that the server wants, instead of that of the real one."""


class HostileServer:
    """Listens at a port of the loopback interface."""

    def __init__(self, real: Path, how: How, since: int) -> None:
        """`since`: the first answer of each connection that is hostile; the server's greeting is 0, the login 1."""
        self._real, self._how, self._since = real, how, since
        self.received = bytearray()
        """What dbtend has sent."""
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                real = socket.socket(socket.AF_UNIX)
                real.connect(str(self._real))
                self._open += [connection, real]
                for work in (self._to_real, self._from_real):
                    self._threads.append(threading.Thread(target=work, args=(connection, real)))
                    self._threads[-1].start()

    def _to_real(self, connection: socket.socket, real: socket.socket) -> None:
        with suppress(OSError):
            while data := connection.recv(65536):
                self.received += data
                real.sendall(data)
            real.shutdown(socket.SHUT_RDWR)

    def _from_real(self, connection: socket.socket, real: socket.socket) -> None:
        client, answer = Client(connection, self.over), -1
        with suppress(OSError), real.makefile("rb") as stream:
            while len(head := stream.read(4)) == 4:
                body = stream.read(int.from_bytes(head[:3], "little"))
                # The first packet of an answer; of the login it is the second of the server.
                begins = head[3] <= 1 or (answer == 0 and head[3] == 2)
                answer += begins
                is_only_the_greeting = self._how in LOGIN.values()
                if answer < self._since or (is_only_the_greeting and answer > 0):
                    connection.sendall(head + body)
                elif begins:
                    self._how(client, body, head[3])

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for one in (self._listener, *self._open):
            one.close()


@contextmanager
def hostile_server(real: Path, how: How, since: int) -> Iterator[HostileServer]:
    """`real`: the socket of a real server."""
    server = HostileServer(real, how, since)
    try:
        yield server
    finally:
        server.close()
