"""Servers that are down when a run is asked for: waited for where the request says for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine import Request, limits, look
from engine.clock import now
from engine.jobs import WaitsFor
from engine.words import span
from tui.commands import output
from tui.commands.naming import named
from tui.text import plain


def wait_for_servers(asked: Sequence[Request]) -> None:
    """Return once the servers are there, at the latest at the time limit. Raises ServerAwayError."""
    waiting = [request for request in asked if request.options.server.server_wait and look.is_on_server(request.target)]
    if waiting:
        asyncio.run(_wait_for_all(waiting))


async def _wait_for_all(asked: Sequence[Request]) -> None:
    await asyncio.gather(*map(_wait, asked))


async def _wait(request: Request) -> None:
    seconds, at = request.options.server.server_wait or 0.0, now()
    if (deadline := limits.deadline(request.options, at)) is not None:
        seconds = min(seconds, max(deadline - at, 0) / 1e6)
    told = False

    def tell(why: str, waits_for: WaitsFor = WaitsFor.SERVER) -> None:
        nonlocal told
        if not told:
            told = True
            output.notice(f"{named(request.target)}: waiting up to {span(seconds)}: {plain(why)}")

    await look.wait_for_server(request.target, seconds=seconds, waiting=tell)
