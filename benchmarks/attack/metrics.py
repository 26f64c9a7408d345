"""Clients of the metrics that send nothing, noise, or no end: a scrape is answered, and memory stays flat."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from tui.workers.metrics_server import MetricsListener, listening, serving_metrics

_ANSWER: Final = b"dbtend_jobs_open 1\n" * 10_000
_MOST_MEMORY: Final = 100_000_000
"""Bytes that the server may grow by."""
_HEADS: Final = (
    b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET " + b"/" * 100_000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", b"\0" * 50_000,
    b"PRI * HTTP/2.0\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000,
)  # fmt: skip


def attack(count: int, seed: int) -> Iterator[str]:
    """`count`: rounds, each with some dozens of clients that stay."""
    with ExitStack() as stack:
        listener = stack.enter_context(listening(("127.0.0.1", _free_port()), ()))
        server = os.fork()
        if server == 0:
            asyncio.run(_serve(listener))
            os._exit(0)
        try:
            begin = _memory(server)
            for number in range(count):
                dice = random.Random(seed * 1_000_003 + number)
                yield from _round(listener.socket.getsockname(), dice)
                if (grown := _memory(server) - begin) > _MOST_MEMORY:
                    yield f"round {number}: the server has grown by {grown:,} bytes"
                    return
        finally:
            os.kill(server, 9)
            os.waitpid(server, 0)


async def _serve(listener: MetricsListener) -> None:
    async def answer() -> bytes:
        return _ANSWER

    async with serving_metrics(listener, answer):
        await asyncio.Event().wait()


def _round(place: tuple[str, int], dice: random.Random) -> Iterator[str]:
    with ExitStack() as stack:
        for _ in range(dice.choice((1, 8, 40))):
            with suppress(OSError):
                client = stack.enter_context(socket.create_connection(place, timeout=5))
                client.sendall(dice.choice(_HEADS))
                client.settimeout(0.05)
                for _ in range(dice.choice((0, 0, 20))):
                    client.sendall(dice.randbytes(100_000))
        if not (got := _scraped(place)).startswith(b"HTTP/1.1 200 ") or not got.endswith(_ANSWER):
            yield f"a scrape got {got[:80]!r}"


def _scraped(place: tuple[str, int]) -> bytes:
    got = b""
    with suppress(OSError), socket.create_connection(place, timeout=15) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9187\r\n\r\n")
        while more := client.recv(1_000_000):
            got += more
    return got


def _memory(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_000


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
