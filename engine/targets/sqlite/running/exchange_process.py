"""The process that exchanges the files: it starts beside the copying, and gets its order once the copy is complete."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Final

from engine.system.background import wait_uncancelled
from engine.targets.sqlite.system import exchange
from engine.targets.sqlite.system.exchange import LONGEST_MESSAGE, STAYS, Answer, Order
from engine.targets.waits import first_of

_ending: Final = set[asyncio.Task[None]]()
_staying: Final = list[subprocess.Popen[bytes]]()


class ExchangeProcess:
    """It ends if it gets no order, also where this process is killed."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process, self._channel = process, channel

    @classmethod
    def start(cls) -> ExchangeProcess:
        """Raises OSError."""
        _staying[:] = [one for one in _staying if one.poll() is None]  # else the end of the others is never collected
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", exchange.__file__],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",  # it must keep no file system in use but that of the database
                    start_new_session=True,  # what ends the worker from its terminal must not end it in the middle
                )
            except OSError:
                channel.close()
                raise
        return cls(process, channel)

    async def answer(self, order: Order, cancel: asyncio.Event) -> Answer | None:
        """What the process says that exchanges it; None where it was killed."""
        descriptors = [order["old"], order["directory"], order["workshop"], order["lock"]]
        with suppress(ConnectionError):
            socket.send_fds(self._channel, [json.dumps(order).encode()], descriptors)
            answering = asyncio.ensure_future(asyncio.to_thread(self._channel.recv, LONGEST_MESSAGE))
            await first_of(cancel, task=answering)
            self._channel.shutdown(socket.SHUT_WR)  # asks it to exchange nothing, if it has not done so yet
            if said := await answering:
                answer: Answer = json.loads(said)
                return answer
        return None

    def end(self) -> None:
        """Let it end, without waiting for it. The event loop does not end before it: a file system can then be
        unmounted. If another process has the old file open, it cannot, and this process stays until that one ends."""
        with suppress(OSError):  # it has ended
            self._channel.shutdown(socket.SHUT_WR)
        task = asyncio.create_task(self._ended(), name="the end of an exchange")
        _ending.add(task)
        task.add_done_callback(_ending.discard)

    async def _ended(self) -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def read() -> None:
            said = b""
            with suppress(ConnectionError):
                said = self._channel.recv(LONGEST_MESSAGE)
            if said == STAYS:
                _staying.append(self._process)
            elif said:  # an answer that nothing waits for any more
                return
            else:
                self._process.wait()  # it is ending
            loop.remove_reader(self._channel)
            over.set_result(None)

        loop.add_reader(self._channel, read)
        try:
            await wait_uncancelled(over)
        finally:
            loop.remove_reader(self._channel)
            self._channel.close()
