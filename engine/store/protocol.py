"""What the engine needs of a store of jobs, by use. Every writing method is one transaction.

`Store` is all of it; each part of the engine is typed by the narrow protocols that it uses. A store that is open
read-only raises ReadOnlyError from every writing method.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from engine.domain.advice import Measurement, TargetRecords
from engine.domain.batches import NO_BATCH_OPTIONS, Batch, BatchOptions, Retries
from engine.domain.damage import Damage, DamageChange
from engine.domain.engines import EngineName
from engine.domain.errors import StoreError
from engine.domain.events import Change, HistoryFilter, Pause, WorkerProcess
from engine.domain.frozen import frozen
from engine.domain.jobs import JobId, ParentJob
from engine.domain.past_runs import EstimatedRun, PastRun, PastStep
from engine.domain.requests import OnDuplicate, Operation, Request, Speed
from engine.domain.schedules import Firing, ScheduleState
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.domain.surveys import LastJob, Survey
from engine.domain.turns import Turns

if TYPE_CHECKING:
    from engine.domain.claims import Claim, Outcome, Report
    from engine.domain.notifications import Event, Message, MessageStatus, RecipientState
    from engine.domain.overview import Overview

MAX_ATTEMPTS = 2
"""How often a child starts when its process keeps dying, unless its operation is not repeatable."""


@frozen(kw_only=True)
class NewJob:
    """A validated request, ready to be stored; `request.target` is the canonical URL."""

    request: Request
    engine: EngineName
    target_key: str
    retry_of: int | None = None
    known_retry: int | None = None
    """The newest job known to repeat `retry_of`, 0 for none: a newer one is joined, open or not. None: none is."""
    deadline_at: Micros | None = None
    max_attempts: Mapping[Operation, int] = field(default_factory=dict)
    """The attempts of operations that differ from `MAX_ATTEMPTS`."""
    host_key: str | None = None
    """Its server, on which a batch may limit how much runs at once; None for a file."""
    failure: Failure | None = None
    """Why it cannot begin: it is stored as failed."""
    is_pattern: bool = False
    """Whether its target is a pattern whose databases could not be listed."""
    starts_at: Micros | None = None
    """Before then it does not start; None: at once."""


@frozen
class Failure:
    reason: Reason
    error: str


@frozen(kw_only=True)
class NewBatch:
    """A batch, ready to be stored with its jobs."""

    options: BatchOptions = NO_BATCH_OPTIONS
    retry_of: int | None = None
    schedule: str | None = None
    """The schedule that it is a firing of."""
    id: int | None = None
    """The batch, begun before, that its jobs go on with."""
    unsubmitted: int = 0
    """How many of its jobs are still to come."""


SUBMITTING = "submit"
"""The role of a process that submits a batch in portions. More than one may: then one of them has it."""


class ProcessIdentity(Protocol):
    """The identity under which a worker process was started."""

    owner: str
    pool: int
    """The pid of the process that replaces it when it dies."""
    pool_size: int
    """How many processes that one keeps up."""


class JobReader(Protocol):
    """Looks up jobs and what they found. Nothing is written."""

    async def job(self, parent_id: int) -> ParentJob:
        """A parent with attempts, steps and logs. Raises JobNotFoundError."""

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        """These parents in the order of `ids`, without steps and logs."""

    async def whole_jobs(self, ids: Collection[int]) -> list[ParentJob]:
        """Parents with their children, attempts, steps and logs, in the order of `ids`."""

    async def open_jobs(self) -> list[ParentJob]: ...

    async def ended_jobs(self, since: Micros, *, limit: int) -> array[int]:
        """The ids of the parents that ended since then, whenever they were created, newest first."""

    async def batch(self, batch_id: int) -> Batch:
        """Raises JobNotFoundError."""

    async def retries(self, batch_id: int) -> Retries: ...

    async def batch_span(self, batch_id: int) -> tuple[Micros | None, Micros | None]:
        """When the first of its jobs started, and the last of them ended; None if that has not happened."""

    async def batch_jobs(self, batch_id: int) -> list[ParentJob]:
        """The parents of a batch, oldest first, without steps and logs."""

    async def history(self, where: HistoryFilter, *, before: int | None, limit: int) -> list[ParentJob]: ...

    async def records(
        self, target: str, operations: Collection[Operation], *, since: Micros, last: int, limit: int
    ) -> TargetRecords:
        """The `last` jobs of a target, and what earlier jobs and inspections found.

        Args:
            operations: look for the newest jobs with each of these.
            since: those submitted since then.
            limit: at most this many of each; for `last_done`, how many jobs are read.
        """

    def search(
        self, where: HistoryFilter, *, before: int | None = None, folded: bool = False
    ) -> AsyncIterator[array[int]]:
        """The ids of all parents that match, newest first, in portions; one may be empty.

        `folded`: see `Engine.search`.
        """

    async def past_runs(self, target: str, operation: Operation, *, newest: int, jobs: int, runs: int) -> list[PastRun]:
        """The newest finished runs of an operation on a target, newest first, in jobs up to the id `newest`.

        Args:
            jobs: read at most this many jobs.
            runs: return at most this many runs.
        """

    async def estimated_runs(self, runs: int) -> list[EstimatedRun]:
        """Among so many newest children those that completed in full and had an estimate."""

    async def runs_by_size(self, runs: int) -> list[EstimatedRun]:
        """Like `estimated_runs`, with the estimates by sizes alone."""
        ...

    async def past_steps(
        self, target: str, operation: str, *, speed: Speed, jobs: int, runs: int
    ) -> Mapping[str, PastStep]:
        """By command: how it went in the newest completed runs at this speed; see `past_runs`."""

    async def turns(self, target: str, *, jobs: int, steps: int) -> Turns:
        """When the objects of a database were last worked on, by its newest jobs and steps."""

    async def open_targets(self) -> list[str]:
        """The canonical URLs of all targets with an open job."""

    async def measured_and_damage(self, target: str) -> tuple[Measurement | None, Sequence[Damage]]:
        """The result of the last full inspection of a database, and all that is known to be damaged in it."""

    async def damage(self, targets: Collection[str]) -> Mapping[str, Sequence[Damage]]:
        """What is known to be damaged, by canonical URL; a target without known damage is left out."""

    async def has_damaged_servers(self) -> bool:
        """Whether damage of any database on a server is on record."""

    async def database_names(self, target: str, database: str = "") -> Mapping[str, str]:
        """Which database this canonical URL names, and the other names of the one with this key: its key by name."""

    async def count(self) -> int:
        """The number of parents."""

    async def workers(self) -> list[WorkerProcess]:
        """The processes that execute children, dead ones included until they are rescued."""

    async def paused(self) -> Pause | None: ...

    async def overview(self) -> Overview:
        """The state of all that the store knows."""


class ChangeFeed(Protocol):
    """Follows the changes of jobs, from all processes."""

    def last_change(self) -> int:
        """The `seq` of the newest change; changes of other processes are seen after a moment."""

    def lapses(self) -> int:
        """How often the store was lost for a while: the newest changes that were known may be gone, and others have
        their numbers."""

    async def changes(self, after: int, limit: int) -> list[Change]:
        """The changes after `seq`, in commit order; old ones may have been removed."""

    async def next_change(self, after: int) -> None:
        """Wait until there is a change after `seq`, from any process, or a lapse."""

    def last_cancel(self) -> int:
        """Grows when running children may have been asked to stop."""

    async def next_cancel(self, after: int) -> None:
        """Wait until that has grown beyond `after`."""


class JobWriter(Protocol):
    """Submits and cancels jobs, and changes what users may change."""

    async def submit(
        self, jobs: Sequence[NewJob], on_duplicate: OnDuplicate, batch: NewBatch | None = None
    ) -> list[int]:
        """Store parents and children, all or none; the parents' ids, in order.

        `batch`: the batch that the new parents make up; None: none.

        Raises DuplicateRequestError if a parent does the same already and `on_duplicate` is REFUSE.
        """

    async def begin_batch(self, batch: NewBatch, jobs: int) -> int:
        """Store a batch whose jobs, so many at most, are submitted in portions: their ids still follow each other.

        Returns its id, which each portion names.
        """

    def reserving(self, run: str) -> AbstractAsyncContextManager[None]:
        """Reserve jobs submitted inside for this run, while this process lives.

        On exit the open ones are released: then any process claims them.
        """

    async def request_cancel(self, job: JobId, reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        """Cancel pending children and ask running ones to stop. Raises JobNotFoundError."""

    async def cancel_all(self, parent_ids: Collection[int], reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        """`request_cancel` of these parents."""

    async def cancel_batch(self, batch_id: int) -> None:
        """`request_cancel` of all its open parents, and of those that are still to come. Raises JobNotFoundError."""

    async def pause(self, by: str) -> None:
        """Start nothing new until `resume`. `by`: who asked for it. A second pause changes nothing."""

    async def resume(self) -> None: ...

    async def pin(self, parent_id: int, pinned: bool) -> None:
        """Exempt a parent from retention, or no longer. Raises JobNotFoundError."""

    async def save_measurement(self, target: str, measured: Measurement) -> None: ...


class JobClaims(Protocol):
    """Claims children for a worker process, and stores what it reports of them."""

    async def fingerprint(self) -> str:
        """A short identifier of the store, the same for all who use it."""
        ...

    def hosting_workers(
        self,
        *,
        serves_all: bool = True,
        own_jobs: Collection[int] | None = None,
        identity: ProcessIdentity | None = None,
    ) -> AbstractAsyncContextManager[str]:
        """Register this process as an owner of running children while inside; gives the owner's id.

        Args:
            serves_all: it claims every job, not only its own.
            own_jobs: the ids of its own jobs, of those that exist by now.
            identity: the identity under which this process was started.
        """

    async def has_pending(self, parents: Collection[int] | None = None, run: str | None = None) -> bool:
        """Whether `claim` would find a child now; nothing is written."""

    async def claim(self, owner: str, parents: Collection[int] | None = None, run: str | None = None) -> Claim | None:
        """Make the next pending child with a free target `running`, owned by `owner`; None if there is none.

        While the store is paused, only children that await recovery are claimed.

        Args:
            parents: claim only children of these.
            run: also claim children that are reserved for this run.
        """

    async def require_owned(self, claim: Claim) -> None:
        """Raises OwnershipLostError if the claim no longer owns the child; nothing is written."""

    async def report(self, claim: Claim, report: Report) -> None:
        """Store progress, steps and log lines of a running child. Raises OwnershipLostError."""

    async def finish(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        """End a child, and its parent if it was the last one.

        Raises OwnershipLostError, and writes nothing, if the claim no longer owns the child.
        """

    async def finish_and_claim(
        self,
        claim: Claim,
        outcome: Outcome,
        report: Report,
        parents: Collection[int] | None = None,
        run: str | None = None,
    ) -> Claim | None:
        """`finish`, then `claim` for the same owner, in one commit."""

    async def release(self, claim: Claim, report: Report) -> None:
        """Hand a child back as pending without using up an attempt. Raises OwnershipLostError."""

    async def cancel_requests(self, owner: str) -> set[JobId]:
        """The running children of `owner` that were asked to stop."""


class Hosts(Protocol):
    """The hosts that share a store."""

    @property
    def host(self) -> str:
        """The name of this one."""
        ...

    async def drain_host(self, host: str, by: str) -> None:
        """Let the workers of a host take no more jobs, and leave. `by`: who asked for it. A second time changes
        nothing."""

    async def undrain_host(self, host: str) -> bool:
        """Let workers of a host take jobs again; whether they did not."""
        ...

    async def drained_hosts(self) -> Mapping[str, Pause]:
        """By host: since when, and on whose request, its workers take no jobs."""
        ...

    async def key_of(self, target: str) -> str:
        """The key of mutual exclusion for a file of another host: that of its newest job, if it had any."""
        ...

    def files_of(self, host: str) -> str:
        """What the URLs of the files of a host begin with."""
        ...

    async def surveyed(self, beginning: str, since: Micros) -> Sequence[str]:
        """The targets whose URL begins so that were surveyed since then."""
        ...

    async def unserved(self) -> Mapping[str, Sequence[int]]:
        """By queue: the parents that wait in it while no live worker process serves it; without the queues that
        workers of this host serve."""
        ...

    async def asked_to_leave(self) -> None:
        """Wait until this host is drained."""


class OwnerSupervision(Protocol):
    """Finds dead worker processes and exceeded time limits, and kills a worker process on request."""

    async def owner_died(self) -> None:
        """Wait until the owner of some running child is dead."""

    async def rescue(self) -> list[JobId]:
        """Take the running children of dead owners: to run again, to recover, or to fail. Returns their ids."""

    async def enforce_time_limits(self) -> None:
        """Skip pending children past their time limit; ask running ones to stop if their request says so."""

    async def let_start(self) -> None:
        """Let go the children whose time to start has come."""

    async def request_force(
        self, job: JobId, running: JobId, owner: str, reason: Reason = Reason.CANCELLED_BY_USER
    ) -> bool:
        """`request_cancel` of `job`, and record that `running`, itself or one of its children, will be killed.

        False, and nothing is written, if `owner` no longer runs it.
        """

    async def kill_owner(self, running: JobId, owner: str, pid: int) -> bool:
        """Send SIGKILL to the process of `owner` if it still runs this child; whether it was sent.

        `pid`: its registered process id. Raises PermissionError.
        """


class HistoryPruning(Protocol):
    """Removes old history, in small transactions."""

    async def prunable(self, status: Status, *, before: Micros, keep_last: int, after: int, limit: int) -> list[int]:
        """Up to `limit` parents with this status that finished before `before`, above id `after`, oldest first.

        Excludes pinned ones and the `keep_last` newest of each target.
        """

    async def prune(self, parent_ids: Collection[int]) -> int:
        """Remove finished parents with all that belongs to them; how many there were."""

    async def prune_changes(self, *, before: Micros, limit: int) -> int:
        """Remove the oldest changes from before `before`, up to `limit`; how many there were."""

    async def prune_firings(self) -> None:
        """Remove the records of old due times."""


class SurveyStore(Protocol):
    """Keeps the last survey of each target, by its canonical URL."""

    async def surveys(self, targets: Collection[str]) -> Mapping[str, Survey]:
        """By target; a target that was never surveyed is left out."""

    async def save_surveys(self, done: Collection[Survey]) -> None: ...

    async def known_databases(self) -> frozenset[str]:
        """The targets that were a database when they were surveyed, or on which an operation completed."""
        ...

    async def forget_databases(self, targets: Collection[str]) -> None:
        """Remove all that is known of these targets apart from their jobs."""

    async def name_database(self, target: str, database: str) -> Sequence[Damage]:
        """Keep that a canonical URL names the database with this key. Returns the known damage of that database.

        Damage that a check by one URL finds is put on the record of each. A clean check ends it for its own URL alone.
        """

    async def save_damage(self, target: str, change: DamageChange) -> None:
        """Change what is known to be damaged in the database with this canonical URL."""

    async def last_jobs(self, targets: Collection[str]) -> Mapping[str, LastJob | None]:
        """The newest job of each of these targets that has one; None for one that cannot be read."""


class ScheduleStore(Protocol):
    """Keeps what became of each due time of each schedule."""

    async def schedule_states(self) -> Mapping[str, ScheduleState]:
        """By name: the schedules that a worker has read, or a person has disabled."""

    async def observe_schedules(self, seen: Collection[ScheduleState]) -> None:
        """Keep what a worker has read of schedules. Their due times count from `since` on, if they are new or their
        `start` has changed."""

    async def forget_schedules(self, names: Collection[str]) -> None:
        """Forget schedules that their config file no longer has; disabled ones stay disabled."""

    async def enable_schedule(self, name: str) -> None:
        """Let it be due again, from now on."""

    async def disable_schedule(self, name: str, by: str) -> None:
        """Let it be due no more. `by`: who asked for it. A second time changes nothing."""

    async def last_handled(self, schedule: str, now: Micros) -> Micros | None:
        """The newest due time up to now that has a record."""

    async def last_fired(self, schedule: str, since: Micros) -> Micros | None:
        """The newest due time, from `since` on, at which it fired; None if there is none."""

    async def open_batch(self, schedule: str) -> int | None:
        """The batch of its last firing, if that has not ended."""

    async def fire(self, firing: Firing, jobs: Sequence[NewJob], batch: NewBatch) -> Firing | None:
        """Record that a due time fires, and submit its jobs as a batch. Returns the record.

        It is skipped if jobs of an earlier one are open; one by hand is not recorded then. None, and nothing is
        written, if something was recorded of this due time before, or the schedule is disabled.
        """

    async def record_firings(self, firings: Collection[Firing]) -> list[Firing]:
        """Record due times that did not fire, except those with a record. Returns the new records."""

    async def firings(
        self, schedule: str | None = None, *, since: Micros | None = None, until: Micros | None = None, limit: int
    ) -> list[Firing]:
        """The newest firings of a schedule, or of all, that were due between these times, newest first."""


class NotificationStore(Protocol):
    """Keeps events for recipients, and their messages until they are delivered."""

    async def register_recipients(self, names: Collection[str], *, since: Micros | None = None) -> None:
        """New recipients hear of events from now on, and of those since an earlier time."""

    async def forget_recipients(self, kept: Collection[str]) -> Mapping[str, int]:
        """Drop what waits for recipients that are not kept; by name the number of their messages and events."""

    async def seen_by_recipients(self) -> Mapping[str, int]:
        """By name: up to which change events were collected for it."""

    async def collect_events(
        self, recipient: str, events: Sequence[Event], *, seen: int, calm: Collection[str] = ()
    ) -> None:
        """Keep events up to the change `seen`. `calm`: targets that are no longer critical."""

    async def collected_since(self, *, only_urgent: bool = False) -> Mapping[str, Micros]:
        """By name: when the oldest event was collected that is in no message yet."""

    async def newly_critical(self, recipient: str) -> list[str]:
        """The targets that are critical or gone by their survey, without those that the recipient was notified of."""

    async def no_longer_critical(self, recipient: str) -> list[str]:
        """The targets that it heard of and that a later survey found better."""

    async def firings_to_tell(self, recipient: str) -> list[Firing]:
        """The due times since the recipient was registered that it has not heard of: missed, skipped as the last one
        was still running, or fired with something that a person must put right first."""

    async def newly_fired_after_all(self, recipient: str) -> list[Firing]:
        """The due times that fired after the recipient heard that they were missed, as the clock was ahead; those of
        which it has heard are left out."""

    async def last_outcome(
        self, target: str, operation: Operation, *, before: int, jobs: int
    ) -> tuple[Status, int] | None:
        """How an operation ended on a target in the newest job before one in which it completed or failed, and its id.

        `jobs`: read at most this many jobs.
        """

    async def make_message(self, recipient: str, *, only_urgent: bool = False) -> None:
        """Put all collected events into one message; none without events. Old messages are removed."""

    async def take_over_messages(self, recipients: Collection[str]) -> None:
        """Try again at once what a dead process was delivering to them."""

    async def waiting_messages(self) -> list[Message]: ...

    async def newest_messages(self, recipient: str, *, limit: int) -> list[Message]:
        """Newest first."""

    async def begin_delivery(self, message_id: int) -> None: ...

    async def end_delivery(
        self, message_id: int, status: MessageStatus, *, error: str | None, done: Collection[str], next_try_at: Micros
    ) -> None: ...

    async def recipient_states(self, names: Collection[str]) -> list[RecipientState]: ...

    async def has_open_jobs(self) -> bool: ...

    async def has_served_jobs(self) -> bool:
        """Whether an open job runs, or waits in a queue that a live worker process, or one of this host, serves."""
        ...


class Leadership(Protocol):
    """Lets one process at a time do work that must not be done twice. The work must be safe without that, too:
    the role may be lost at any time."""

    def holding_role(self, role: str) -> AbstractAsyncContextManager[bool]:
        """Whether this process has the role, while inside; False at once where another has it.

        Raises StoreError, also in between where the role is lost.
        """

    async def role_is_held(self, role: str) -> bool:
        """Whether any process has the role. Raises StoreError."""
        ...


class Store(
    JobReader,
    ChangeFeed,
    JobWriter,
    JobClaims,
    OwnerSupervision,
    HistoryPruning,
    SurveyStore,
    NotificationStore,
    ScheduleStore,
    Leadership,
    Protocol,
):
    """The durable record of jobs, shared by any number of processes."""

    @property
    def is_there(self) -> bool:
        """Whether the file exists: a read-only store creates none."""

    async def admitted(self) -> None:
        """Wait until a server has let this user in, where the store was opened early; then the rights below are known.

        Raises StoreError.
        """

    @property
    def is_admitted(self) -> bool:
        """Whether a server has let this user in."""

    @property
    def may_submit(self) -> bool:
        """Whether its user may submit and cancel jobs."""

    @property
    def may_run(self) -> bool:
        """Whether its user may run jobs. One who may neither run nor submit them can write nothing."""

    @property
    def lost(self) -> StoreError | None:
        """Why nothing can be read or written. That lasts where the file was removed or replaced, and passes where the
        server cannot be reached."""

    async def reach_changed(self) -> None:
        """Wait until `lost` has changed, if it can change."""

    @property
    def hosts(self) -> Hosts | None:
        """The hosts that share it; None: it belongs to one."""

    async def locked_by(self) -> str:
        """The processes that lock the store against writing, as text; "" if none, or if unknown."""
