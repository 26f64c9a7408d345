"""A server that answers as no PostgreSQL does: in front of a real one, of whose answers it alters some.

`python -m tests.hostile_server HOW FROM SOCKET_OF_THE_REAL_ONE` listens on a port that it prints first. HOW is a key of
HOW; FROM is the number of the answer on each connection from which on it is hostile: the login is number 0.
"""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.postgres_databases import Database  # its process does without the driver

SSL, GSS, CANCEL = 80877103, 80877104, 80877102
SLOW: Final = 0.05
Messages = Iterator[tuple[bytes, bytes]]


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def error(text: bytes, severity: bytes = b"ERROR", state: bytes = b"XX000") -> bytes:
    fields = ((b"S", severity), (b"V", severity), (b"C", state), (b"M", text))
    return b"".join(key + value + b"\0" for key, value in fields) + b"\0"


NOTICE: Final = message(b"N", error(b"x" * 500, b"NOTICE", b"00000"))
READY: Final = message(b"Z", b"I")


def columns(*names: bytes, oid: int = 25) -> bytes:
    each = b"".join(name + b"\0" + struct.pack("!ihihih", 0, 0, oid, -1, -1, 0) for name in names)
    return message(b"T", struct.pack("!h", len(names)) + each)


def row(*values: bytes | None) -> bytes:
    each = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message(b"D", struct.pack("!h", len(values)) + each)


def values_of(body: bytes) -> list[bytes | None]:
    """Of a row."""
    values, at = list[bytes | None](), 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    return values


def columns_of(body: bytes) -> list[tuple[bytes, bytes]]:
    """Of a description, with what follows each name."""
    found, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        end = body.index(b"\0", at)
        found.append((body[at:end], body[end + 1 : end + 19]))
        at = end + 19
    return found


def described(found: list[tuple[bytes, bytes]]) -> bytes:
    return message(b"T", struct.pack("!h", len(found)) + b"".join(name + b"\0" + rest for name, rest in found))


