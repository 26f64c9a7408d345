"""A test of the connection to a target: what it says, within a time that a person waits."""

from __future__ import annotations

import asyncio

from engine import Engine, TargetInfo
from engine.domain.errors import TargetUnavailableError
from tui.console.views.header import format_facts

PATIENCE = 10.0
"""Seconds to wait for an answer."""

_left_behind: set[asyncio.Task[TargetInfo]] = set()
"""Those that nobody waits for any more: what hangs on a disk cannot be interrupted."""


async def answer_of(engine: Engine, target: str, *, patience: float | None = None) -> TargetInfo:
    """A look at the target. Raises TargetError, also where it takes too long."""
    seconds = PATIENCE if patience is None else patience
    asking = asyncio.ensure_future(engine.inspect(target))
    try:
        done, _ = await asyncio.wait({asking}, timeout=seconds)
    finally:
        if not asking.done():
            _left_behind.add(asking)
            asking.add_done_callback(_left_behind.discard)
            asking.cancel()
    if not done:
        raise TargetUnavailableError(target, f"no answer in {seconds:g} s", "is its disk still there?")
    return asking.result()


def in_words(info: TargetInfo) -> str:
    """`sqlite 3.46.0, 528 kB, journal delete, 29% empty, writable`."""
    writable = f"only to be read: {info.read_only}" if info.read_only else "writable"
    return ", ".join([f"{info.engine.value} {info.version}", *format_facts(info.facts), writable, *info.remarks])
