"""The page of the processes that carry out jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len

from engine import ChildJob, JobId, ParentJob, Pause, WorkerProcess
from engine.domain.frozen import frozen
from tui.console.keymap import key_of
from tui.console.views.line import Line, Role, fit, line, wrapped
from tui.console.views.status import child_of
from tui.presentation.job_times import moment
from tui.presentation.text import plain

HEADING = ("pid", "host", "since", "takes")
HOST_WIDTH = 24
"""Cells that a host's name fills at most."""


@frozen
class Surroundings:
    """What else is known: the parents that are open, how targets are called, what time it is."""

    open_jobs: Mapping[int, ParentJob]
    name_of: Callable[[str], str]
    now: int


def workers_document(
    workers: Sequence[WorkerProcess], pause: Pause | None, about: Surroundings, width: int
) -> list[Line]:
    """A line for each process that lives, and what to do about one that does not move."""
    alive = [worker for worker in workers if worker.alive]
    lines = _paused(pause, about.now, width)
    if not alive:
        return lines + _nobody(width)
    table = [HEADING, *(_cells(worker, about.now) for worker in alive)]
    widths = [max(map(cell_len, column)) + 2 for column in zip(*table, strict=True)]
    lines.append(line((_columns(HEADING, widths) + "runs", Role.DIM)))
    for worker in alive:
        lines += _process(worker, about, widths, width)
    return lines


def _paused(pause: Pause | None, now: int, width: int) -> list[Line]:
    if pause is None:
        return []
    said = f"Paused since {moment(pause.at, now)} by {pause.by}: nothing new starts. {key_of('resume')} resumes."
    return [*wrapped(said, width, Role.WARNING), line()]


def _nobody(width: int) -> list[Line]:
    when = "The console starts one as soon as a job is run here; it leaves when it has been idle for a minute."
    return [*wrapped("No worker is up.", width), *wrapped(when, width, Role.DIM)]


def _cells(worker: WorkerProcess, now: int) -> tuple[str, ...]:
    host = plain(worker.host)
    since = moment(worker.started_at, now)
    return (
        str(worker.pid),
        host if cell_len(host) <= HOST_WIDTH else fit(host, HOST_WIDTH),
        since,
        "every job" if worker.serves_all else "its own jobs",
    )


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(map(fit, cells, widths))


def _process(worker: WorkerProcess, about: Surroundings, widths: Sequence[int], width: int) -> list[Line]:
    role = Role.WARNING if worker.stalled else Role.RUNNING if worker.running else Role.DIM
    begin, room = _columns(_cells(worker, about.now), widths), width - sum(widths)
    lines = []
    for job in worker.running or (None,):
        lines.append(line(begin, (fit(_format_job(job, about) if job else "nothing", room), role)))
        begin = " " * sum(widths)
    return lines + (_what_to_do(worker, about, width) if worker.stalled else [])


def _format_job(job: JobId, about: Surroundings) -> str:
    """`#42.1 vacuum sales.db`."""
    child = _child(job, about)
    if child is None:
        return f"#{job}"
    return f"#{job} {child.operation.value} {plain(about.name_of(about.open_jobs[job.parent].target))}"


def _child(job: JobId, about: Surroundings) -> ChildJob | None:
    parent = about.open_jobs.get(job.parent)
    return child_of(parent, job) if parent else None


def _what_to_do(worker: WorkerProcess, about: Surroundings, width: int) -> list[Line]:
    pid = worker.pid
    return [
        line(("  stalled", Role.WARNING), ": it lives and has something to do, but it does not move."),
        *wrapped(f"Was it stopped (kill -STOP {pid})? Then kill -CONT {pid} lets it go on.", width, indent=4),
        *wrapped(f"Does it hang? kill -9 {pid} is safe: {_after_a_kill(worker, about)}.", width, indent=4),
    ]


def _after_a_kill(worker: WorkerProcess, about: Surroundings) -> str:
    """What becomes of the jobs of a process that is killed; one that was tried before may not be tried again."""
    if not worker.running:
        return "it runs nothing"
    job, does = ("its job", "is") if len(worker.running) == 1 else ("its jobs", "are")
    children = [_child(job_id, about) for job_id in worker.running]
    if any(child is not None and child.cancel_requested_at is not None for child in children):
        return f"{job} {does} cancelled, as asked"
    if any(child is not None and child.attempt > 1 for child in children):
        return f"no data is lost, but {job} may not be tried once more"
    return f"{job} {does} run again"