class Client:
    """One connection of dbtend."""

    def __init__(self, connection: socket.socket, rng: random.Random) -> None:
        self.socket, self.rng = connection, rng

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_for_ever(self, data: bytes) -> None:
        block = data * max(1, 65536 // len(data))
        while True:
            self.send(block)

    def be_silent(self) -> None:
        """Until the other side goes."""
        while self.socket.recv(65536):
            pass
        raise ConnectionError


How = Callable[[Client, bytes, bytes], None]
"""Sends something instead of a message of the real server."""


def _as_it_is(client: Client, kind: bytes, body: bytes) -> None:
    client.send(message(kind, body))


def _instead_of(wanted: bytes, do: How) -> How:
    def how(client: Client, kind: bytes, body: bytes) -> None:
        (do if kind in wanted else _as_it_is)(client, kind, body)

    return how


def _more_columns(client: Client, kind: bytes, body: bytes) -> None:
    if kind == b"T":
        client.send(described([*columns_of(body), *columns_of(body)[:1]]))
    else:
        client.send(row(*values_of(body), *values_of(body)[:1]))


def _fewer_columns(client: Client, kind: bytes, body: bytes) -> None:
    client.send(described(columns_of(body)[:-1]) if kind == b"T" else row(*values_of(body)[:-1]))


def _other_types(client: Client, kind: bytes, body: bytes) -> None:
    oids = (16, 17, 20, 21, 23, 25, 114, 700, 701, 1082, 1184, 1700, 2950, 3802, 1007, 1009, 2249, 600, 999_999)
    client.send(
        described(
            [
                (name, rest[:6] + struct.pack("!i", client.rng.choice(oids)) + rest[10:])
                for name, rest in columns_of(body)
            ]
        )
    )


def _other_values(client: Client, kind: bytes, body: bytes) -> None:
    nonsense: tuple[bytes | None, ...] = (
        b"", b"-1", b"0", b"9" * 30, b"NaN", b"Infinity", b"t", b"\xff\xfe", b"\x1b[31m\x07\n", "\u202eabc".encode(),
        b"x" * 1_000_000, b"{}", b"[[[", b"[" * 100_000, b"null", b"infinity", b"1e400", None,
    )  # fmt: skip
    client.send(row(*(client.rng.choice((v, client.rng.choice(nonsense))) for v in values_of(body))))


def _huge_field(client: Client, kind: bytes, body: bytes) -> None:
    size = 1_500_000_000
    client.send(columns(b"a") if kind != b"D" else b"")
    client.send(b"D" + struct.pack("!ihi", size + 10, len(values_of(body)) if kind == b"D" else 1, size))
    client.send_for_ever(b"x")


def _endless_rows(client: Client, kind: bytes, body: bytes) -> None:
    if kind == b"D":
        client.send_for_ever(message(kind, body))
    client.send(columns(b"a"))
    client.send_for_ever(row(b"1"))


def _endless_parameters(client: Client, kind: bytes, body: bytes) -> None:
    for number in range(1 << 60):
        client.send(b"".join(message(b"S", b"name%d%d\0value\0" % (number, i)) for i in range(2000)))


def _garbage(client: Client, kind: bytes, body: bytes) -> None:
    client.send_for_ever(client.rng.randbytes(65536))


def _half_a_row(client: Client, kind: bytes, body: bytes) -> None:
    data = columns(b"a") + row(b"x" * 100) if kind != b"D" else message(kind, body)
    client.send(data[: -max(1, len(body) // 2 or 50)])
    client.be_silent()


def _drip(client: Client, kind: bytes, body: bytes) -> None:
    for byte in message(kind, body):
        client.send(bytes([byte]))
        time.sleep(SLOW)


def _gone(client: Client, kind: bytes, body: bytes) -> None:
    raise ConnectionError


def _gone_half_way(client: Client, kind: bytes, body: bytes) -> None:
    client.send(message(kind, body)[:-1])
    raise ConnectionError


def _error(text: bytes, severity: bytes = b"ERROR") -> How:
    def how(client: Client, kind: bytes, body: bytes) -> None:
        if kind == b"Z":
            client.send(message(b"E", error(text, severity)) + READY)

    return how


def _endless(data: bytes) -> How:
    return lambda client, kind, body: client.send_for_ever(data)


def _endless_copy(client: Client, kind: bytes, body: bytes) -> None:
    client.send(message(b"H", struct.pack("!bhh", 0, 1, 0)))
    client.send_for_ever(message(b"d", b"x" * 1000))


def _twice(client: Client, kind: bytes, body: bytes) -> None:
    client.send(message(kind, body) * 2)


def _version(text: bytes) -> How:
    def how(client: Client, kind: bytes, body: bytes) -> None:
        client.send(
            message(b"S", b"server_version\0" + text + b"\0")
            if body.startswith(b"server_version\0")
            else message(kind, body)
        )

    return _instead_of(b"S", how)


HOW: Final[dict[str, How]] = {
    "more columns": _instead_of(b"TD", _more_columns),
    "fewer columns": _instead_of(b"TD", _fewer_columns),
    "no row": _instead_of(b"D", lambda *_: None),
    "each row twice": _instead_of(b"D", _twice),
    "each answer twice": _instead_of(b"TDC", _twice),
    "no answer but ready": _instead_of(b"TDC12", lambda *_: None),
    "nulls": _instead_of(b"D", lambda client, _, body: client.send(row(*(None for _ in values_of(body))))),
    "other types": _instead_of(b"T", _other_types),
    "other values": _instead_of(b"D", _other_values),
    "endless rows": _endless_rows,
    "a huge field": _huge_field,
    "endless notices": _endless(NOTICE),
    "endless notifications": _endless(message(b"A", struct.pack("!i", 1) + b"channel\0" + b"x" * 100 + b"\0")),
    "endless parameters": _endless_parameters,
    "endless results": _endless(columns(b"a") + row(b"1") + message(b"C", b"SELECT 1\0")),
    "endless errors": _endless(message(b"E", error(b"no"))),
    "endless readiness": _endless(READY),
    "endless copy": _endless_copy,
    "silence": lambda client, kind, body: client.be_silent(),
    "half a row": _half_a_row,
    "drip": _drip,
    "errors": _error(b"no"),
    "errors in several lines": _error(b"no\n\x1b[31mred\x07\r\nand more"),
    "a huge error": _error(b"x" * 50_000_000),
    "fatal errors": _error(b"no", b"FATAL"),
    "panic": _error(b"no", b"PANIC"),
    "gone": _gone,
    "gone half way": _gone_half_way,
    "garbage": _garbage,
    "in a transaction": _instead_of(b"Z", lambda client, *_: client.send(message(b"Z", b"T"))),
    "in a failed transaction": _instead_of(b"Z", lambda client, *_: client.send(message(b"Z", b"E"))),
    "version banana": _version(b"banana"),
    "version 0": _version(b"0"),
    "version 999999": _version(b"999999.9"),
    "no version": _instead_of(b"S", lambda *_: None),
    "odd encoding": _instead_of(b"S", lambda client, *_: client.send(message(b"S", b"client_encoding\0banana\0"))),
    "asks for a password": _instead_of(b"R", lambda client, *_: client.send(message(b"R", struct.pack("!i", 3)))),
    "asks in an unknown way": _instead_of(b"R", lambda client, *_: client.send(message(b"R", struct.pack("!i", 99)))),
    "http": lambda client, kind, body: client.send_for_ever(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"),
}  # fmt: skip
AT_LOGIN: Final = frozenset(name for name in HOW if name.startswith(("version", "no version", "odd", "asks")))
"""These alter nothing later."""


class HostileServer:
    def __init__(self, how: str, since: int, real: str, seed: int = 0) -> None:
        self._how, self._since, self._real, self._seed = HOW[how], since, real, seed
        self._was_hostile = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, socket.socket(socket.AF_UNIX) as real:
            with suppress(OSError, struct.error):
                self._talk(connection, real)
            for end in (connection, real):  # another thread may still listen
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _talk(self, connection: socket.socket, real: socket.socket) -> None:
        while True:
            length, code = struct.unpack("!ii", _exactly(connection, 8))
            rest = _exactly(connection, length - 8)
            if code not in {SSL, GSS}:
                break
            connection.sendall(b"N")
        real.connect(self._real)
        real.sendall(struct.pack("!ii", length, code) + rest)
        if code == CANCEL:
            return
        threading.Thread(target=_pass_on, args=(connection, real), daemon=True).start()
        self._answer(Client(connection, random.Random(self._seed)), real)

    def _answer(self, client: Client, real: socket.socket) -> None:
        number = 0
        while True:
            kind, length = struct.unpack("!ci", _exactly(real, 5))
            body = _exactly(real, length - 4)
            if number >= self._since and not self._was_hostile:
                self._was_hostile = True
                print("hostile", flush=True)
            (self._how if number >= self._since else _as_it_is)(client, kind, body)
            number += kind == b"Z"


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@contextmanager
def hostile_server(
    database: Database, how: str, since: int = 0, seed: int = 0, is_hostile: threading.Event | None = None
) -> Iterator[str]:
    """In a process of its own; the URL by which the database is reached through it.

    `is_hostile`: set once it has got to the first answer that it alters.
    """
    real = f"{database.server.base}/.s.PGSQL.{database.server.tcp_port or 5432}"
    # Without what is installed, which takes half of its start.
    command = [sys.executable, "-S", "-m", "tests.hostile_server", how, str(since), real, str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    hearing: threading.Thread | None = None
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        if is_hostile:
            hearing = threading.Thread(target=_set_at_a_line, args=(is_hostile, process.stdout))
            hearing.start()
        yield f"postgresql://postgres@127.0.0.1:{port}/{database.name}"
    finally:
        process.kill()
        process.wait()
        if hearing:
            hearing.join()
        if process.stdout is not None:
            process.stdout.close()


def _set_at_a_line(event: threading.Event, lines: Iterator[str]) -> None:
    if next(lines, ""):
        event.set()


if __name__ == "__main__":
    server = HostileServer(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    print(server.port, flush=True)
    server.serve()
