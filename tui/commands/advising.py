"""Advice for the command line: by the history where there is one; without a store none is created."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from engine import Advice, Engine, Level, Operation, Plan, Request, TargetHistory
from engine.config.model import TargetEntry
from engine.domain.advice import CRITICAL, FORCE_CHOOSES_NOTHING, ByHand, all_by_hand, blocking_check, if_needed, needed
from engine.domain.batches import FailedRequest
from engine.domain.errors import (
    DbtendError,
    ServerDiedError,
    StoreError,
    TargetError,
    TargetRefusedError,
)
from engine.domain.frozen import frozen
from engine.domain.humanize import counted, listed
from engine.domain.thresholds import Thresholds
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.inspection.neighbors import neighbors_once
from engine.submission.validation import is_elsewhere, may_be_reached_elsewhere
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import named
from tui.commands.run_async import run_async
from tui.commands.server_wait import again_if_server_died
from tui.commands.settings import Settings
from tui.commands.waiting import interrupted
from tui.presentation.exit_codes import OK, REFUSED, SKIPPED, weightiest
from tui.presentation.text import plain

_NAMED: Final = 5
"""More targets than this that need nothing are counted, not named."""


class Adviser:
    """Looks at targets, with what the history says of them."""

    def __init__(self, engine: Engine | None, settings: Settings, stack: AsyncExitStack) -> None:
        """`stack`: closes the engine that it opens itself."""
        self._engine = engine
        self._settings = settings
        self._stack = stack

    async def advise(
        self, target: str, *, budget: float | None, limits: Thresholds, recover: bool = False
    ) -> tuple[Advice, ...]:
        """See `Engine.advise`. A table under which the server dies is put on record, in a new store where there is
        none: to read it again would end the server again. Raises TargetError."""
        if self._engine is not None:
            return await self._engine.advise(target, budget=budget, limits=limits, recover=recover)
        past, read_only = TargetHistory(now=now()), self._settings.read_only
        try:
            return await inspector.advise(
                target, past, budget=budget, limits=limits, read_only=read_only, recover=recover
            )
        except ServerDiedError as error:
            if not read_only:
                with suppress(StoreError):
                    self._engine = await self._stack.enter_async_context(self._settings.engine())
                    await self._engine.record_damage(target, error)
            raise

    async def tell_interrupted(self, targets: Sequence[str]) -> None:
        """Say which jobs on these targets were interrupted and left something."""
        if self._engine is not None:
            with suppress(StoreError):
                output.notice(*await interrupted(self._engine, set(inspector.canonical_urls(targets).values())))

    async def plan(self, request: Request) -> Plan:
        """Raises UsageError, TargetError."""
        if self._engine is None:
            plan = await inspector.plan(request, read_only=self._settings.read_only)
            return inspector.in_window(inspector.without_history(plan), now())
        return await self._engine.plan(request)


@asynccontextmanager
async def adviser(settings: Settings) -> AsyncIterator[Adviser]:
    """An adviser. If the history cannot be read, it works without it and says so, unless --store
    names a file.

    Raises StoreError.
    """
    async with AsyncExitStack() as stack:
        engine = None
        if settings.store.exists():
            try:
                engine = await stack.enter_async_context(settings.engine())
            except StoreError as error:
                if settings.store_required and not settings.store.is_shared:
                    raise
                output.notice(f"goes on without the history: {plain(str(error))}")
        yield Adviser(engine, settings, stack)


@frozen(kw_only=True)
class ToRun:
    """What of the requests of a command is to be done."""

    requests: Sequence[Request]
    failed: Sequence[FailedRequest] = ()
    """Among several targets those that cannot be inspected, or that a person must repair first."""
    code: int = OK
    """The exit code for work that is left undone."""


def to_run(
    asked: Sequence[Request],
    entries: Sequence[TargetEntry],
    args: argparse.Namespace,
    settings: Settings,
    *,
    can_confirm: bool = True,
) -> ToRun:
    """The requests; with `--needed` and without `--op`, only their operations that advice calls for.

    A target that needs nothing is reported: as the result if there is no other.

    Args:
        can_confirm: whether operations that need a confirmation may be chosen; else they are left out, and told.

    Raises TargetError if the only target cannot be inspected.
    """
    if args.operations:
        if args.needed:
            output.notice("--needed chooses nothing beside --op: the named operations run, needed or not")
        return ToRun(requests=asked)
    if not args.needed:
        usual = [request.target for request, entry in zip(asked, entries, strict=True) if not entry.operations]
        return ToRun(requests=run_async(_with_damaged_indexes(asked, usual, settings)))
    chosen, idle = run_async(_only_needed(asked, entries, args, settings, can_confirm=can_confirm))
    is_result = not (args.json or chosen.requests or chosen.failed)
    for line in _idle_lines(idle, in_full=is_result and len(asked) == 1):
        (output.line if is_result else output.notice)(line)
    return chosen


def _idle_lines(idle: Sequence[tuple[Request, Sequence[Advice]]], *, in_full: bool) -> Iterator[str]:
    """Lines that say which targets need nothing; where they are very many, how many."""
    if len(idle) > _NAMED:
        unsure = sum(is_unsure(request, advice) for request, advice in idle)
        text = f"{counted(len(idle), 'target')} need nothing"
        yield f"{text}; of {unsure:,} of them not everything is known" if unsure else text
        return
    for request, advice in idle:
        summary, *reasons = nothing_needed(request, advice)
        yield "\n".join([summary, *reasons]) if in_full else summary


async def _with_damaged_indexes(
    asked: Sequence[Request], usual: Collection[str], settings: Settings
) -> Sequence[Request]:
    """The requests; on those targets that are maintained as usual, first the indexes that a check found damaged."""
    if not settings.store.exists():
        return asked
    by_target = {request.target: request for request in asked if request.target in usual}
    try:
        async with settings.engine() as engine:
            found = await for_each(list(by_target), lambda target: _damaged_first(engine, by_target[target]))
    except StoreError:  # to plan or to submit it says why
        return asked
    # One that cannot be inspected says why to plan or to submit it.
    by_target |= {one.target: one for one in found if isinstance(one, Request)}
    return [by_target.get(request.target, request) for request in asked]


async def _damaged_first(engine: Engine, request: Request) -> Request:
    """Raises TargetError."""
    if Operation.REINDEX in request.operations or request.options.objects:
        return request
    # A server reports some that no check of dbtend has found; for a file only the history knows of any.
    if inspector.engine_of(request.target).is_file and not await engine.damaged_indexes(request.target):
        return request
    advice = await engine.advise(request.target, budget=0, recover=True)
    damaged = next((item.objects for item in advice if item.operation is Operation.REINDEX and item.is_needed), ())
    if not damaged:
        return request
    options = replace(request.options, rebuild=damaged)
    if not inspector.engine_of(request.target).is_file:
        return replace(request, operations=(Operation.REINDEX, *request.operations), options=options)
    others = [operation for operation in request.operations if operation is not Operation.CHECK]
    operations = (Operation.REINDEX, Operation.CHECK, *others)  # until a check is clean nothing else may write
    return replace(request, operations=operations, options=replace(options, check_first=True))


async def _advice_on(
    requests: Mapping[str, Request], limits: Mapping[str, Thresholds], settings: Settings
) -> dict[str, Sequence[Advice] | TargetError]:
    """The advice on the target of each request, or why there is none; a word on neighbors is given once."""
    async with adviser(settings) as inspecting:

        async def advise(target: str) -> Sequence[Advice]:
            async def once(budget: float | None) -> Sequence[Advice]:
                return await inspecting.advise(target, budget=budget, limits=limits[target], recover=True)

            return await again_if_server_died(requests[target], once)

        results = await for_each(list(requests), advise)
    advice_by_target: dict[str, Sequence[Advice] | TargetError] = dict(zip(requests, results, strict=True))
    inspected = [(target, advice) for target, advice in advice_by_target.items() if not isinstance(advice, TargetError)]
    without_repeats = neighbors_once(inspected)
    return advice_by_target | {target: advice for (target, _), advice in zip(inspected, without_repeats, strict=True)}


async def _only_needed(
    asked: Sequence[Request],
    entries: Sequence[TargetEntry],
    args: argparse.Namespace,
    settings: Settings,
    *,
    can_confirm: bool,
) -> tuple[ToRun, list[tuple[Request, Sequence[Advice]]]]:
    """What of the requests is needed, and the advice on targets that need nothing. Raises TargetError."""
    requests: list[Request] = []
    failed: list[FailedRequest] = []
    idle: list[tuple[Request, Sequence[Advice]]] = []
    codes = {OK}
    limits = {entry.url: entry.thresholds for entry in entries}
    is_shared = settings.store.is_shared
    here = {request.target: request for request in asked if not (is_shared and is_elsewhere(request))}
    advice_by_target = await _advice_on(here, limits, settings)
    for request in asked:
        advice = advice_by_target.get(request.target)
        if advice is None or (
            is_shared and isinstance(advice, TargetError) and may_be_reached_elsewhere(request, advice)
        ):
            later = if_needed(request, limits[request.target])
            if (chosen := later if later.options.confirmed else inspector.unattended(later)) is not None:
                requests.append(inspector.applicable(chosen))
            continue
        if isinstance(advice, TargetError):
            if len(asked) == 1:
                raise advice
            failed.append(not_begun(request, advice, args))
            continue
        by_hand = _by_hand(advice)
        codes |= {REFUSED for one in by_hand if one.level is Level.NOW or one.is_critical}
        left_out = {} if can_confirm else _to_confirm(request, advice)
        allowed = replace(request, operations=tuple(one for one in request.operations if one not in left_out))
        for operation, why in left_out.items():
            output.notice(f"{named(request.target)}: {operation} is left out, as it needs --yes: it {why}")
            codes.add(SKIPPED)
        if (narrowed := needed(allowed, advice)) is not None:
            requests.append(inspector.applicable(narrowed))
            check = blocking_check(request, advice)
            codes |= {REFUSED} if check and (check.needs_manual_fix or check.urgency == CRITICAL) else set()
            if _is_narrowed(narrowed, request, advice):
                only = listed(narrowed.options.objects, 3)
                output.notice(f"{named(request.target)}: only {plain(only)} now; the check of the others stays due")
            for one in by_hand:
                output.notice(f"{named(request.target)}: by hand: {plain(one.reason)}")
        elif (error := needs_repair(request, advice)) is not None:
            output.error(error, as_json=False)
            codes.add(REFUSED)
        elif not left_out:
            idle.append((request, advice))
    return ToRun(requests=requests, failed=failed, code=weightiest(codes)), idle


def _is_narrowed(narrowed: Request, request: Request, advice: Sequence[Advice]) -> bool:
    """Whether a check that is due everywhere is only of the objects that other operations need."""
    if request.options.objects or not narrowed.options.objects or Operation.CHECK not in narrowed.operations:
        return False
    return any(item.operation is Operation.CHECK and item.is_urgent and not item.objects for item in advice)


def _by_hand(advice: Sequence[Advice]) -> list[ByHand]:
    """Urgent findings that only a person can put right."""
    return [one for one in all_by_hand(advice) if one.level in {Level.NOW, Level.SOON}]


def _to_confirm(request: Request, advice: Sequence[Advice]) -> dict[Operation, str]:
    """The needed operations without a confirmation, each with its reason to ask."""
    if request.options.confirmed:
        return {}
    wanted = {item.operation for item in advice if item.is_needed}
    return {operation: why for operation, why in inspector.needs_confirmation(request) if operation in wanted}


def not_begun(request: Request, error: DbtendError, args: argparse.Namespace) -> FailedRequest:
    """The stored form of a request that cannot begin.

    With `--needed` it is unknown which operations are needed: a retry only checks.
    """
    if args.needed and not args.operations:
        request = inspector.applicable(replace(request, operations=(Operation.CHECK,)))
    return FailedRequest(request, error)


def needs_repair(request: Request, advice: Sequence[Advice]) -> TargetRefusedError | None:
    """The refusal of a request because a person must first repair what a check found; None if it may run."""
    check = blocking_check(request, advice)
    if check is None:
        return None
    is_damaged = check.level is Level.NOW
    why = "damaged: nothing is done" if is_damaged else "nothing is done before what the check found is put right"
    hint = f"{check.reason}. {FORCE_CHOOSES_NOTHING}"
    return TargetRefusedError(named(request.target), why, plain(hint if request.options.force else check.reason))


def nothing_needed(request: Request, advice: Sequence[Advice]) -> list[str]:
    """`sales.db needs nothing`, as far as that is known, and a line for each operation that says why not."""
    wanted = [item for item in advice if item.operation in request.operations]
    width = max((len(one.operation) for one in wanted), default=0)
    reasons = [f"  {one.operation:{width}}  {plain(one.reason)}" for one in wanted]
    unsure = listed([one.operation for one in _unknown(wanted)])
    summary = f"{named(request.target)} needs nothing"
    if needs_manual_fix := listed([one.operation for one in wanted if one.needs_manual_fix]):
        summary += f" before what {needs_manual_fix} found is put right"
    if unsure:
        summary += f", as far as is known; unknown: {unsure}"
        if any(one.inspection_can_tell for one in wanted if one.level is Level.UNKNOWN):
            summary += " (dbtend advise --thorough looks at everything)"
    if by_hand := _by_hand(advice):
        summary = f"{named(request.target)}: nothing to run; by hand: {'; '.join(plain(one.reason) for one in by_hand)}"
    return [summary, *reasons]


def is_unsure(request: Request, advice: Sequence[Advice]) -> bool:
    """Whether it is unknown of one of the operations whether it is needed."""
    return any(one.operation in request.operations for one in _unknown(advice))


def _unknown(advice: Sequence[Advice]) -> list[Advice]:
    return [item for item in advice if item.level is Level.UNKNOWN]
