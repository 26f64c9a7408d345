"""The page of the worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.cells import cell_len

from engine import ChildJob, JobId, ParentJob, Pause, WorkerProcess
from engine.domain.frozen import frozen
from tui.console.keymap import key_of
from tui.console.views.line import Line, Role, Span, fit, line, named, shortened_name, wrapped
from tui.console.views.status import child_of
from tui.presentation.job_times import moment
from tui.presentation.text import plain
from tui.presentation.worker_format import takes

HEADING = ("pid", "host", "since", "takes")
HOST_WIDTH = 24
"""Cells of a host name, at most."""


@frozen
class Surroundings:
    """Open parents, names of targets, and the time: what the page needs beside the workers."""

    open_jobs: Mapping[int, ParentJob]
    name_of: Callable[[str], str]
    now: int
    read_only: bool = False


def workers_document(
    workers: Sequence[WorkerProcess], pause: Pause | None, about: Surroundings, width: int
) -> list[Line]:
    """A line for each live process, and what to do about a stalled one."""
    alive = [worker for worker in workers if worker.alive]
    lines = _paused(pause, about.now, width)
    if not alive:
        return lines + _no_worker(width, read_only=about.read_only)
    table = [HEADING, *(_cells(worker, about.now) for worker in alive)]
    widths = [max(map(cell_len, column)) + 2 for column in zip(*table, strict=True)]
    lines.append(line((_columns(HEADING, widths) + "runs", Role.DIM)))
    for worker in sorted(alive, key=lambda worker: (worker.host, worker.started_at)):
        lines += _process(worker, about, widths, width)
    return lines


def _paused(pause: Pause | None, now: int, width: int) -> list[Line]:
    if pause is None:
        return []
    message = f"Paused since {moment(pause.at, now)} by {pause.by}: no operation starts. {key_of('resume')} resumes."
    return [*wrapped(message, width, Role.WARNING), line()]


def _no_worker(width: int, *, read_only: bool) -> list[Line]:
    starts = "The console starts one when you run a job. It ends after a minute without jobs."
    when = "Start one with: dbtend worker" if read_only else starts
    return [*wrapped("No worker is up.", width), *wrapped(when, width, Role.DIM)]


def _cells(worker: WorkerProcess, now: int) -> tuple[str, ...]:
    host = plain(worker.host)
    since = moment(worker.started_at, now)
    return (
        str(worker.pid),
        shortened_name(host, HOST_WIDTH),
        since,
        plain(takes(worker, every="all jobs", own="its own jobs")),
    )


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(map(fit, cells, widths))


def _process(worker: WorkerProcess, about: Surroundings, widths: Sequence[int], width: int) -> list[Line]:
    role = Role.WARNING if worker.stalled or worker.draining else Role.RUNNING if worker.running else Role.DIM
    begin, room = _columns(_cells(worker, about.now), widths), width - sum(widths)
    lines = []
    for job in worker.running or (None,):
        lines.append(line(begin, *_runs("draining: " * worker.draining, job, about, role, room)))
        begin = " " * sum(widths)
    return lines + (_advice_lines(worker, about, width) if worker.stalled else [])


def _runs(state: str, job: JobId | None, about: Surroundings, role: Role, room: int) -> Iterator[Span]:
    """`draining: #42.1 vacuum sales.db`, in at most `room` cells."""
    child = _child(job, about) if job is not None else None
    if job is None or child is None:
        yield fit(state + ("nothing" if job is None else f"#{job}"), room), role
        return
    doing = f"{state}#{job} {child.operation.value} "
    yield doing, role
    yield from named(about.name_of(about.open_jobs[job.parent].target), room - cell_len(doing), role)


def _child(job: JobId, about: Surroundings) -> ChildJob | None:
    parent = about.open_jobs.get(job.parent)
    return child_of(parent, job) if parent else None


def _advice_lines(worker: WorkerProcess, about: Surroundings, width: int) -> list[Line]:
    pid = worker.pid
    return [
        line(("  stalled", Role.WARNING), ": the process is alive and has work, but makes no progress."),
        *wrapped(f"If it was stopped (kill -STOP {pid}), kill -CONT {pid} resumes it.", width, indent=4),
        *wrapped(f"If it hangs, kill -9 {pid} is safe: {_after_a_kill(worker, about)}.", width, indent=4),
    ]


def _after_a_kill(worker: WorkerProcess, about: Surroundings) -> str:
    """What happens to the jobs of a killed process; a second attempt may be the last."""
    if not worker.running:
        return "it runs nothing"
    job, does = ("its job", "is") if len(worker.running) == 1 else ("its jobs", "are")
    children = [_child(job_id, about) for job_id in worker.running]
    if any(child is not None and child.cancel_requested_at is not None for child in children):
        return f"{job} {does} cancelled, as asked"
    if any(child is not None and child.attempt > 1 for child in children):
        return f"no data is lost, but {job} may not be retried"
    return f"{job} {does} run again"
