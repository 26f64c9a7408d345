"""Advice for the command line: by the history where there is one; without a store none is created."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from engine import Advice, Engine, EngineName, Level, Operation, Plan, Request, TargetHistory
from engine.config.model import TargetEntry
from engine.domain.advice import needed
from engine.domain.errors import StoreError, TargetError
from engine.domain.humanize import listed
from engine.inspection import inspector
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import named
from tui.commands.settings import Settings
from tui.presentation.exit_codes import OK, REFUSED
from tui.presentation.text import plain


class Adviser:
    """Looks at targets, with what the history says of them."""

    def __init__(self, engine: Engine | None, *, read_only: bool) -> None:
        self._engine = engine
        self._read_only = read_only

    async def advise(self, target: str, *, budget: float | None) -> tuple[Advice, ...]:
        """Raises TargetError."""
        if self._engine is None:
            return await inspector.advise(target, TargetHistory(now=now()), budget=budget, read_only=self._read_only)
        return await self._engine.advise(target, budget=budget)

    async def plan(self, request: Request) -> Plan:
        """Raises UsageError, TargetError."""
        if self._engine is None:
            return await inspector.plan(request, read_only=self._read_only)
        return await self._engine.plan(request)


@asynccontextmanager
async def adviser(settings: Settings) -> AsyncIterator[Adviser]:
    """An adviser. If the history cannot be read, it works without it and says so."""
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


def to_run(
    asked: Sequence[Request], entries: Sequence[TargetEntry], args: argparse.Namespace, settings: Settings
) -> tuple[Sequence[Request], int]:
    """The requests, with an exit code; with `--needed` and without `--op`, only their operations that advice calls for.

    A target that needs nothing is reported: as the result if there is no other. A target that a person must repair
    first is refused.
    """
    if args.operations:
        return asked, OK
    if not args.needed:
        usual = [request.target for request, entry in zip(asked, entries, strict=True) if not entry.operations]
        return asyncio.run(_with_damaged_indexes(asked, usual, settings)), OK
    requests, said, refused = asyncio.run(_only_needed(asked, settings))
    for why in refused:
        output.notice(why)
    for summary, *reasons in said:
        if args.json or requests:
            output.notice(summary)
        else:
            output.line("\n".join([summary, *reasons]))
    return requests, REFUSED if refused else OK


async def _with_damaged_indexes(
    asked: Sequence[Request], usual: Collection[str], settings: Settings
) -> Sequence[Request]:
    """The requests; on those targets that are maintained as usual, first the indexes that a check found damaged."""
    if not _is_there(settings.store):
        return asked
    try:
        async with settings.engine() as engine:
            return [await _damaged_first(engine, one) if one.target in usual else one for one in asked]
    except StoreError:  # to plan or to submit it says why
        return asked


async def _damaged_first(engine: Engine, request: Request) -> Request:
    if Operation.REINDEX in request.operations or request.options.objects:
        return request
    # A server reports some that no check of dbtend has found; for a file only the history knows of any.
    if inspector.engine_of(request.target) is EngineName.SQLITE and not await engine.damaged_indexes(request.target):
        return request
    try:
        advice = await engine.advise(request.target, budget=0)
    except TargetError:  # to plan or to submit it says why
        return request
    damaged = next((one.objects for one in advice if one.operation is Operation.REINDEX and one.is_needed), ())
    if not damaged:
        return request
    options = replace(request.options, rebuild=damaged)
    return replace(request, operations=(Operation.REINDEX, *request.operations), options=options)


async def _only_needed(
    asked: Sequence[Request], settings: Settings
) -> tuple[list[Request], list[list[str]], list[str]]:
    """What of the requests is needed; of each target that needs nothing, the lines that say so; and why others are
    refused."""
    requests, said, refused = [], [], []
    async with adviser(settings) as looking:
        for request in asked:
            advice = await looking.advise(request.target, budget=inspector.BUDGET)
            if (narrowed := needed(request, advice)) is not None:
                requests.append(inspector.applicable(narrowed))
            elif why := refused_until_put_right(request, advice):
                refused.append(why)
            else:
                said.append(nothing_needed(request, advice))
    return requests, said, refused


def refused_until_put_right(request: Request, advice: Sequence[Advice]) -> str:
    """`sales.db is damaged: nothing is done (...)`, if a person must first repair the damage that a check
    found; else ""."""
    check = next((one for one in advice if one.operation is Operation.CHECK), None)
    if check is None:
        return ""
    if check.level is Level.NOW:
        return f"{named(request.target)} is damaged: nothing is done ({plain(check.reason)})"
    if check.needs_manual_fix and Operation.CHECK in request.operations:
        what = "nothing is done before what the check found is put right"
        return f"{named(request.target)}: {what} ({plain(check.reason)})"
    return ""


def nothing_needed(request: Request, advice: Sequence[Advice]) -> list[str]:
    """`sales.db needs nothing`, as far as that is known, and a line for each operation that says why not."""
    wanted = [one for one in advice if one.operation in request.operations]
    width = max((len(one.operation) for one in wanted), default=0)
    reasons = [f"  {one.operation:{width}}  {plain(one.reason)}" for one in wanted]
    unsure = listed([one.operation for one in wanted if one.level is Level.UNKNOWN])
    summary = f"{named(request.target)} needs nothing"
    if unsure:
        summary += f" that is known: {unsure} unknown"
        if any(one.inspection_can_tell for one in wanted if one.level is Level.UNKNOWN):
            summary += " (dbtend advise --thorough looks at everything)"
    if needs_manual_fix := listed([one.operation for one in wanted if one.needs_manual_fix]):
        summary += f" before what {needs_manual_fix} found is put right"
    return [summary, *reasons]
