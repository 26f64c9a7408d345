"""What the console knows of jobs, kept in step with the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

from engine import Change, ChangeKind, Engine, Lagged, ParentJob, Pause, Status, WorkerProcess
from engine.domain.errors import DbtendError, StoreLostError
from engine.domain.frozen import frozen

RECENT = 50
"""How many of the newest parents are shown beside those that are open."""
SETTLE = 0.05
"""Seconds between two readings, at least."""
SLOWEST = 2.0
"""Seconds between two looks at running jobs, at most, unless the user wants more: what is not in view costs little."""
WORKERS_EVERY = 2.0
"""Seconds between two looks at the workers while a job is open: of one that comes or stalls no change tells."""
RETRY_AFTER = 2.0
"""Seconds to the next try where the store cannot be read."""


@frozen
class News:
    """Parents that are new or changed; what there is besides, the feed knows itself."""

    parents: tuple[ParentJob, ...]
    changed: frozenset[int]
    """Parents whose status, or a child's, changed; of the others only the progress moved."""


class JobFeed:
    """Reads jobs when something happens to them, and those that run also at a steady pace, for their progress.

    While nothing is open there is no timer at all: it sleeps until the store says that something happened.
    """

    def __init__(
        self,
        engine: Engine,
        publish: Callable[[News], None],
        failed: Callable[[DbtendError], None],
        *,
        refresh: float,
    ) -> None:
        """
        Args:
            publish: is told what is new.
            failed: is told that the store could not be read; another try follows.
            refresh: seconds between two looks at the progress of running jobs.
        """
        self._engine = engine
        self._publish = publish
        self._failed = failed
        self.refresh = refresh
        """Seconds between two looks at the progress of running jobs."""
        self._dirty: set[int] = set()
        self._pause_is_known = False
        self._wake = asyncio.Event()
        self.open: dict[int, ParentJob] = {}
        """The parents that are not over, as last read."""
        self.workers: tuple[WorkerProcess, ...] = ()
        """The processes that execute children; looked at only while a job is open."""
        self.trouble: DbtendError | None = None
        """Why the store could not be read the last time; None where it could."""
        self.pause: Pause | None = None
        """Since when nothing starts; None where jobs do start."""

    def look_at(self, parent_id: int) -> None:
        """Read and publish a parent once more: something was done to it that no change tells of."""
        self._dirty.add(parent_id)
        self._wake.set()

    @property
    def ticking(self) -> bool:
        """Whether it looks at the store at a steady pace."""
        return bool(self.open)

    @property
    def _pace(self) -> float | None:
        """Seconds to the next look; the more jobs run, the more: a slow line has to carry their rows."""
        running = len(self._running)
        if running:
            return max(self.refresh, min(self.refresh * running * 0.75, SLOWEST))
        return WORKERS_EVERY if self.ticking else None

    @property
    def _running(self) -> set[int]:
        return {parent.id for parent in self.open.values() if parent.status is Status.RUNNING}

    async def run(self) -> None:
        """Publish what there is, then everything that is new, for as long as the store is there."""
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
        changes = self._engine.changes()
        # After a try that failed nobody knows what has changed since the last one that did not.
        await self._load(changed=() if self.trouble is None else None)
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
        """Read what is shown; all of it counts as changed where nothing else is said."""
        self._pause_is_known = False
        parents = {parent.id: parent for parent in await self._engine.history(limit=RECENT)}
        parents |= {parent.id: parent for parent in await self._engine.open_jobs()}
        # Those that were open when they were last read may be over, or gone, by now.
        known = await self._engine.jobs(self.open.keys() - parents.keys())
        parents |= {parent.id: parent for parent in known}
        for gone in self.open.keys() - parents.keys():
            del self.open[gone]
        await self._tell(parents.values(), parents if changed is None else changed)

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
                await asyncio.wait_for(self._wake.wait(), self._pace)
            self._wake.clear()
            changed, self._dirty = frozenset(self._dirty), set()
            try:
                await self._tell(await self._engine.jobs(changed | self._running), changed)
            except BaseException:
                self._dirty |= changed
                self._wake.set()
                raise
            # What happens in quick succession is read together.
            await asyncio.sleep(SETTLE)

    async def _tell(self, parents: Iterable[ParentJob], changed: Iterable[int]) -> None:
        news = tuple(parents)
        for parent in news:
            self.open.pop(parent.id, None)
            if not parent.status.is_final:
                self.open[parent.id] = parent
        self.workers = tuple(await self._engine.workers()) if self.open else ()
        if not self._pause_is_known:
            self._pause_is_known = True
            self.pause = await self._engine.paused()
        self.trouble = None
        self._publish(News(news, frozenset(changed)))
