"""Servers that are down when a run is asked for: waited for where the request says for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from engine import Request
from engine.domain import time_limits
from engine.domain.humanize import span
from engine.domain.server_names import names_server
from engine.domain.steps import WaitsFor
from engine.domain.typed_passwords import server_of
from engine.inspection import inspector
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import named
from tui.commands.run_async import run_async
from tui.presentation.text import plain

_T = TypeVar("_T")


def wait_for_servers(asked: Sequence[Request]) -> None:
    """Return once the servers are there, at the latest at the time limit. Each is asked for one of its databases.

    Raises ServerUnavailableError if the server of the only target stays down; with several the run reports it.
    """
    of_servers = {
        server_of(inspector.canonical_url(request.target)): request
        for request in asked
        if request.options.server.server_wait and names_server(request.target)
    }
    if of_servers:
        run_async(_wait_for_all(list(of_servers.values()), several=len(asked) > 1))


async def _wait_for_all(asked: Sequence[Request], *, several: bool) -> None:
    await asyncio.gather(*map(_wait, asked), return_exceptions=several)


async def _wait(request: Request) -> None:
    seconds = _seconds(request)
    await inspector.wait_for_server(request.target, seconds=seconds, waiting=_Telling(request, seconds))


async def again_if_server_died(request: Request, inspect: Callable[[float | None], Awaitable[_T]]) -> _T:
    """What an inspection gives, after the restart of a server that dies under it where the request waits for that."""
    seconds = _seconds(request)
    return await inspector.again_if_server_died(
        request.target, inspect, inspector.BUDGET, seconds=seconds, waiting=_Telling(request, seconds)
    )


def _seconds(request: Request) -> float:
    """How long its server is waited for, from now."""
    seconds, at = request.options.server.server_wait or 0.0, now()
    if (deadline := time_limits.deadline(request.options, at)) is not None:
        seconds = min(seconds, max(deadline - at, 0) / 1e6)
    return seconds


class _Telling:
    """Says once that the server of a request is waited for, and why."""

    def __init__(self, request: Request, seconds: float) -> None:
        self._request, self._seconds = request, seconds
        self._is_told = False

    def __call__(self, why: str, waits_for: WaitsFor = WaitsFor.SERVER) -> None:
        if not self._is_told:
            self._is_told = True
            output.notice(f"{named(self._request.target)}: waiting up to {span(self._seconds)}: {plain(why)}")
