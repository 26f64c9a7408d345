"""In which order a run, and its plan, take several targets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from engine import Engine, Request
from engine.config.model import TargetEntry
from engine.domain.batches import Order
from engine.domain.time_limits import has_limit
from engine.fleet.order import in_order
from engine.inspection import inspector


async def in_run_order(
    asked: Sequence[Request],
    entries: Sequence[TargetEntry],
    args: argparse.Namespace,
    opening: AbstractAsyncContextManager[Engine],
) -> Sequence[Request]:
    """The requests as `--order` says; by default as named, but with a time limit those first whose turn it is."""
    order: Order | None = args.order
    if order is None and any(has_limit(request.options) for request in asked):
        order = Order.OLDEST
    if order is None or len(asked) < 2:
        return asked
    by_url = [(inspector.canonical_url(request.target), request) for request in asked]
    urls = {request.target for request in asked}
    async with opening as engine:
        surveyed = []
        if order is not Order.OLDEST:
            surveyed = [one async for one in engine.survey([entry for entry in entries if entry.url in urls])]
        surveys = {one.survey.target: one.survey for one in surveyed}
        return in_order(by_url, order, surveys, await engine.last_jobs([url for url, _ in by_url]))
