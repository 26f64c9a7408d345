"""The engine as its users see it, and the one place where its parts are wired together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from engine import look
from engine.clock import now
from engine.jobs import (
    Change,
    HistoryFilter,
    JobId,
    JobType,
    Lagged,
    Micros,
    OnDuplicate,
    ParentJob,
    Request,
    WorkerProcess,
)
from engine.manager import DatabaseMaintenanceManager
from engine.orchestrator import ParentJobOrchestrator
from engine.processor import JobProcessor
from engine.rescue import rescuing
from engine.store.sqlite import SqliteStore
from engine.targets import resolve
from engine.worker import DatabaseMaintenanceWorker

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable
    from pathlib import Path

    from engine.store.base import Store
    from engine.targets.base import Plan, TargetInfo


class Engine:
    """Submit, watch, cancel and look up maintenance jobs.

    Use it as `async with Engine.open(path, workers=2) as engine:`. Any number of engines, in any number of
    processes, may share one store. An engine with `workers=0` executes nothing itself.
    """

    def __init__(
        self,
        store: Store,
        manager: DatabaseMaintenanceManager,
        orchestrator: ParentJobOrchestrator,
        processor: JobProcessor | None,
    ) -> None:
        self._store = store
        self._manager = manager
        self._orchestrator = orchestrator
        self._processor = processor

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        store_path: Path,
        *,
        workers: int = 0,
        own_jobs_only: bool = False,
        clock: Callable[[], Micros] = now,
    ) -> AsyncIterator[Self]:
        """Open the store, creating it where there is none, and start `workers` workers.

        Args:
            store_path: the SQLite file that holds the jobs.
            workers: how many targets this engine works on at once.
            own_jobs_only: execute only what is submitted through this engine.
            clock: microseconds since the epoch, UTC.

        Raises:
            StoreError: the store cannot be opened, or comes from a newer version.

        On the way out, running operations are asked to stop safely and are handed back to the store.
        """
        async with SqliteStore.open(store_path, clock=clock) as store, rescuing(store):
            manager = DatabaseMaintenanceManager(store, resolve, own_key=resolve(str(store_path)).key)
            orchestrator = ParentJobOrchestrator(store)
            if not workers:
                yield cls(store, manager, orchestrator, None)
                return
            async with store.hosting_workers() as owner:
                processor = JobProcessor(
                    store,
                    {JobType.OPERATION: DatabaseMaintenanceWorker(resolve)},
                    owner=owner,
                    concurrency=workers,
                    own_jobs_only=own_jobs_only,
                    clock=clock,
                )
                async with processor.running():
                    yield cls(store, manager, orchestrator, processor)

    async def submit(
        self, requests: Sequence[Request], *, on_duplicate: OnDuplicate = OnDuplicate.REFUSE
    ) -> tuple[ParentJob, ...]:
        """Create one parent job with its children per request: all of them, or none.

        Raises:
            UsageError: a request is empty, names an operation twice or one the engine does not offer, or
                two requests name the same database.
            TargetError: a database cannot be opened or must not be maintained.
            DuplicateRequestError: an open parent already does the same, and `on_duplicate` is REFUSE;
                with MERGE that parent is returned instead of a new one.
        """
        ids = await self._manager.submit(requests, on_duplicate)
        if self._processor is not None:
            self._processor.adopt(ids)
        return tuple(await self._store.jobs(ids))

    async def plan(self, request: Request) -> Plan:
        """The exact steps `request` would execute now. Changes nothing. Raises as `submit` does."""
        return await look.plan(request)

    async def inspect(self, target: str) -> TargetInfo:
        """What a database is and what can be done with it. Raises TargetError."""
        return await look.inspect(target)

    async def cancel(self, job: JobId) -> ParentJob:
        """Ask for the end of a child, or of all open children of a parent.

        A pending child is cancelled at once. A running one is asked to stop and ends as what really
        happened: a VACUUM that could not be interrupted any more ends completed.

        Raises JobNotFoundError.
        """
        await self._store.request_cancel(job)
        return await self.job(job.parent)

    async def retry(self, parent_id: int, *, only_incomplete: bool = False) -> ParentJob:
        """Submit the request of a parent that is over once more, as a new parent with `retry_of`.

        `only_incomplete`: only the operations that did not complete. Raises JobNotFoundError, UsageError
        (it is still open, or nothing is left to repeat), and what `submit` raises.
        """
        new_id = await self._manager.retry(await self.job(parent_id), only_incomplete=only_incomplete)
        if self._processor is not None:
            self._processor.adopt([new_id])
        return await self.job(new_id)

    async def job(self, parent_id: int) -> ParentJob:
        """A parent with its children, their steps and their logs. Raises JobNotFoundError."""
        return await self._store.job(parent_id)

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        """These parents with their children, without steps and logs, in the order of `ids`."""
        return await self._store.jobs(ids)

    async def open_jobs(self) -> list[ParentJob]:
        """All parents that are not over, oldest first, without steps and logs."""
        return await self._store.open_jobs()

    async def history(
        self, where: HistoryFilter | None = None, *, before: int | None = None, limit: int = 50
    ) -> list[ParentJob]:
        """A page of parents, newest first, without steps and logs; `before` is the last id of the page above."""
        return await self._store.history(where or HistoryFilter(), before=before, limit=limit)

    async def history_ids(self, where: HistoryFilter | None = None) -> array[int]:
        """The ids of all matching parents, newest first: 8 bytes each, for a screen that pages by itself."""
        return await self._store.history_ids(where or HistoryFilter())

    def changes(self, after: int | None = None) -> AsyncIterator[Change | Lagged]:
        """Everything that happens to jobs from now on, in commit order and without a gap.

        `after`: the `seq` of the last change that was seen; None starts with what comes next. Changes come
        from all processes that share the store. The iterator never ends; break out of it, or close it.
        """
        return self._orchestrator.changes(after)

    async def wait(self, parent_ids: Collection[int]) -> list[ParentJob]:
        """Wait until all these parents are over, and return them with steps and logs."""
        return await self._orchestrator.wait(parent_ids)

    async def workers(self) -> list[WorkerProcess]:
        """The processes that execute children for this store, dead ones included until they are rescued."""
        return await self._store.workers()
