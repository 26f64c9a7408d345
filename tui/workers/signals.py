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

from tui.presentation.exit_codes import CANCELLED

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded_signals() -> list[signal.Signals]:
    """The signals that ask this process to stop, without those that its parent has it ignore, as nohup does."""
    return [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def has_terminal() -> bool:
    return any(map(os.isatty, range(3)))


@dataclass(slots=True)
class Stop:
    """Whether this process was asked to stop, and how."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    by_person: bool = False
    """Ctrl-C was pressed. The other signals come from a system that shuts down."""


@contextmanager
def stop_signals(announce: Callable[[str], None]) -> Iterator[Stop]:
    """Yield the request of the first signal, and announce what happens.

    The second ends the process at once. That is safe: an interrupted SQLite transaction is rolled
    back by the next process that opens the database, and the store knows that its owner is dead.
    """
    loop = asyncio.get_running_loop()
    stop = Stop()

    def on_signal(number: signal.Signals) -> None:
        if not stop.asked.is_set():
            stop.by_person = number is signal.SIGINT
            stop.asked.set()
            announce("stopping safely; once more to leave at once")
        # SIGHUP is no second request: a shell and the terminal both send it, and systemd may after SIGTERM.
        elif number is not signal.SIGHUP:
            sys.stdout.flush()
            os._exit(CANCELLED)

    heeded, may_lose_terminal = heeded_signals(), has_terminal()
    for number in heeded:
        if number is signal.SIGHUP and may_lose_terminal:
            loop.add_signal_handler(number, lambda: None)
        else:
            loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
