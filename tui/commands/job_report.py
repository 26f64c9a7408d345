"""Everything about one job, as lines for a person: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine import Attempt, ChildJob, JobId, ParentJob, Reason, Status, Step, Trend
from engine.domain.jobs import format_ending
from tui.commands.naming import labelled
from tui.commands.report import ending, how_far, limit, state, summary
from tui.presentation.effect_summary import (
    findings,
    is_cut_short,
    is_finding,
    remedy,
    status_shown,
    step_effect,
    tells_a_finding,
)
from tui.presentation.fact_format import changes, number, table
from tui.presentation.force_kill import was_ended_by_force
from tui.presentation.text import GLYPH, counted, format_options, local_time, padded, plain, precise_duration
from tui.presentation.trend_plot import headline, in_two, plots, too_few

WIDTH: Final = 80


def job_lines(job: ParentJob, at: int, only: JobId | None = None) -> list[str]:
    """Everything about a job, or about one of its children; `at`: the time now, for what still runs."""
    lines = [
        summary(job),
        f"  target   {labelled(job.target)}",
        f"  created  {local_time(job.created_at)}" + (f", retry of #{job.retry_of}" if job.retry_of else ""),
        f"  options  {plain(', '.join(format_options(job.request.options)))}",
    ]
    if job.deadline_at is not None:
        lines.append(f"  limit    {limit(job.request.options, job.deadline_at)}")
    if job.pinned:
        lines.append("  pinned   kept whatever its age")
    for child in job.children:
        if only is None or only == child.id:
            lines += ["", *_child_lines(child, at)]
    return lines


def _child_lines(child: ChildJob, at: int) -> Iterator[str]:
    how = ending(child) if child.status.is_final else state(child)
    all_the_same = child.status.is_final and child.status is not Status.CANCELLED and child.cancel_requested_at
    asked = ", cancel requested" if all_the_same and not is_cut_short(child) else ""
    again = f", attempt {child.attempt}" if child.attempt > 1 else ""
    runs = child.status is Status.RUNNING and child.cancel_requested_at is None
    far = f"  {how_far(child, at)}" if runs else ""
    yield f"{GLYPH[status_shown(child)]} #{child.id} {child.operation} {how}{asked}{again}{far}"
    found = findings(child)
    yield from (f"  found    {line}" for line in finding_lines(child))
    if what_to_do := remedy(child):
        yield f"  to do    {what_to_do}"
    yield from (f"  {row}" for row in table(changes(child.before, child.after)))
    attempts = {attempt.number: attempt for attempt in child.attempts}
    numbers = {*attempts, *(step.attempt for step in child.steps), *(line.attempt for line in child.log)}
    for attempt in sorted(numbers):
        if attempt in attempts:
            yield _attempt_line(child, attempts[attempt], alone=len(numbers) == 1)
        for step in child.steps:
            if step.attempt == attempt:
                yield from _step_lines(step, found)
        yield from _log_lines(child, attempt)


def trend_lines(trends: Sequence[Trend], only: JobId | None, job: ParentJob) -> Iterator[str]:
    """How the operations of a job, or one of them, went on this database up to then."""
    wanted = {child.operation for child in job.children if only is None or only == child.id}
    enough, others = in_two([trend for trend in trends if trend.operation in wanted])
    for trend in enough:
        yield ""
        yield f"trend  {headline(trend)}"
        for plot in plots(trend, WIDTH - 2):
            yield from (f"  {text}" for text in plot.said)
            yield from (f"  {label}{bars}".rstrip() for label, bars in plot.rows)
    if others:
        yield ""
        yield f"trend  {too_few(others)}"


def finding_lines(child: ChildJob, most: int | None = None) -> Iterator[str]:
    """What a check found, at most so many, and where to look for those that are not among them."""
    found = [" ".join(message.split()) for message in findings(child)]
    total = max(len(found), int(number(child.after, "findings") or 0))
    shown = found[:most]
    yield from map(plain, shown)
    if found and len(shown) < total:
        where = f": dbtend show {child.id}" if len(shown) < len(found) else " that are not kept"
        yield f"... and {total - len(shown):,} more{where}"


def first_findings(job: ParentJob) -> Iterator[str]:
    """What the checks of a job found, each with the first few, and what to do about it."""
    for child in job.children:
        yield from finding_lines(child, most=5)
        yield from filter(None, [remedy(child)])


def _attempt_line(child: ChildJob, attempt: Attempt, *, alone: bool) -> str:
    began = local_time(attempt.started_at)
    if alone:
        return f"  started  {began}"
    process = f"pid {attempt.pid} on {plain(attempt.host or '?')}" if attempt.pid else "in an unknown process"
    if attempt.finished_at is None:
        return f"  attempt {attempt.number}  {process}  since {began}"
    how = {Reason.OWNER_LOST: "its process died", Reason.SHUTDOWN: "stopped at a shutdown"}
    ended = (attempt.reason and how.get(attempt.reason)) or format_ending(attempt.status, attempt.reason)
    if was_ended_by_force(child, attempt):
        ended = "ended by force"
    return f"  attempt {attempt.number}  {process}  {began} to {local_time(attempt.finished_at)}  {ended}"


def _log_lines(child: ChildJob, attempt: int) -> Iterator[str]:
    """The log of one attempt, without what was found; a gap in the numbers is what was left out."""
    expected = 1
    for line in (line for line in child.log if line.attempt == attempt):
        if line.number > expected:
            yield f"  ... {counted(line.number - expected, 'line')} left out ..."
        expected = line.number + 1
        if is_finding(child, line):
            continue
        level = "" if line.level == "info" else f"{line.level}: "
        first, *rest = line.message.splitlines() or [""]
        yield f"  {local_time(line.at)}  {level}{plain(first)}"
        yield from (f"    {plain(more)}" for more in rest)


def _step_lines(step: Step, found: Sequence[str]) -> Iterator[str]:
    took = precise_duration((step.finished_at - step.started_at) / 1e6) if step.finished_at else ""
    did = step_effect(step.effect)
    yield f"  {GLYPH[step.status]} {padded(took, 8)} {plain(step.command)}" + (f"  ({did})" if did else "")
    if step.error and not tells_a_finding(step, found):
        yield f"             {plain(step.error)}"
