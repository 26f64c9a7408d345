"""How jobs on many targets are shown: a line for each finished one, or a block with counts and running jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import ParentJob, Status
from engine.domain.job_outcomes import outcome_of
from tui.commands import job_report, output, report
from tui.commands.live_lines import Line
from tui.commands.naming import named
from tui.commands.views import LiveView, View, stdout_is_terminal
from tui.presentation.batch_summary import TROUBLE, counts_text, fraction_done, given_back, time_to_go
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
    return LiveView(_block_until_over) if stdout_is_terminal() else LineView()


def _block_until_over(jobs: Sequence[ParentJob], at: int, _width: int) -> Sequence[Line]:
    """The summary takes its place when all is over."""
    return [] if all(job.status.is_final for job in jobs) else block(jobs, at)


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


def block(jobs: Sequence[ParentJob], at: int) -> list[Line]:
    """Its progress, its failures, and the targets of running jobs."""
    over = [job for job in jobs if job.status.is_final]
    done = ", ".join(filter(None, (f"{len(over):,} of {len(jobs):,} done", percent(fraction_done(jobs)))))
    left, back = time_left(time_to_go(jobs, at)), given_back(jobs)
    parts = [done, f"about {left}" if left else "", f"{size(back)} given back" if size(back) != size(0) else ""]
    lines: list[Line] = [(Status.RUNNING, "  ".join(filter(None, parts)))]
    if over:
        lines.append((Status.PENDING, counts_text(over)))
    troubled = [job for job in over if outcome_of(job) in TROUBLE]
    lines += [(job.status, f"{GLYPH[job.status]} {ended_line(job)}") for job in troubled]
    return lines + [(Status.RUNNING, _running_line(job, at)) for job in jobs if job.status is Status.RUNNING]


def _running_line(job: ParentJob, at: int) -> str:
    """`► #42 sales.db  vacuum  0:31  50%  0:32 left  copying`."""
    child = next((child for child in job.children if child.status is Status.RUNNING), None)
    doing = "" if child is None else "  ".join(filter(None, (child.operation, *progress_parts(child, at))))
    return f"{GLYPH[Status.RUNNING]} #{job.id} {named(job.target)}  {doing}".rstrip()
