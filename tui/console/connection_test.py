"""A test of the connection to a target, with a time limit."""

from __future__ import annotations

import asyncio

from engine import Engine, TargetInfo
from engine.domain.errors import TargetUnavailableError
from tui.console.views.header import format_facts

PATIENCE = 10.0
"""Seconds to wait for an answer."""

_timed_out: set[asyncio.Task[TargetInfo]] = set()
"""Tests that have timed out: a task that hangs on a disk cannot be interrupted."""


async def check_connection(engine: Engine, target: str, *, patience: float | None = None) -> TargetInfo:
    """Inspect the target. Raises TargetError, also after a timeout."""
    seconds = PATIENCE if patience is None else patience
    asking = asyncio.ensure_future(engine.inspect(target))
    try:
        done, _ = await asyncio.wait({asking}, timeout=seconds)
    finally:
        if not asking.done():
            _timed_out.add(asking)
            asking.add_done_callback(_timed_out.discard)
            asking.cancel()
    if not done:
        raise TargetUnavailableError(target, f"no answer in {seconds:g} s", "is its disk still there?")
    return asking.result()


def format_result(info: TargetInfo) -> str:
    """`sqlite 3.46.0, 528 kB, journal delete, 29% empty, writable`."""
    writable = f"read-only: {info.read_only}" if info.read_only else "writable"
    return ", ".join([f"{info.engine.value} {info.version}", *format_facts(info.facts), writable, *info.remarks])
