"""Advice for the command line: by the history where there is one; without a store none is created."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from engine import Advice, Engine, Level, Past, Plan, Request, look
from engine.advice import needed
from engine.clock import now
from engine.errors import StoreError
from engine.words import listed
from tui.commands import output
from tui.commands.naming import named
from tui.commands.settings import Settings
from tui.text import plain


class Adviser:
    """Looks at targets, with what the history says of them."""

    def __init__(self, engine: Engine | None, *, read_only: bool) -> None:
        self._engine = engine
        self._read_only = read_only

    async def advise(self, target: str, *, budget: float | None) -> tuple[Advice, ...]:
        """Raises TargetError."""
        if self._engine is None:
            return await look.advise(target, Past(now=now()), budget=budget, read_only=self._read_only)
        return await self._engine.advise(target, budget=budget)

    async def plan(self, request: Request) -> Plan:
        """Raises UsageError, TargetError."""
        if self._engine is None:
            return await look.plan(request, read_only=self._read_only)
        return await self._engine.plan(request)


@asynccontextmanager
async def adviser(settings: Settings) -> AsyncIterator[Adviser]:
    """An adviser that does without the history where that cannot be read, and says so."""
    async with AsyncExitStack() as stack:
        engine = None
        if _is_there(settings.store):
            try:
                engine = await stack.enter_async_context(settings.engine())
            except StoreError as error:
                output.notice(f"goes on without the history: {plain(str(error))}")
        yield Adviser(engine, read_only=settings.read_only)


def _is_there(store: Path) -> bool:
    return store.exists()


def to_run(asked: Sequence[Request], args: argparse.Namespace, settings: Settings) -> Sequence[Request]:
    """The requests; with `--needed`, and without `--op`, only what of them is called for.

    A target that needs nothing is told: where that is all there is to tell, as the result.
    """
    if not args.needed or args.operations:
        return asked
    requests, said = asyncio.run(_only_needed(asked, settings))
    for summary, *reasons in said:
        if args.json or requests:
            output.notice(summary)
        else:
            output.line("\n".join([summary, *reasons]))
    return requests


async def _only_needed(asked: Sequence[Request], settings: Settings) -> tuple[list[Request], list[list[str]]]:
    """What of the requests is needed; and of each target that needs nothing, the lines that say so."""
    requests, said = [], []
    async with adviser(settings) as looking:
        for request in asked:
            advice = await looking.advise(request.target, budget=look.BUDGET)
            if (narrowed := needed(request, advice)) is not None:
                requests.append(narrowed)
            else:
                said.append(nothing_needed(request, advice))
    return requests, said


def nothing_needed(request: Request, advice: Sequence[Advice]) -> list[str]:
    """`sales.db needs nothing`, as far as that is known, and a line for each operation that says why not."""
    wanted = [one for one in advice if one.operation in request.operations]
    width = max((len(one.operation) for one in wanted), default=0)
    reasons = [f"  {one.operation:{width}}  {plain(one.reason)}" for one in wanted]
    unsure = listed([one.operation for one in wanted if one.level is Level.UNKNOWN])
    summary = f"{named(request.target)} needs nothing"
    if unsure:
        summary += f" that is known: {unsure} unknown"
        if any(one.a_look_tells for one in wanted if one.level is Level.UNKNOWN):
            summary += " (dbtend advise --thorough looks at everything)"
    if by_hand := listed([one.operation for one in wanted if one.by_hand]):
        summary += f" before what {by_hand} found is put right"
    return [summary, *reasons]
