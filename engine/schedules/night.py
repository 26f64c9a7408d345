"""A night by its estimates: a pure simulation of the workers."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from math import inf

from engine.domain.due_times import closes_at
from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.targets.lock_impact import Lock, LockImpact
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.window_fit import operation_in_window


@frozen(kw_only=True)
class PlannedOperation:
    plan: OperationPlan
    idle: str = ""
    """Why nothing would run, as text: it is refused, does not apply, or there is nothing to do."""
    fit: bool = True
    """See `Options.fit`."""

    @property
    def operation(self) -> Operation:
        return self.plan.operation


@frozen(kw_only=True)
class PlannedTarget:
    target: str
    """Its canonical URL."""
    operations: Sequence[PlannedOperation] = ()
    host: str | None = None
    starts_at: Micros | None = None
    """It does not start before; None: it starts with the first."""
    problem: str = ""
    """Why nothing of it can be planned, as text."""
    elsewhere: str | None = None
    """The other host that plans and does it, when it is due: that is no problem."""


@frozen(kw_only=True)
class PlannedWork:
    """What a schedule starts at a due time, or what waits already."""

    schedule: str | None
    """None: they are jobs that were open when the night was planned."""
    targets: Sequence[PlannedTarget]
    opens_at: Micros
    closes_at: Micros | None
    max_per_host: int | None = None
    canary: int | None = None


def plan_of_length(operation: Operation, seconds: float | None) -> OperationPlan:
    """A plan with only a length, in seconds; None: the length is unknown, too."""
    step = PlannedStep(object="", command="", reason="", lock=Lock(LockImpact.NONE), estimate=seconds)
    return OperationPlan(operation=operation, steps=(step,))


def work_at(schedule: Schedule, due: Micros, targets: Sequence[PlannedTarget]) -> PlannedWork:
    """What a schedule starts at a due time, on these targets."""
    return PlannedWork(
        schedule=schedule.name,
        targets=targets,
        opens_at=due,
        closes_at=closes_at(schedule, due),
        max_per_host=schedule.max_per_host,
        canary=schedule.canary,
    )


@frozen(kw_only=True)
class PlannedRun:
    """When an operation would run. One of unknown length ends when it begins."""

    operation: Operation
    begins_at: Micros
    ends_at: Micros
    is_known: bool
    """Whether there is an estimate of how long it takes."""
    left_steps: int = 0
    """Steps that would not begin before the window closes."""


@frozen(kw_only=True)
class TargetNight:
    """What would become of a target in a night."""

    target: PlannedTarget
    runs: Sequence[PlannedRun] = ()
    not_begun: Sequence[PlannedOperation] = ()
    """Operations that would end after the window, or that do not begin before it closes."""

    @property
    def is_whole(self) -> bool:
        """Whether all that is to be done on it fits into the window."""
        return not (self.not_begun or any(run.left_steps for run in self.runs))

    @property
    def left_out(self) -> Sequence[PlannedOperation]:
        """Operations that would run no step."""
        return [operation for operation in self.target.operations if operation.idle]


@frozen(kw_only=True)
class PlannedNight:
    opens_at: Micros
    closes_at: Micros | None
    workers: int
    """How many targets are worked on at once."""
    targets: Sequence[TargetNight]
    """The targets in the order in which they begin."""
    idle: int = 0
    """How many targets need nothing."""
    inapplicable: int = 0
    """To how many targets none of its operations applies."""
    beside: Sequence[str] = ()
    """The other schedules that need the same workers in this time."""
    open_jobs: int = 0
    """How many jobs that are open already need them, too."""

    @property
    def ends_at(self) -> Micros:
        return max((run.ends_at for target in self.targets for run in target.runs), default=self.opens_at)


def planned_night(
    work: PlannedWork,
    *,
    workers: int,
    idle: int = 0,
    inapplicable: int = 0,
    beside: Sequence[PlannedWork] = (),
) -> PlannedNight:
    """Each worker takes the first target that may begin, does what fits of it, and takes the next.

    `beside`: what else the same workers do. What is due first is taken first.
    """
    nights, open_jobs = _simulated(work, beside, workers)
    return PlannedNight(
        opens_at=work.opens_at,
        closes_at=work.closes_at,
        workers=workers,
        targets=nights,
        idle=idle,
        inapplicable=inapplicable,
        beside=list(dict.fromkeys(one.schedule for one in beside if one.schedule is not None)),
        open_jobs=open_jobs,
    )


def _simulated(work: PlannedWork, beside: Sequence[PlannedWork], workers: int) -> tuple[list[TargetNight], int]:
    """The targets of `work` in the order in which they begin, and how many open jobs need workers in its time."""
    running = _Running()
    own = _Queue(work, running)
    queues = sorted([*(_Queue(one, running) for one in beside), own], key=lambda queue: queue.work.opens_at)
    busy: list[tuple[Micros, int, _Queue, PlannedTarget]] = []
    """When each ends that is worked on; and a number, so that no targets are compared."""
    now, number, nights, open_jobs = queues[0].work.opens_at, 0, list[TargetNight](), 0
    while own:
        is_free = len(busy) < workers
        found = _first(queues, now) if is_free else None
        if found is not None:
            queue, target = found
            night = _night_of(target, now, queue.work.closes_at)
            ends = max((run.ends_at for run in night.runs), default=now)
            if queue is own:
                nights.append(night)
            elif queue.work.schedule is None:
                open_jobs += ends >= work.opens_at
            number += 1
            heapq.heappush(busy, (ends, number, queue, target))
            continue
        starts = min((one.next_start for one in queues), default=inf) if is_free else inf
        if busy and busy[0][0] <= starts:
            ended, _, queue, done = heapq.heappop(busy)
            now = max(now, ended)
            queue.done(done)
            for one in queues:
                one.release(done.target)
        elif starts != inf:
            now = int(starts)
    return nights, open_jobs


def _first(queues: Sequence[_Queue], now: Micros) -> tuple[_Queue, PlannedTarget] | None:
    for queue in queues:
        if (target := queue.take(now)) is not None:
            return queue, target
    return None


class _Running:
    """What is worked on, whatever schedule started it."""

    def __init__(self) -> None:
        self.targets = set[str]()
        self.on_host = Counter[str | None]()
        """Of work with a limit: other work keeps none waiting."""


class _Queue:
    """The targets of a work that have not begun, in their order; those of a server only while it has room."""

    def __init__(self, work: PlannedWork, running: _Running) -> None:
        self.work = work
        self._running = running
        self._later = [(one.starts_at or work.opens_at, number, one) for number, one in enumerate(work.targets)]
        heapq.heapify(self._later)
        self._ready: dict[str | None, list[tuple[int, PlannedTarget]]] = {}
        """Those whose time to start has come, by server."""
        self._held: dict[str, list[tuple[int, PlannedTarget]]] = {}
        """Those of them on whose target another schedule works."""
        self._left = len(work.targets)
        self._canaries = {id(target) for target in work.targets[: work.canary]} if work.canary is not None else set()
        self._first = len(self._canaries)

    def __bool__(self) -> bool:
        return self._left > 0

    @property
    def next_start(self) -> float:
        """When the next one may start, by its own time; infinite if none is left."""
        return self._later[0][0] if self._later else inf

    def take(self, now: Micros) -> PlannedTarget | None:
        """The first one that may begin now."""
        while self._later and self._later[0][0] <= now:
            _, number, one = heapq.heappop(self._later)
            heapq.heappush(self._ready.setdefault(one.host, []), (number, one))
        for waiting in self._ready.values():
            while waiting and (target := waiting[0][1].target) in self._running.targets:
                self._held.setdefault(target, []).append(heapq.heappop(waiting))
        free = [waiting[0] for host, waiting in self._ready.items() if waiting and self._has_room(host)]
        number, found = min(free, key=lambda one: one[0], default=(0, None))
        if found is None or (self._canaries and number >= self._first):
            return None
        heapq.heappop(self._ready[found.host])
        self._running.targets.add(found.target)
        self._running.on_host[found.host] += self.work.max_per_host is not None
        self._left -= 1
        return found

    def done(self, target: PlannedTarget) -> None:
        self._running.targets.discard(target.target)
        self._running.on_host[target.host] -= self.work.max_per_host is not None
        self._canaries.discard(id(target))

    def release(self, target: str) -> None:
        """Another schedule has ended its work on a target."""
        for number, one in self._held.pop(target, ()):
            heapq.heappush(self._ready[one.host], (number, one))

    def _has_room(self, host: str | None) -> bool:
        most = self.work.max_per_host
        return host is None or most is None or self._running.on_host[host] < most


def _night_of(target: PlannedTarget, begin: Micros, closes_at: Micros | None) -> TargetNight:
    now, runs, not_begun = begin, list[PlannedRun](), list[PlannedOperation]()
    for operation in target.operations:
        if operation.idle:
            continue
        run = _run_of(operation, now, closes_at)
        if run is None:
            not_begun.append(operation)
        else:
            runs.append(run)
            now = run.ends_at
    return TargetNight(target=target, runs=runs, not_begun=not_begun)


def _run_of(one: PlannedOperation, now: Micros, closes_at: Micros | None) -> PlannedRun | None:
    """An operation that would begin now, with the steps that fit; None if none of them begins."""
    time_left = inf if closes_at is None else (closes_at - now) / 1e6
    marked, seconds = operation_in_window(one.plan, 0.0, time_left, fit=one.fit)
    begun = [step for step in marked.steps if step.not_begun is None]
    if not begun:
        return None
    ends = now + round(seconds * 1e6)
    return PlannedRun(
        operation=one.operation,
        begins_at=now,
        ends_at=ends if closes_at is None else min(ends, closes_at),
        is_known=any(step.estimate is not None for step in begun),
        left_steps=len(marked.steps) - len(begun),
    )
