"""Estimates of durations from earlier runs on the same database, and which runs can be compared: pure functions."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from engine.domain.engines import EngineName, engine_spec
from engine.domain.estimate_errors import SHORTEST
from engine.domain.jobs import ChildJob, ParentJob, run_duration
from engine.domain.median import median
from engine.domain.past_runs import PastStep
from engine.domain.requests import Operation, Options
from engine.domain.steps import Facts

if TYPE_CHECKING:
    from engine.domain.past_runs import EstimatedRun
    from engine.targets.plans import OperationPlan, PlannedStep

JOBS_READ: Final = (10, 50)
"""The newest jobs of a target with an operation that are read; of more than the first, if those do not suffice."""
RUNS: Final = 5
"""The newest completed runs that count."""
EARLIER_RUNS: Final = "as long as in earlier runs"
RUNS_ELSEWHERE: Final = 500
"""The newest runs on all targets that the estimate of a first run uses."""
LONG_ENOUGH: Final = 0.1
"""Seconds: of shorter runs the time says little of larger ones."""
MUCH_SMALLER: Final = 0.1
"""A run with a smaller share of the work does not count: most of its time is the same for any size."""
KNOWN_LEAST: Final = 0.5
"""The share of the work on objects that earlier runs worked on, from which on whole runs say how long it takes."""
CAREFUL_SHARE: Final = 0.75
"""So many of the runs elsewhere were not slower than a first one is expected to be."""


def with_estimates(
    plan: OperationPlan,
    jobs: Iterable[ParentJob],
    options: Options,
    before: Facts,
    past_steps: Mapping[str, PastStep] = MappingProxyType({}),
) -> OperationPlan:
    """The plan with estimates from earlier runs.

    Args:
        jobs: of the target with this operation, newest first.
        before: facts of the database now.
        past_steps: by command, how it went.
    """
    steps = with_past_durations(plan.steps, past_steps)
    runs = _runs_that_count(plan.operation, options, jobs)
    if not (runs and steps):
        return replace(plan, steps=steps)
    given = _given(steps)
    known = {name for step in past_steps.values() for name in step.objects}
    done_before = sum(share * _share_of(known, step) for step, share in zip(steps, given, strict=True))
    if past_steps and done_before < KNOWN_LEAST * sum(given):
        return replace(plan, steps=steps)
    whole = max(sum(given) / plan.parallel, *given)
    if len(steps) > 1 and all(step.command in past_steps for step in steps):
        scale = median([_growth(run, before) for run, _ in runs])  # not by whole runs, which may have had other steps
    else:
        scale = _usual_seconds(runs, before) / whole if whole else 1.0
    steps = tuple(replace(step, estimate=scale * one) for step, one in zip(steps, given, strict=True))
    return replace(plan, steps=steps, estimated_from=EARLIER_RUNS)


def _share_of(known: Container[str], step: PlannedStep) -> float:
    names = step.all_objects
    return sum(name in known for name in names) / len(names)


def first_guess(plan: OperationPlan, target: str, engine: EngineName, runs: Iterable[EstimatedRun]) -> OperationPlan:
    """The plan of an operation that never ran on this target: by size, and by the other runs there.

    `runs`: of all targets, with estimates by sizes alone.
    """
    if plan.size_estimate is None:
        return plan
    smallest = plan.size_estimate * MUCH_SMALLER
    there = [run for run in runs if run.estimate >= smallest and _place(run.target) == _place(target)]
    measured = _pace(plan.operation, there)
    pace = engine_spec(engine).times_as_size if measured is None else measured
    steps = (replace(step, estimate=None if step.estimate is None else step.estimate * pace) for step in plan.steps)
    source = "by size alone" if measured is None else "by size, and by how long other runs took there"
    return replace(plan, steps=tuple(steps), is_first_guess=True, estimated_from=f"a first guess: {source}")


def _pace(operation: Operation, runs: Sequence[EstimatedRun]) -> float | None:
    """How many times as long as by size runs took: those of the operation, else all. None without any.

    Other operations may show that a machine is slow, but not that this operation is fast.
    """
    long_enough = [run for run in runs if max(run.estimate, run.seconds) >= LONG_ENOUGH]
    same = [run for run in long_enough if run.operation is operation]
    paces = sorted(run.seconds / max(run.estimate, SHORTEST) for run in same or long_enough)
    return max(paces[int(len(paces) * CAREFUL_SHARE)], SHORTEST if same else 1.0) if paces else None


def _place(target: str) -> tuple[str, str]:
    """The server of a target, or all files of this machine."""
    found = urlsplit(target)
    return found.scheme, found.netloc + found.query


def with_past_durations(steps: Sequence[PlannedStep], past: Mapping[str, PastStep]) -> tuple[PlannedStep, ...]:
    """The steps with the seconds in `past`, by command, as estimates.

    Other steps are scaled to these by their own estimates or weights.
    """
    shares = {number: step.weight if step.estimate is None else step.estimate for number, step in enumerate(steps)}
    known = {number: past[step.command] for number, step in enumerate(steps) if step.command in past}
    in_proportion = sum(shares[number] or 0.0 for number in known)
    if not known:
        return tuple(steps)
    scale = sum(one.seconds for one in known.values()) / in_proportion if in_proportion else None

    def with_past(number: int, step: PlannedStep) -> PlannedStep:
        if (one := known.get(number)) is not None:
            return replace(step, estimate=one.seconds, past_course=one.course)
        share = shares[number]
        return replace(step, estimate=share if share is None or scale is None else share * scale)

    return tuple(with_past(number, step) for number, step in enumerate(steps))


def expected_seconds(operation: Operation, options: Options, jobs: Iterable[ParentJob], before: Facts) -> float | None:
    """The median duration, scaled to the current size of the database; None if it never completed."""
    runs = _runs_that_count(operation, options, jobs)
    return _usual_seconds(runs, before) if runs else None


def usual_seconds(
    operation: Operation, options: Options | None, runs: Iterable[EstimatedRun], size: float | None
) -> float | None:
    """As `expected_seconds`, from runs of one target, the newest first.

    Args:
        options: None: those of the newest run.
        size: of the database now, in bytes.
    """
    same = [run for run in runs if run.operation is operation]
    if not same:
        return None
    wanted = extent(operation, options or same[0].options)
    comparable = (run for run in same if extent(operation, run.options) == wanted)
    scaled = [run.seconds * _scale(run.size, size) for run in islice(comparable, RUNS)]
    return median(scaled) if scaled else None


def suffice(operation: Operation, options: Options, jobs: Iterable[ParentJob]) -> bool:
    """Whether these jobs have as many runs as count."""
    return len(_runs_that_count(operation, options, jobs)) == RUNS


def _runs_that_count(operation: Operation, options: Options, jobs: Iterable[ParentJob]) -> list[tuple[ChildJob, float]]:
    """The newest comparable runs whose seconds are known, with these."""
    runs = ((run, _working_seconds(run)) for run in _comparable(operation, options, jobs))
    return list(islice(((run, seconds) for run, seconds in runs if seconds is not None), RUNS))


def _usual_seconds(runs: Iterable[tuple[ChildJob, float]], before: Facts) -> float:
    """The median duration, scaled to the current size of the database."""
    return median([seconds * _growth(run, before) for run, seconds in runs])


def _comparable(operation: Operation, options: Options, jobs: Iterable[ParentJob]) -> Iterator[ChildJob]:
    """The comparable completed runs, newest first."""
    wanted = None
    for job in jobs:
        runs = [child for child in reversed(job.children) if child.operation is operation and child.is_complete]
        wanted = wanted or (extent(operation, options) if runs else None)
        if runs and extent(operation, job.request.options) == wanted:
            yield from runs


def _growth(child: ChildJob, before: Facts) -> float:
    """The size of the database now as a multiple of that before the run; 1.0 if unknown."""
    return _scale((child.before or {}).get("size"), before.get("size"))


def _scale(then: object, now: object) -> float:
    if isinstance(now, int | float) and isinstance(then, int | float) and then > 0:
        return now / then
    return 1.0


def _working_seconds(child: ChildJob) -> float | None:
    """The seconds of a run without waits."""
    seconds, waited = run_duration(child, child.finished_at or 0), (child.after or {}).get("waited")
    return max(seconds - waited, 0.0) if seconds is not None and isinstance(waited, int | float) else seconds


def _given(steps: Sequence[PlannedStep]) -> list[float]:
    """The estimates or weights of the steps; a step with neither gets the average."""
    given = [step.weight if step.estimate is None else step.estimate for step in steps]
    known = [share for share in given if share]
    usual = sum(known) / len(known) if known else 1.0
    return [usual if share is None else share for share in given]


def extent(operation: Operation, options: Options) -> tuple[object, ...]:
    """The options that affect the duration of an operation: runs with equal values are comparable."""
    server = replace(options.server, snapshot_wait=None, server_wait=None)
    for_what = options.objects_for(operation), options.left_out_by(operation), options.done_by(operation), server
    match operation:
        case Operation.CHECK:
            return *for_what, options.check_level
        case Operation.ANALYZE:
            return *for_what, options.analysis_limit
        case Operation.VACUUM:
            return *for_what, options.swap, options.swap and options.verify
        case Operation.REINDEX:
            return *for_what, options.sqlite
        case Operation.BACKUP:
            return *for_what, options.verify
        case _:
            return for_what
