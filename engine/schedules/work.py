"""What a schedule does now: the requests of its targets, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from engine.config.model import Config, TargetEntry
from engine.domain.advice import Advice, blocking_check, if_needed, needed
from engine.domain.batches import FailedRequest, Order
from engine.domain.errors import DbtendError, TargetError, TargetRefusedError, UsageError
from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.domain.option_specs import with_values
from engine.domain.requests import Operation, Request
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.fleet.expansion import Expansion, Unlisted, expand
from engine.fleet.order import in_order
from engine.fleet.surveyor import Surveyor
from engine.fleet.target_words import entries_of
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.submission.validation import is_elsewhere, may_be_reached_elsewhere

if TYPE_CHECKING:
    from engine.store.protocol import Hosts, Store

log = logging.getLogger("dbtend")


@frozen(kw_only=True)
class Work:
    requests: Sequence[Request] = ()
    failed: Sequence[FailedRequest] = ()
    """Targets that cannot be inspected or listed."""
    by_hand: Sequence[FailedRequest] = ()
    """Targets where nothing can run before a person has put right what a check found; they count as idle."""
    idle: int = 0
    """How many targets need nothing."""
    inapplicable: int = 0
    """To how many targets none of its operations applies."""


async def work_of(
    schedule: Schedule,
    config: Config,
    store: Store,
    clock: Callable[[], Micros],
    *,
    read_only: bool = False,
    by_surveys: bool = False,
    tell: Tell | None = None,
) -> Work:
    """The requests of a schedule, in its order.

    Args:
        read_only: stores nothing of the inspections.
        by_surveys: does not inspect a target whose fresh survey says that it needs nothing.
        tell: called after each inspection.

    Raises UsageError if its targets cannot be listed, or none of its operations applies to any.
    """
    found = await _expanded(schedule, config, store)
    asked = await asyncio.to_thread(lambda: [request_of(schedule, entry) for entry in found.targets])
    fitting = [(entry, one) for entry, one in zip(found.targets, asked, strict=True) if one.operations]
    if len(fitting) < len(asked):
        number = counted(len(asked) - len(fitting), "target")
        log.warning("schedule %s: its operations do not apply to %s", schedule.name, number)
    unlisted = [_unlisted(schedule, one) for one in found.unlisted]
    if not (fitting or unlisted):
        why = "none of its operations applies to any of its targets"
        raise UsageError(f"schedule {schedule.name}", why, "see dbtend plan")
    if schedule.operations is None:
        surveyor = Surveyor(store, clock, read_only=read_only)
        well = await surveyor.needing_nothing([entry for entry, _ in fitting]) if by_surveys else ()
        work = await _needed(
            [one for one in fitting if one[0].url not in well], surveyor, tell, is_shared=store.hosts is not None
        )
        work = replace(work, idle=work.idle + len(well))
    else:
        work = Work(requests=[_confirmed(one) for _, one in fitting])
    entries = [entry for entry, _ in fitting]
    order = schedule.order or (Order.OLDEST if schedule.until else None)
    requests = await _ordered(work.requests, order, entries, store, clock, read_only=read_only)
    inapplicable = len(asked) - len(fitting)
    return replace(work, requests=requests, failed=[*work.failed, *unlisted], inapplicable=inapplicable)


async def survey_targets(schedule: Schedule, config: Config, store: Store, clock: Callable[[], Micros]) -> None:
    """Survey its targets, those without a fresh survey. Raises UsageError if its targets cannot be listed."""
    found = await _expanded(schedule, config, store)
    async with aclosing(Surveyor(store, clock).survey(found.targets)) as surveyed:
        async for _ in surveyed:
            pass


async def _expanded(schedule: Schedule, config: Config, store: Store) -> Expansion:
    """Raises UsageError."""
    entries = await asyncio.to_thread(entries_of, schedule, config)

    async def hosts() -> Hosts | None:
        return store.hosts

    try:
        return await expand(
            entries, exclude=schedule.exclude, confirm_many=_accept, hosts=hosts, known=store.known_databases
        )
    except TargetError as error:  # the only entry is a server that does not list its databases
        return Expansion(unlisted=[Unlisted(entries[0], error)])


def _accept(pattern: str, number: int) -> None:
    """However many targets there are, the schedule names them."""


def request_of(schedule: Schedule, entry: TargetEntry) -> Request:
    """A request with the operations of the schedule that the engine of its target offers.

    Raises UsageError, NotAvailableError.
    """
    offered = inspector.operations(entry.url)
    operations = (
        offered
        if schedule.operations is None
        else [operation for operation in schedule.operations if operation in offered]
    )
    options = with_values(entry.options, schedule.settings)
    return inspector.applicable(Request(target=entry.url, operations=tuple(operations), options=options))


def _confirmed(request: Request) -> Request:
    """Operations that a schedule names are confirmed by that."""
    return replace(request, options=replace(request.options, confirmed=True))


def _unlisted(schedule: Schedule, one: Unlisted) -> FailedRequest:
    request = Request(target=one.entry.url, operations=schedule.operations or (Operation.CHECK,))
    return FailedRequest(request, one.error, is_pattern=one.is_pattern)


async def _needed(
    asked: Sequence[tuple[TargetEntry, Request]], surveyor: Surveyor, tell: Tell | None, *, is_shared: bool
) -> Work:
    """What of the requests advice calls for. The inspections renew the surveys, too.

    `is_shared`: other hosts share the store.
    """
    entries = {entry.url: (entry, request.options.server.longest_wait) for entry, request in asked}

    async def advise(target: str) -> Sequence[Advice]:
        entry, server_wait = entries[target]
        return await surveyor.advise(entry, budget=inspector.BUDGET, server_wait=server_wait)

    here = [request.target for _, request in asked if not (is_shared and is_elsewhere(request))]
    advised = await for_each(here, counting(advise, len(here), tell))
    found = dict(zip(here, advised, strict=True))
    requests, failed, by_hand = list[Request](), list[FailedRequest](), list[FailedRequest]()
    for entry, request in asked:
        advice = found.get(request.target)
        if advice is None or (
            is_shared and isinstance(advice, TargetError) and may_be_reached_elsewhere(request, advice)
        ):
            if (later := inspector.unattended(if_needed(request, entry.thresholds))) is not None:
                requests.append(inspector.applicable(later))
        elif isinstance(advice, TargetError):
            failed.append(FailedRequest(_only_check(request), advice))
        elif (
            # An operation that is left out must not narrow the rest to its objects.
            (allowed := inspector.unattended(request)) is not None and (narrowed := needed(allowed, advice)) is not None
        ):
            requests.append(inspector.applicable(narrowed))
        elif (check := blocking_check(request, advice)) is not None:
            error = TargetRefusedError(request.target, check.reason)
            by_hand.append(FailedRequest(_only_check(request), error))
    return Work(requests=requests, failed=failed, by_hand=by_hand, idle=len(asked) - len(requests) - len(failed))


def _only_check(request: Request) -> Request:
    """The stored form of a request whose needed work is unknown: a retry only checks."""
    return inspector.applicable(replace(request, operations=(Operation.CHECK,)))


async def _ordered(
    requests: Sequence[Request],
    order: Order | None,
    entries: Sequence[TargetEntry],
    store: Store,
    clock: Callable[[], Micros],
    *,
    read_only: bool,
) -> Sequence[Request]:
    if order is None or len(requests) < 2:
        return requests
    urls = await asyncio.to_thread(lambda: list(_canonical(requests)))
    asked = {request.target for request in requests}
    to_survey = [entry for entry in entries if entry.url in asked and order is not Order.OLDEST]
    surveying = Surveyor(store, clock, read_only=read_only).survey(to_survey)
    async with aclosing(surveying) as surveyed:
        surveys = {one.survey.target: one.survey async for one in surveyed}
    return in_order(list(zip(urls, requests, strict=True)), order, surveys, await store.last_jobs(urls))


def _canonical(requests: Sequence[Request]) -> Iterator[str]:
    for request in requests:
        try:
            yield inspector.canonical_url(request.target)
        except DbtendError:  # to submit it says why
            yield request.target


S = TypeVar("S")
T = TypeVar("T")

Tell = Callable[[int, int], None]
"""Called with how many targets are inspected, and of how many."""


def counting(work: Callable[[S], Awaitable[T]], total: int, tell: Tell | None) -> Callable[[S], Awaitable[T]]:
    """Wrap `work` on a target, so that it is counted when it ends."""
    if tell is None:
        return work
    ended = count(1)

    async def counted(target: S) -> T:
        try:
            return await work(target)
        finally:
            tell(next(ended), total)

    return counted
