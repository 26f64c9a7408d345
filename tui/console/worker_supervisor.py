"""Whether a worker is there for the jobs that are open. To open a console is not to start anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine import Engine
from engine.domain.errors import DbtendError, UsageError
from engine.domain.unattended import unattended
from tui.console.feed import JobFeed


class WorkerSupervisor:
    """Starts a worker where jobs are to go on, and another one where that has died: once somebody has said so."""

    def __init__(
        self,
        engine: Engine,
        feed: JobFeed,
        changed: Callable[[], None],
        *,
        ensure_worker: Callable[[], None],
        worker_lacks: Callable[[str], str],
    ) -> None:
        """
        Args:
            changed: is called when something else is to be said.
            ensure_worker: sees to it that a worker process is there.
            worker_lacks: what it takes to connect to this URL that the worker process that takes on the next job does
                not have, in words; "" for nothing.
        """
        self._engine, self._feed, self._changed = engine, feed, changed
        self._ensure_worker, self._worker_lacks = ensure_worker, worker_lacks
        self._is_wanted = False
        self._is_open = not engine.read_only
        """Whether somebody is still to be asked if there is to be a worker."""
        self.no_worker: DbtendError | None = None
        """Why none could be started."""

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker that nobody wants."""
        if self._is_wanted or self._is_open or self._feed.pause:
            return 0
        return len(unattended(self._feed.open.values(), self._feed.workers))

    def heed_news(self) -> None:
        """Where a worker has come, or none is needed, nothing is wrong any more."""
        if not self._feed.open or any(worker.alive and worker.serves_all for worker in self._feed.workers):
            self.no_worker = None

    async def left_from_earlier(self) -> int:
        """How many jobs are open and nobody works on: whether they go on is to be asked. Raises DbtendError."""
        if self._engine.read_only:
            return 0
        left = unattended(await self._engine.open_jobs(), await self._engine.workers())
        if self._is_wanted or not left:
            self._is_wanted, self._is_open = True, False
            return 0
        return len(left)

    def decide(self, go_on: bool | None) -> None:
        """What was answered to that."""
        self._is_open = False
        if go_on:
            self.see_to_a_worker()
        self._changed()

    def see_to_a_worker(self) -> None:
        """Somebody wants jobs to be carried out: from now on there is a worker for as long as any are open."""
        self._is_wanted, self._is_open = True, False
        try:
            self._ensure_worker()
        except DbtendError as error:
            self.no_worker = error
            self._changed()

    def refuse_what_no_worker_can_open(self, targets: Iterable[str]) -> None:
        """Raise UsageError for a target that takes what was typed or set only here to be connected to."""
        for target in targets:
            if lacks := self._worker_lacks(target):
                why = f"{lacks}, and the worker process that is up is not told it"
                hint = "put it into ~/.pgpass (mode 0600), or come back when no job has run for a minute"
                raise UsageError(target, why, hint)

    def replace_worker(self) -> None:
        """See to another worker where jobs are to go on and the one there was has died."""
        if self._is_wanted and unattended(self._feed.open.values(), self._feed.workers):
            self.see_to_a_worker()
