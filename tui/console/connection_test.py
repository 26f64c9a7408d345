"""A test of the connection to a target, or of what a pattern stands for, with a time limit."""

from __future__ import annotations

import asyncio

from engine import Engine, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.errors import TargetUnavailableError
from engine.domain.humanize import listed
from engine.fleet import expansion
from engine.fleet.expansion import Expansion
from tui.console.views.header import format_facts
from tui.presentation.left_out import format_left_out
from tui.presentation.text import counted, plain

PATIENCE = 10.0
"""Seconds to wait for an answer."""

_timed_out: set[asyncio.Task[TargetInfo]] = set()
"""Tests that have timed out: a task that hangs on a disk cannot be interrupted."""


async def check_connection(engine: Engine, target: str) -> TargetInfo:
    """Inspect the target. Raises TargetError, also after a timeout."""
    asking = asyncio.ensure_future(engine.inspect(target))
    try:
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
    finally:
        if not asking.done():
            _timed_out.add(asking)
            asking.add_done_callback(_timed_out.discard)
            asking.cancel()
    if not done:
        raise TargetUnavailableError(target, f"no answer in {PATIENCE:g} s", "is its disk still there?")
    return asking.result()


async def expand_if_pattern(entry: TargetEntry) -> Expansion | None:
    """The databases that a pattern or directory stands for; None: it is a single target. Raises DbtendError."""
    try:
        async with asyncio.timeout(PATIENCE):
            if await asyncio.to_thread(expansion.stands_for_many, entry):
                return await expansion.expand([entry])
    except TimeoutError:
        raise TargetUnavailableError(entry.url, f"no answer in {PATIENCE:g} s", "is its disk still there?") from None
    return None


def format_expansion(found: Expansion) -> str:
    """`stands for 300 databases: t1, t2, t3 and 297 more; left out: 2 backups`."""
    names = listed([plain(one.name) for one in found.targets], 3)
    stands = f"stands for {counted(len(found.targets), 'database')}" + (f": {names}" if names else "")
    unread = f"{counted(len(found.unlisted), 'directory')} not read" if found.unlisted else ""
    return "; ".join(filter(None, (stands, format_left_out(found), unread)))


def format_result(info: TargetInfo) -> str:
    """`sqlite 3.46.0, 528 kB, journal delete, 29% empty, writable`."""
    writable = f"read-only: {info.read_only}" if info.read_only else "writable"
    return ", ".join([info.product, *format_facts(info.facts), writable, *info.remarks])
