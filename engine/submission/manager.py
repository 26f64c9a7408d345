"""DatabaseMaintenanceManager: turns requests into parent jobs and their children, or refuses them whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.domain import time_limits
from engine.domain.batches import NO_BATCH_OPTIONS, Batch, BatchOptions, FailedRequest, Retries
from engine.domain.engines import EngineName
from engine.domain.errors import (
    DbtendError,
    ServerStartingError,
    TargetBusyError,
    TargetDamagedError,
    TargetError,
    TargetUnavailableError,
    TooManyConnectionsError,
    UsageError,
)
from engine.domain.frozen import frozen
from engine.domain.jobs import ParentJob
from engine.domain.requests import OnDuplicate, Request
from engine.domain.schedules import Firing
from engine.domain.statuses import Reason
from engine.domain.steps import Micros
from engine.history import stale_journal
from engine.store.protocol import SUBMITTING, Failure, NewBatch, NewJob, Store
from engine.submission.retry import retry_request
from engine.submission.validation import is_elsewhere, may_be_reached_elsewhere, validate_batch, validate_request
from engine.system.background import wait_postponing_cancel
from engine.system.clock import now
from engine.system.overwritten_file import leftover_journals
from engine.targets.host_queue import found_at_once, open_each

if TYPE_CHECKING:
    from engine.targets.target import Target

OnDropped = Callable[[UsageError], None]
NoteUnopened = Callable[[Mapping[str, DbtendError], bool], Awaitable[None]]
"""Called with why targets cannot be opened, by canonical URL, and whether each gets a job that failed."""
OnPortion = Callable[[int, int], None]
"""Called after each portion of a large batch: how many of how many requests are submitted."""
PORTION = 200
"""Requests in a portion."""


@frozen
class _Asked:
    request: Request
    retry_of: int | None = None
    """The parent that it repeats."""
    known_retry: int | None = None
    """See `NewJob`."""


@frozen
class _Prepared:
    """A job, and why its target cannot be opened, if so."""

    job: NewJob
    error: DbtendError | None = None


@frozen
class _Identity:
    """What a target is, whatever it is called."""

    target_key: str
    host_key: str | None


class DatabaseMaintenanceManager:
    """Validates requests against their targets, and submits them in one transaction."""

    def __init__(
        self,
        store: Store,
        resolve: Callable[[str], Target],
        *,
        own: Target | None = None,
        note_unopened: NoteUnopened | None = None,
        clock: Callable[[], Micros] = now,
    ) -> None:
        """`own`: the database that holds the store itself; it is not allowed as a target."""
        self._store = store
        self._note_unopened = note_unopened
        self._own = own
        self._resolve = resolve
        self._clock = clock

    async def submit(
        self,
        requests: Sequence[Request],
        on_duplicate: OnDuplicate,
        *,
        batch: BatchOptions = NO_BATCH_OPTIONS,
        failed: Sequence[FailedRequest] = (),
        strict: bool = False,
        on_dropped: OnDropped | None = None,
        closes_at: Micros | None = None,
        on_portion: OnPortion | None = None,
    ) -> list[int]:
        """See `Engine.submit`; returns the ids of the new parents, in order."""
        asked = [_Asked(request) for request in requests]
        new_batch = NewBatch(options=batch)
        if on_portion is not None and len(asked) > PORTION:
            return await self._in_portions(asked, new_batch, failed, on_dropped, closes_at, on_portion)
        return await self._submit(asked, on_duplicate, new_batch, failed, strict, on_dropped, closes_at)

    async def fire(
        self,
        firing: Firing,
        requests: Sequence[Request],
        *,
        failed: Sequence[FailedRequest],
        batch: BatchOptions,
        closes_at: Micros | None,
        starts_at: Callable[[str], Micros] | None,
    ) -> Firing | None:
        """Submit the jobs of a schedule as a batch, also a single one; see `ScheduleStore.fire`.

        One whose target cannot be opened is stored as failed. `starts_at`: when the job on a target, by its canonical
        URL, starts; None: all at once. Raises UsageError.
        """
        validate_batch(batch)
        prepared = await self._prepare([_Asked(request) for request in requests], failed, closes=closes_at is not None)
        await self._note(prepared, are_jobs=True)
        distinct = await self._distinct(prepared, None, strict=False) if prepared else []
        jobs = [
            job if starts_at is None else replace(job, starts_at=starts_at(job.request.target))
            for job in self._with_deadlines(distinct, closes_at)
        ]
        new_batch = NewBatch(options=batch, schedule=firing.schedule)
        return await wait_postponing_cancel(self._store.fire(firing, jobs, new_batch))

    async def retry(
        self,
        parent: ParentJob,
        *,
        only_incomplete: bool,
        confirmed: bool,
        changes: Mapping[str, Any] | None,
        known: int,
    ) -> int:
        """Submit a finished parent's request again, see `retry_request`; returns the new parent's id.

        Raises DuplicateRequestError if a parent newer than `known` repeats it already.
        """
        request = retry_request(parent, only_incomplete=only_incomplete, confirmed=confirmed, changes=changes)
        (new_id,) = await self._submit([_Asked(request, parent.id, known)], OnDuplicate.REFUSE, NewBatch())
        return new_id

    async def retry_batch(
        self,
        batch: Batch,
        parents: Sequence[ParentJob],
        *,
        known: Retries,
        only_incomplete: bool,
        confirmed: bool,
        changes: Mapping[str, Any] | None,
        on_portion: OnPortion | None,
    ) -> list[int]:
        """Submit the requests of these parents of a batch again, as a new one, see `retry_request`.

        An open job that does the same is joined, and so is one that repeats the parent and is not known: its id stands
        for the new one.
        """

        repeat = partial(retry_request, only_incomplete=only_incomplete, confirmed=confirmed, changes=changes)

        def again() -> list[_Asked]:
            return [_Asked(repeat(parent), parent.id, known.newest.get(parent.id, 0)) for parent in parents]

        asked = await asyncio.to_thread(again)  # there may be thousands
        new_batch = NewBatch(options=batch.options, retry_of=batch.id)
        if on_portion is not None and len(asked) > PORTION:
            return await self._in_portions(asked, new_batch, (), None, None, on_portion)
        return await self._submit(asked, OnDuplicate.MERGE, new_batch)

    async def _in_portions(
        self,
        asked: Sequence[_Asked],
        batch: NewBatch,
        failed: Sequence[FailedRequest],
        on_dropped: OnDropped | None,
        closes_at: Micros | None,
        on_portion: OnPortion,
    ) -> list[int]:
        """Submit a batch by a transaction for each portion. Those of `failed` come with the last.

        Whatever becomes of the later ones, the jobs of a portion run or wait. Open jobs that do the same are joined.
        """
        validate_batch(batch.options)
        targets, validated = await asyncio.to_thread(self._resolved, asked, closes=closes_at is not None)
        total, ids, kept = len(asked) + len(failed), list[int](), dict[str, _Prepared]()
        batch_id = await wait_postponing_cancel(self._store.begin_batch(batch, total))
        async with AsyncExitStack() as role:
            is_held = False
            for at in range(0, len(asked), PORTION):
                is_held = is_held or await self._takes_role(role)
                part = slice(at, at + PORTION)
                prepared = await self._opened_each(validated[part], targets[part])
                if is_last := at + PORTION >= len(asked):
                    prepared += [
                        self._failed(failed_request, closes=closes_at is not None) for failed_request in failed
                    ]
                await self._note(prepared, are_jobs=True)
                distinct = await self._distinct(prepared, on_dropped, strict=False, kept=kept)
                done = total if is_last else at + PORTION
                portion = replace(batch, id=batch_id, unsubmitted=total - done)
                jobs = self._with_deadlines(distinct, closes_at)
                ids += await wait_postponing_cancel(self._store.submit(jobs, OnDuplicate.MERGE, portion))
                on_portion(done, total)
        return ids

    async def _takes_role(self, role: AsyncExitStack) -> bool:
        """Whether this process says from now on that it submits, so that no message tells of the end in between."""
        async with AsyncExitStack() as taking:
            if is_free := await taking.enter_async_context(self._store.holding_role(SUBMITTING)):
                role.push_async_exit(taking.pop_all())
            return is_free

    async def _submit(
        self,
        asked: Sequence[_Asked],
        on_duplicate: OnDuplicate,
        batch: NewBatch,
        failed: Sequence[FailedRequest] = (),
        strict: bool = False,
        on_dropped: OnDropped | None = None,
        closes_at: Micros | None = None,
    ) -> list[int]:
        if not asked and not failed:
            raise UsageError("request", "names no database", "give at least one")
        validate_batch(batch.options)
        is_batch = len(asked) > 1 or bool(failed) or batch.retry_of is not None
        prepared = await self._prepare(asked, failed, closes=closes_at is not None)
        await self._note(prepared, are_jobs=is_batch and not strict)
        if strict or not is_batch:
            for error in (candidate.error for candidate in prepared if candidate.error is not None):
                raise error
        distinct = await self._distinct(prepared, on_dropped, strict=strict)
        if len(distinct) == 1 and not failed and batch.retry_of is None:
            is_batch = False
            if distinct[0].error is not None:
                raise distinct[0].error
        jobs = self._with_deadlines(distinct, closes_at)
        return await wait_postponing_cancel(self._store.submit(jobs, on_duplicate, batch if is_batch else None))

    async def _note(self, prepared: Sequence[_Prepared], *, are_jobs: bool) -> None:
        """Have it noted which targets cannot be opened: their level is that of a survey, whatever was used last."""
        errors = {
            candidate.job.request.target: candidate.error
            for candidate in prepared
            if candidate.error is not None and failure_reason(candidate.error) is Reason.UNREACHABLE
        }
        if errors and self._note_unopened is not None:
            await self._note_unopened(errors, are_jobs)

    async def _prepare(
        self, asked: Sequence[_Asked], failed: Sequence[FailedRequest], *, closes: bool
    ) -> list[_Prepared]:
        """Raises UsageError."""
        # There may be thousands, and links on slow disks.
        targets, validated = await asyncio.to_thread(self._resolved, asked, closes=closes)
        prepared = await self._opened_each(validated, targets)
        return [*prepared, *(self._failed(failed_request, closes=closes) for failed_request in failed)]

    def _resolved(self, asked: Sequence[_Asked], *, closes: bool) -> tuple[list[Target], list[NewJob]]:
        """Raises UsageError."""
        targets = [self._resolve(one.request.target) for one in asked]
        return targets, [self._validated(one, at, closes=closes) for one, at in zip(asked, targets, strict=True)]

    async def _opened_each(self, validated: Sequence[NewJob], targets: Sequence[Target]) -> list[_Prepared]:
        """Raises UsageError."""
        opened = await self._identities([job.request for job in validated], targets)
        return [_prepared(job, identity) for job, identity in zip(validated, opened, strict=True)]

    def _with_deadlines(self, prepared: Sequence[_Prepared], closes_at: Micros | None) -> list[NewJob]:
        at = self._clock()
        return [
            replace(candidate.job, deadline_at=time_limits.deadline(candidate.job.request.options, at, closes_at))
            for candidate in prepared
        ]

    def _validated(self, asked: _Asked, target: Target, *, closes: bool) -> NewJob:
        """Validate a request without opening its target. Raises UsageError."""
        job = self._new_job(asked, target, closes=closes)
        _refuse_unconfirmed(job.request, target)
        return job

    def _new_job(self, asked: _Asked, target: Target, *, closes: bool) -> NewJob:
        """Raises UsageError."""
        request = validate_request(asked.request, target, closes=closes)
        return NewJob(
            request=replace(request, target=target.url),
            engine=target.engine,
            target_key=f"unreachable {target.url}",
            host_key=target.host_key,
            retry_of=asked.retry_of,
            known_retry=asked.known_retry,
            max_attempts={name: 1 for name in request.children if not target.operations[name].is_repeatable},
        )

    async def _identities(
        self, requests: Sequence[Request], targets: Sequence[Target]
    ) -> list[_Identity | TargetError]:
        """Of each target, or why it cannot be opened. Raises UsageError."""
        at_once = await found_at_once(len(targets), lambda n: self._key_at_once(requests[n], targets[n]))
        others = [n for n in range(len(targets)) if n not in at_once]
        opened = await open_each(
            [targets[n] for n in others], lambda place: self._preflight(requests[others[place]], targets[others[place]])
        )
        identities = {n: _Identity(key, None) for n, key in at_once.items()} | dict(zip(others, opened, strict=True))
        return [identities[n] for n in range(len(targets))]

    def _key_at_once(self, request: Request, target: Target) -> str | None:
        """The key of a file that is sound at a glance; None: `_preflight` tells."""
        if target.host_key is not None or request.options.objects or leftover_journals(target.url):
            return None
        with suppress(TargetError):
            return target.key_at_once(writing=_only_writes(request, target))
        return None

    async def _preflight(self, request: Request, target: Target) -> _Identity:
        """Raises TargetError, UsageError."""
        hosts = self._store.hosts
        if hosts is not None and is_elsewhere(request):
            return _Identity(await hosts.key_of(target.url), None)
        try:
            return await self._opened(request, target)
        except TargetUnavailableError as error:
            if hosts is None or not may_be_reached_elsewhere(request, error):
                raise
            return _Identity(await hosts.key_of(target.url), target.host_key)
        except (ServerStartingError, TooManyConnectionsError) as error:
            if request.options.server.server_wait is not None:
                raise
            hint = "; ".join(filter(None, (error.hint, "a run waits for that with --server-wait")))
            raise type(error)(error.what, error.why, hint, state=error.state) from None

    async def _opened(self, request: Request, target: Target) -> _Identity:
        """Raises TargetError, UsageError."""
        await stale_journal.refuse_stale_journal(self._store, target.url)
        try:
            key = await target.preflight(
                lock_timeout=0,
                writing=_only_writes(request, target),
                operations=request.children,
                options=request.options,
            )
        except TargetBusyError:  # a running job may lock it: then this one waits
            key = await target.identify()
        return _Identity(key, await target.identify_host())

    def _failed(self, failed: FailedRequest, *, closes: bool) -> _Prepared:
        """Raises UsageError."""
        target = self._resolve(failed.request.target)
        if failed.is_pattern:
            job = self._pattern(failed.request, target)
        else:
            job = self._new_job(_Asked(failed.request), target, closes=closes)
        return _Prepared(replace(job, failure=Failure(failure_reason(failed.error), str(failed.error))), failed.error)

    def _pattern(self, request: Request, target: Target) -> NewJob:
        """Raises UsageError."""
        if not request.operations:
            raise UsageError(target.url, "no operation was chosen", "choose at least one")
        url = _with_wildcards(target.url)
        return NewJob(
            request=replace(request, target=url),
            engine=target.engine,
            target_key=f"unreachable {url}",
            host_key=target.host_key,
            is_pattern=True,
        )

    async def _distinct(
        self,
        prepared: Sequence[_Prepared],
        on_dropped: OnDropped | None,
        *,
        strict: bool,
        kept: dict[str, _Prepared] | None = None,
    ) -> list[_Prepared]:
        """Without the store of jobs, and without second names of a database. `kept`: those of earlier portions.

        Raises UsageError for these if `strict`, or if nothing else is left.
        """
        own_key = await self._own_key({candidate.job.engine for candidate in prepared})
        kept = {} if kept is None else kept
        new: list[_Prepared] = []
        dropped: list[UsageError] = []
        for one in prepared:
            job = one.job
            if job.target_key == own_key:
                dropped.append(UsageError(job.request.target, "is the store of jobs", "it needs no maintenance"))
            elif job.target_key in kept:
                why = f"is the same database as {kept[job.target_key].job.request.target}"
                dropped.append(UsageError(job.request.target, why, "name it once"))
            else:
                kept[job.target_key] = one
                new.append(one)
        for error in dropped:
            if strict or not kept:
                raise error
            if on_dropped is not None:
                on_dropped(error)
        return new

    async def _own_key(self, engines: Collection[EngineName]) -> str | None:
        """The key of the database that holds the store; None if it cannot be among databases of these engines."""
        if self._own is not None and self._own.engine in engines:
            with suppress(TargetError):  # to submit it gives the error
                return await self._own.identify()
        return None


def _only_writes(request: Request, target: Target) -> bool:
    """Whether nothing of the request can run where nothing may be written: else its worker refuses what writes."""
    return all(target.operations[name].writes for name in request.children)


def _prepared(job: NewJob, opened: _Identity | TargetError) -> _Prepared:
    """`opened`: its target, or the error that opening it raised."""
    if isinstance(opened, TargetError):
        return _Prepared(replace(job, failure=Failure(failure_reason(opened), str(opened))), opened)
    return _Prepared(replace(job, target_key=opened.target_key, host_key=opened.host_key))


def failure_reason(error: DbtendError) -> Reason:
    """Why a job fails that cannot begin."""
    cannot_be_opened = TargetUnavailableError | ServerStartingError | TooManyConnectionsError
    is_reached = isinstance(error, TargetDamagedError) or not isinstance(error, cannot_be_opened)
    return error.reason if is_reached and isinstance(error, TargetError) else Reason.UNREACHABLE


def _refuse_unconfirmed(request: Request, target: Target) -> None:
    for operation in request.operations:
        if (what := target.needs_confirmation(operation, request.options)) and not request.options.confirmed:
            raise UsageError(f"operation {operation}", what, "confirm it with --yes")


def _with_wildcards(url: str) -> str:
    """A canonical URL of a pattern as people write it."""
    return url.replace("%2A", "*").replace("%5B", "[").replace("%5D", "]")
