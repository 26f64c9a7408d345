"""The jobs that the console shows, read from the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import suppress

from engine import (
    Change,
    ChangeKind,
    Engine,
    HistoryFilter,
    JobOutcome,
    Lagged,
    ParentJob,
    Pause,
    Status,
    WorkerProcess,
)
from engine.domain.batches import Batch
from engine.domain.errors import DbtendError, JobNotFoundError, StoreLostError
from engine.domain.frozen import frozen
from tui.console.views.batch_rows import SHOWN

RECENT = 50
"""Newest jobs that are shown beside the open ones; a batch counts as one."""
SHORTEST = 0.05
"""Seconds between two reads, at least."""
SLOWEST = 2.0
"""Seconds between two reads of running jobs, at most, unless the user has chosen more."""
WORKERS_EVERY = 2.0
"""Seconds between two reads of the workers while a job is open: no change announces them."""
RETRY_AFTER = 2.0
"""Seconds to the next try after a failed read."""


@frozen
class News:
    parents: tuple[ParentJob, ...]
    changed: frozenset[int]
    """Parents whose status, or a child's, has changed; the others have only made progress."""
    batches: tuple[Batch, ...] = ()
    """Batches that are new, or whose parents have changed."""


class JobFeed:
    """Reads jobs when they change, and running jobs also at intervals for their progress.

    While no job is open there is no timer: it sleeps until the store reports a change.
    """

    def __init__(
        self, engine: Engine, publish: Callable[[News], None], failed: Callable[[DbtendError], None], *, refresh: float
    ) -> None:
        """
        Args:
            publish: called with news.
            failed: called when a read of the store has failed; it is retried.
            refresh: seconds between two reads of running jobs.
        """
        self._engine = engine
        self._publish = publish
        self._failed = failed
        self.refresh = refresh
        """Seconds between two reads of running jobs."""
        self._dirty: set[int] = set()
        self._batches: set[int] = set()
        """The batches of the jobs that were published last."""
        self._pause_is_known = False
        self._wake = asyncio.Event()
        self.is_read = False
        """Whether the jobs have been read at least once."""
        self.open: dict[int, ParentJob] = {}
        """The open parents, as last read."""
        self.workers: tuple[WorkerProcess, ...] = ()
        """The worker processes; read only while a job is open."""
        self.trouble: DbtendError | None = None
        """Why the last read failed; None: it succeeded."""
        self.pause: Pause | None = None
        """The pause in force; None: jobs start."""

    def reload(self, parent_id: int) -> None:
        """Read and publish a parent again, after an edit that the store does not announce."""
        self._dirty.add(parent_id)
        self._wake.set()

    @property
    def ticking(self) -> bool:
        return bool(self.open)

    @property
    def _pace(self) -> float | None:
        """Seconds to the next read; longer with more running jobs: a slow line has to carry their rows."""
        running = len(self._running)
        if running:
            return max(self.refresh, min(self.refresh * running * 0.75, SLOWEST))
        return WORKERS_EVERY if self.ticking else None

    @property
    def _running(self) -> set[int]:
        return {parent.id for parent in self.open.values() if parent.status is Status.RUNNING}

    async def run(self) -> None:
        """Publish all jobs, then every change, until the store is lost."""
        while True:
            try:
                await self._follow()
            except DbtendError as error:
                self.trouble = error
                self._failed(error)
                if isinstance(error, StoreLostError):  # for good
                    return
            await asyncio.sleep(RETRY_AFTER)

    async def _follow(self) -> None:
        changed = () if self.trouble is None else None  # after a failed read anything may have changed
        if not self._engine.is_open:
            await self._load(changed)  # shown before changes can be followed
        await self._engine.opened()
        changes = self._engine.changes()
        await self._load(changed)
        listening = asyncio.create_task(self._listen(changes))
        reading = asyncio.create_task(self._read())
        try:
            done, _ = await asyncio.wait({listening, reading}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            listening.cancel()
            reading.cancel()
            await asyncio.gather(listening, reading, return_exceptions=True)

    async def _load(self, changed: Iterable[int] | None = None) -> None:
        """Read all jobs that are shown; `changed`: which of them count as changed; None: all."""
        self._pause_is_known = False
        newest, still_open, workers, _ = await asyncio.gather(
            self._newest(), self._engine.open_jobs(), self._engine.workers(), self._look_for_pause()
        )
        parents = {parent.id: parent for parent in (*newest, *still_open)}
        # Jobs that were open at the last read may have ended, or been deleted.
        if ended := self.open.keys() - parents.keys():
            parents |= {parent.id: parent for parent in await self._engine.jobs(ended)}
        batches = {parent.batch for parent in parents.values() if parent.batch is not None}
        for shown in await asyncio.gather(*map(self._shown_of, batches)):
            parents |= {parent.id: parent for parent in shown}
        for gone in self.open.keys() - parents.keys():
            del self.open[gone]
        await self._tell(parents.values(), parents if changed is None else changed, workers)

    async def _newest(self) -> list[ParentJob]:
        """The newest jobs, of a batch the newest one."""
        found: list[int] = []
        async for ids in self._engine.search(folded=True):
            found += map(abs, ids)
            if len(found) >= RECENT:
                break
        return await self._engine.jobs(found[:RECENT])

    async def _shown_of(self, batch_id: int) -> list[ParentJob]:
        """All jobs of a small batch; those of a large one that failed."""
        whole = await self._engine.history(HistoryFilter(batch=batch_id), limit=SHOWN + 1)
        if len(whole) <= SHOWN:
            return whole
        return await self._engine.history(HistoryFilter(batch=batch_id, status=JobOutcome.FAILED), limit=RECENT)

    async def _listen(self, changes: AsyncIterator[Change | Lagged]) -> None:
        async for change in changes:
            if isinstance(change, Lagged):
                await self._load()
            else:
                if change.job is not None:
                    self._dirty.add(change.job.parent)
                if change.kind in {ChangeKind.PAUSED, ChangeKind.RESUMED}:
                    self._pause_is_known = False
                self._wake.set()

    async def _read(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace):
                    await self._wake.wait()
            self._wake.clear()
            changed, self._dirty = frozenset(self._dirty), set()
            try:
                await self._tell(await self._engine.jobs(changed | self._running), changed)
            except BaseException:
                self._dirty |= changed
                self._wake.set()
                raise
            # Changes in quick succession are read together.
            await asyncio.sleep(SHORTEST)

    async def _tell(
        self, parents: Iterable[ParentJob], changed: Iterable[int], workers: Sequence[WorkerProcess] | None = None
    ) -> None:
        """`workers`: as just read; None: read them."""
        news = tuple(parents)
        still_open = {parent.id: parent for parent in news if not parent.status.is_final}
        is_any_open = bool(still_open or self.open.keys() - {parent.id for parent in news})
        changed = frozenset(changed)
        alive, _, batches = await asyncio.gather(
            self._workers(workers, is_any_open), self._look_for_pause(), self._batches_of(news, changed)
        )
        # All at once: open jobs beside the workers of an earlier read would look as if they had none.
        for parent in news:
            self.open.pop(parent.id, None)
        self.open |= still_open
        self.workers, self.trouble, self.is_read = alive, None, True
        self._publish(News(news, changed, batches))

    async def _workers(self, read: Sequence[WorkerProcess] | None, is_any_open: bool) -> tuple[WorkerProcess, ...]:
        if not is_any_open:
            return ()
        return tuple(await self._engine.workers() if read is None else read)

    async def _look_for_pause(self) -> None:
        if not self._pause_is_known:
            self._pause_is_known = True
            self.pause = await self._engine.paused()

    async def _batches_of(self, parents: Collection[ParentJob], changed: Collection[int]) -> tuple[Batch, ...]:
        """The batches of these parents that are new, or whose parents changed, and still exist."""
        ids = {p.batch for p in parents if p.batch is not None and (p.id in changed or p.batch not in self._batches)}
        self._batches = {p.batch for p in parents if p.batch is not None}
        found = []
        for batch_id in sorted(ids):
            with suppress(JobNotFoundError):
                found.append(await self._engine.batch(batch_id))
        return tuple(found)
