"""How jobs on many targets are shown: a line for each finished one, or a block with counts and running jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf

from engine import ParentJob, Status, parent_progress
from engine.domain.job_outcomes import JobOutcome, outcome_of
from tui.commands import job_report, output, report
from tui.commands.live_lines import Line
from tui.commands.naming import named
from tui.commands.views import LiveView, View, stdout_is_terminal
from tui.presentation.batch_summary import TROUBLE, counts_text, given_back, time_to_go
from tui.presentation.effect_summary import error_of
from tui.presentation.job_status import progress_parts
from tui.presentation.text import GLYPH, percent, plain, size, time_left


class LineView(View):
    def __init__(self) -> None:
        self._told: set[int] = set()

    def remark(self, text: str) -> None:
        output.line(text)

    def show(self, jobs: Sequence[ParentJob]) -> None:
        for job in jobs:
            if job.status.is_final and job.id not in self._told:
                self._told.add(job.id)
                output.line(ended_line(job))


def view_of_many() -> View:
    return LiveView(Block()) if stdout_is_terminal() else LineView()


class Block:
    """The lines while it runs: progress, what failed, and what runs. At the end the summary takes their place.

    Of a job that is over it keeps no more than a line, and that only if it failed.
    """

    def __init__(self) -> None:
        self._over, self._outcomes = set[int](), Counter[JobOutcome]()
        self._back, self._began = 0.0, inf
        self._troubled: list[Line] = []

    def __call__(self, jobs: Sequence[ParentJob], at: int, _width: int) -> Sequence[Line]:
        self._began = min([self._began, *(job.started_at for job in jobs if job.started_at is not None)])
        self._count([job for job in jobs if job.status.is_final and job.id not in self._over])
        left = [job for job in jobs if not job.status.is_final]
        if not left:
            return []
        number = len(self._over) + len(left)
        fraction = (len(self._over) + sum(parent_progress(job) or 0.0 for job in left)) / number
        done = ", ".join(filter(None, (f"{len(self._over):,} of {number:,} done", percent(fraction))))
        to_go = time_left(time_to_go(self._began, fraction, at))
        back = f"{size(self._back)} given back" if size(self._back) != size(0) else ""
        lines: list[Line] = [(Status.RUNNING, "  ".join(filter(None, (done, to_go and f"about {to_go}", back))))]
        if self._over:
            lines.append((Status.PENDING, counts_text(self._outcomes)))
        running = [(Status.RUNNING, _running_line(job, at)) for job in left if job.status is Status.RUNNING]
        return [*lines, *self._troubled, *running]

    def _count(self, ended: Sequence[ParentJob]) -> None:
        self._over.update(job.id for job in ended)
        self._outcomes.update(map(outcome_of, ended))
        self._back += given_back(ended)
        troubled = [job for job in ended if outcome_of(job) in TROUBLE]
        self._troubled += [(job.status, f"{GLYPH[job.status]} {ended_line(job)}") for job in troubled]


def ended_line(job: ParentJob) -> str:
    """`#42 sales.db completed in 3.10 s  24.1 MB -> 14.3 MB, 9.80 MB back`; of what failed, that it did."""
    if (outcome := outcome_of(job)) in TROUBLE:
        return f"#{job.id} {named(job.target)} {outcome}"
    return report.summary(job, short=stdout_is_terminal())


def trouble_lines(job: ParentJob) -> Iterator[str]:
    """Why a job failed, and what to do."""
    yield from error_lines(job)
    if job.is_pattern:
        yield "  Nothing was begun. Fix what the message names, then run the pattern again."
    else:
        yield from (f"  {line}" for line in job_report.follow_up_lines(job))


def error_lines(job: ParentJob) -> Iterator[str]:
    """Why a job failed: an error that several of its operations share stands once."""
    operations_of: dict[str, list[str]] = {}
    for child in job.children:
        if child.error and child.status is Status.FAILED:
            operations_of.setdefault(error_of(child, job.target), []).append(child.operation)
    name = named(job.target)
    for error, operations in operations_of.items():
        which = "" if len(operations) == len(job.children) else f" {', '.join(operations)}"
        why = plain(" ".join(error.removeprefix(f"{name}: ").split()))
        yield f"#{job.id} {name} {outcome_of(job)}{which}: {why}"
    if not operations_of:
        yield report.summary(job)


def _running_line(job: ParentJob, at: int) -> str:
    """`► #42 sales.db  vacuum  0:31  50%  0:32 left  copying`."""
    child = next((child for child in job.children if child.status is Status.RUNNING), None)
    doing = "" if child is None else "  ".join(filter(None, (child.operation, *progress_parts(child, at))))
    return f"{GLYPH[Status.RUNNING]} #{job.id} {named(job.target)}  {doing}".rstrip()
