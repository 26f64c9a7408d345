"""SIGINT, SIGTERM and SIGHUP: the first asks for a safe stop, the second leaves at once.

But that its terminal is gone is no reason for a command to stop: it goes on without.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tui.commands import output
from tui.commands.exit_codes import CANCELLED

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Stop:
    """Whether this process was asked to stop, and by whom."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    by_person: bool = False
    """Somebody pressed Ctrl-C. The other signals come from a system that shuts down."""


@contextmanager
def stop_signals(announce: Callable[[str], None] = output.notice) -> Iterator[Stop]:
    """Yield what the first signal asks for, with a word to whoever sent it.

    The second ends the process where it stands. That is safe: an SQLite transaction that is cut off is rolled
    back by whoever opens the database next, and the store knows that its owner is dead.
    """
    loop = asyncio.get_running_loop()
    stop = Stop()

    def on_signal(number: signal.Signals) -> None:
        if not stop.asked.is_set():
            stop.by_person = number is signal.SIGINT
            stop.asked.set()
            announce("stopping safely; once more to leave at once")
        # Nobody insists with SIGHUP: a shell and the terminal both send it, and systemd may after SIGTERM.
        elif number is not signal.SIGHUP:
            sys.stdout.flush()
            os._exit(CANCELLED)

    # What the parent process had us ignore (nohup, a background job of a script) stays ignored.
    heeded = [s for s in _SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    has_terminal = any(map(os.isatty, range(3)))
    for number in heeded:
        if number is signal.SIGHUP and has_terminal:
            loop.add_signal_handler(number, lambda: None)
        else:
            loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
