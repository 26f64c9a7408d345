"""SIGINT, SIGTERM and SIGHUP: the first asks for a safe stop, the second leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tui.commands import output
from tui.commands.exit_codes import CANCELLED

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals(announce: Callable[[str], None] = output.notice) -> Iterator[asyncio.Event]:
    """Yield an event that the first signal sets, with a word to whoever sent it.

    The second ends the process where it stands. That is safe: an SQLite transaction that is cut off is rolled
    back by whoever opens the database next, and the store knows that its owner is dead.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            sys.stdout.flush()
            os._exit(CANCELLED)
        stop.set()
        announce("stopping safely; once more to leave at once")

    # What the parent process had us ignore (nohup, a background job of a script) stays ignored.
    heeded = [s for s in _SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
