"""Starts workers for open jobs, but never just because a console is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from engine import Engine, ParentJob
from engine.domain.errors import DbtendError, UsageError
from engine.domain.events import other_host, unattended
from engine.domain.server_names import names_server
from tui.console.feed import JobFeed


class WorkerSupervisor:
    """Starts a worker once the user has asked for one, and replaces a worker that died."""

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
            changed: called when the status banner may change.
            ensure_worker: starts a worker process if none is up.
            worker_lacks: what the worker process that is up lacks to connect to this URL; "": nothing.
        """
        self._engine, self._feed, self._changed = engine, feed, changed
        self._ensure_worker, self._worker_lacks = ensure_worker, worker_lacks
        self._is_wanted = False
        self._is_undecided = not engine.read_only
        """Whether the question about jobs from earlier has no answer yet."""
        self.no_worker: DbtendError | None = None
        """Why no worker could be started."""

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker of this host while the user wants none."""
        if self._is_wanted or self._is_undecided or self._feed.pause:
            return 0
        return sum(self._host_needed(job) is None for job in self._unattended())

    @property
    def waiting_elsewhere(self) -> Mapping[str, int]:
        """How many jobs wait for a worker of another host, by its name."""
        if self._engine.host is None or self._feed.pause:
            return {}
        return Counter(filter(None, map(self._host_needed, self._unattended())))

    def update(self) -> None:
        """Forget `no_worker` when a worker is up or no job is open."""
        if not self._feed.open or any(worker.alive and worker.serves_all for worker in self._feed.workers):
            self.no_worker = None

    async def left_from_earlier(self) -> int:
        """How many open jobs have no worker: 0 if there is nothing to ask. Raises DbtendError."""
        if self._engine.read_only:
            return 0
        jobs, workers = await self._engine.open_jobs(), await self._engine.workers()
        left = unattended(jobs, workers, here=self._engine.host)
        number = sum(self._host_needed(job) is None for job in left)
        if self._is_wanted or not number:
            self._is_wanted, self._is_undecided = True, False
            return 0
        return number

    def decide(self, go_on: bool | None) -> None:
        """The answer to the question whether to start a worker for them."""
        self._is_undecided = False
        if go_on:
            self.start_worker()
        self._changed()

    def start_worker(self) -> None:
        """The user wants jobs to run: keep a worker up while jobs are open.

        Where hosts share the store, one of this host is started only for what none of the others carries out.
        """
        self._is_wanted, self._is_undecided = True, False
        if self._engine.host is None:
            self._start()

    def _start(self) -> None:
        try:
            self._ensure_worker()
        except DbtendError as error:
            self.no_worker = error
            self._changed()

    def check_worker_can_connect(self, targets: Iterable[str]) -> None:
        """Raise UsageError for a target whose password is known only to this process."""
        for target in filter(names_server, targets):
            if lacks := self._worker_lacks(target):
                why = f"{lacks}, and the running worker process does not have it"
                hint = "put it into ~/.pgpass or ~/.my.cnf (mode 0600), or try again when no job has run for a minute"
                raise UsageError(target, why, hint)

    def replace_worker(self) -> None:
        """Start another worker if the one for open jobs has died."""
        if self._is_wanted and any(self._host_needed(job) is None for job in self._unattended()):
            self._start()

    def _host_needed(self, job: ParentJob) -> str | None:
        return other_host(job, self._engine.host)

    def _unattended(self) -> list[ParentJob]:
        """The open jobs that no live process runs or will run."""
        return unattended(self._feed.open.values(), self._feed.workers, here=self._engine.host)
