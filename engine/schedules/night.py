"""How a night goes by its estimates: a pure simulation of the workers."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence

from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.domain.steps import Micros


@frozen(kw_only=True)
class PlannedOperation:
    operation: Operation
    seconds: float | None = None
    """Its estimate; None where it is unknown."""
    idle: str = ""
    """Why nothing would run, as text: it is refused, or there is nothing to do."""


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


@frozen(kw_only=True)
class PlannedRun:
    """When an operation would run. One of unknown length ends when it begins."""

    operation: Operation
    begins_at: Micros
    ends_at: Micros
    is_known: bool
    """Whether there is an estimate of how long it takes."""


@frozen(kw_only=True)
class TargetNight:
    """What would become of a target in a night."""

    target: PlannedTarget
    runs: Sequence[PlannedRun] = ()
    not_begun: Sequence[PlannedOperation] = ()
    """Operations that would end after the window, or that do not begin before it closes."""


@frozen(kw_only=True)
class PlannedNight:
    opens_at: Micros
    closes_at: Micros | None
    workers: int
    """How many targets are worked on at once."""
    targets: Sequence[TargetNight]
    """In the order in which they begin."""
    idle: int = 0
    """How many targets need nothing."""

    @property
    def ends_at(self) -> Micros:
        return max((run.ends_at for one in self.targets for run in one.runs), default=self.opens_at)


def planned_night(
    targets: Sequence[PlannedTarget],
    *,
    opens_at: Micros,
    closes_at: Micros | None,
    workers: int,
    max_per_host: int | None = None,
    canary: int | None = None,
    idle: int = 0,
) -> PlannedNight:
    """Each worker takes the first target that may begin, does what fits of it, and takes the next."""
    waiting = list(targets)
    canaries = {id(one) for one in targets[:canary]} if canary is not None else set()
    busy: list[tuple[Micros, int, PlannedTarget]] = []  # when it ends; a number, so that no targets are compared
    on_host = Counter[str | None]()
    open_canaries, now, nights = len(canaries), opens_at, list[TargetNight]()
    while waiting:
        found = next(
            (
                one
                for one in waiting
                if (one.starts_at or opens_at) <= now
                and (one.host is None or max_per_host is None or on_host[one.host] < max_per_host)
                and (id(one) in canaries or not open_canaries)
            ),
            None,
        )
        if found is not None and len(busy) < workers:
            waiting.remove(found)
            night = _night_of(found, now, closes_at)
            nights.append(night)
            on_host[found.host] += 1
            heapq.heappush(busy, (max((run.ends_at for run in night.runs), default=now), len(nights), found))
            continue
        starts = [one.starts_at for one in waiting if one.starts_at is not None and one.starts_at > now]
        if busy and not (len(busy) < workers and starts and min(starts) < busy[0][0]):
            ended, _, done = heapq.heappop(busy)
            now = max(now, ended)
            on_host[done.host] -= 1
            open_canaries -= id(done) in canaries
        else:
            now = min(starts)
    return PlannedNight(opens_at=opens_at, closes_at=closes_at, workers=workers, targets=nights, idle=idle)


def _night_of(target: PlannedTarget, begin: Micros, closes_at: Micros | None) -> TargetNight:
    now, runs, not_begun = begin, list[PlannedRun](), list[PlannedOperation]()
    for one in target.operations:
        if one.idle:
            continue
        ends = now + round((one.seconds or 0.0) * 1e6)
        if closes_at is not None and (ends > closes_at or now >= closes_at):
            not_begun.append(one)
            continue
        is_known = one.seconds is not None
        runs.append(PlannedRun(operation=one.operation, begins_at=now, ends_at=ends, is_known=is_known))
        now = ends
    return TargetNight(target=target, runs=runs, not_begun=not_begun)
