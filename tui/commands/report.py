"""Jobs as lines for a person: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine import ChildJob, JobId, Options, ParentJob, Reason, Status, remaining, run_duration
from engine.domain.humanize import NOT_BEGUN, span
from engine.domain.jobs import (
    COMPLETED_IN_PART,
    format_child_reason,
    format_ending,
    is_cancelling,
    is_overwritten,
    never_began,
    object_name,
)
from tui.commands.naming import named
from tui.presentation.cancel_consequences import what_follows
from tui.presentation.effect_summary import effect, first_error, found_damage, job_effect, status_shown, steps_taken
from tui.presentation.text import (
    GLYPH,
    cells,
    counted,
    duration,
    local_time,
    padded,
    percent,
    plain,
    precise_duration,
    time_left,
)


def events(seen: Mapping[JobId, ChildJob], job: ParentJob) -> Iterator[str]:
    """A line for everything that happened to the children of `job` since they were `seen`."""
    for child in job.children:
        before = seen.get(child.id)
        was = before.status if before else Status.PENDING
        name = f"#{child.id} {named(job.target)} {child.operation}"
        if child.status == was:
            if before and was is Status.RUNNING and child.attempt > before.attempt and not child.recovering:
                yield f"{name} runs again"  # between two looks it was also pending
            elif before and state(child) != state(before):
                yield f"{name} {state(child)}"
            continue
        if was is Status.PENDING and child.started_at is not None:
            yield f"{name} started"
        if child.status.is_final:
            yield f"{name} {ending(child)}"
        elif was is Status.RUNNING:
            yield f"{name} {state(child) if child.recovering else 'waits to run again'}"


def is_waiting(child: ChildJob) -> bool:
    """Whether it runs and cannot go on by itself: its phase says what it waits for."""
    progress = child.progress
    runs = child.status is Status.RUNNING and child.cancel_requested_at is None
    return runs and progress.waits_for is not None and bool(progress.phase)


def waiting(job: ParentJob, child: ChildJob) -> str:
    """`#42.1 sales.db vacuum: waiting for its lock: process 4711 (psql)`."""
    return f"#{child.id} {named(job.target)} {child.operation}: {plain(child.progress.phase or '')}"


def halfway(job: ParentJob, child: ChildJob, at: int) -> str:
    """`#42.1 sales.db vacuum 50%  copying  0:31  about 0:32 left`."""
    return f"#{child.id} {named(job.target)} {child.operation} {how_far(child, at)}"


def how_far(child: ChildJob, at: int) -> str:
    """`50%  copying  0:31  about 0:32 left`, as far as it is known."""
    fraction, left = child.progress.fraction, time_left(remaining(child, at))
    said = (
        percent(fraction) if fraction is not None else "",
        plain(child.progress.phase or object_name(child.progress.object)),
        duration(run_duration(child, at)),
        f"about {left}" if left else "",
    )
    return "  ".join(filter(None, said))


def ending(child: ChildJob, width: int | None = None) -> str:
    """How a child ended, in a phrase: `completed in 1.93 s, 24.1 MB -> 14.3 MB, 9.80 MB back`.

    Where there are only `width` cells, what it did is said in a shorter way if there is one.
    """
    seconds = run_duration(child, child.finished_at or 0)
    took = f" in {precise_duration(seconds)}" if seconds is not None and child.status is not Status.SKIPPED else ""
    phrase = format_ending(child.status, child.reason) + took
    if never_began(child):
        return f"{phrase}: {NOT_BEGUN}"
    if found := found_damage(child):
        phrase += f": {found}"
    else:
        if child.reason and child.reason is not Reason.CANCELLED_BY_USER and not is_overwritten(child):
            lost = child.reason is Reason.OWNER_LOST
            phrase += f" ({format_child_reason(child) if lost else child.reason.value.replace('_', ' ')})"
        phrase += f": {plain(child.error)}" if child.error else ""
        did = effect(child, None if width is None else width - cells(phrase) - 2)
        if not did and child.status is Status.COMPLETED:
            did = steps_taken(child)
        phrase += f"{';' if child.error else ','} {did}" if did else ""
    if child.warnings:
        phrase += f", {counted(len(child.warnings), 'warning')}: {plain('; '.join(child.warnings))}"
    return phrase


def summary(job: ParentJob, *, short: bool = False) -> str:
    """`#42 sales.db completed in 3.10 s  24.1 MB -> 14.3 MB, 9.80 MB back`.

    `short`: its error is told already.
    """
    seconds = run_duration(job, job.finished_at or 0)
    took = f" in {precise_duration(seconds)}" if job.status.is_final and seconds is not None else ""
    said = ", ".join(filter(None, (job_effect(job, short=short), caveats(job))))
    return f"#{job.id} {named(job.target)} {job_state(job)}{took}" + (f"  {said}" if said else "")


def caveats(job: ParentJob) -> str:
    """What its status alone does not tell: `2 skipped (time limit), 1 warning`."""
    skipped = [child.reason for child in job.children if child.status is Status.SKIPPED]
    reasons = dict.fromkeys(reason.value.replace("_", " ") for reason in skipped if reason)
    said = [f"{len(skipped)} skipped ({', '.join(reasons)})"] if skipped else []
    warnings = sum(len(child.warnings) for child in job.children)
    return ", ".join([*said, counted(warnings, "warning")] if warnings else said)


def history_table(jobs: Sequence[ParentJob]) -> list[str]:
    """One line per job under a heading, newest first as given."""
    rows = [("JOB", "CREATED", "TARGET", "OPERATIONS", "STATUS", "TOOK", "EFFECT")]
    rows += [
        (
            f"#{job.id}",
            local_time(job.created_at),
            named(job.target),
            " ".join(child.operation for child in job.children),
            f"{GLYPH[status_shown(job)]} {job_state(job)}" + (", pinned" if job.pinned else ""),
            precise_duration(run_duration(job, job.finished_at) if job.finished_at else None),
            ", ".join(filter(None, (first_error(job) or job_effect(job), caveats(job)))),
        )
        for job in jobs
    ]
    return columns(rows)


def limit(options: Options, deadline_at: int) -> str:
    """`2026-11-24 06:00:00 (until 06:00), what runs then is asked to stop`."""
    asked = [f"after {span(options.time_limit)}"] if options.time_limit is not None else []
    asked += [f"until {options.until}"] if options.until is not None else []
    stops = ", what runs then is asked to stop" if options.stop_at_limit else ""
    return f"{local_time(deadline_at)} ({', '.join(asked)}){stops}"


def closes(options: Options, deadline_at: int, provided: str = "") -> str:
    """What a limit means: `no operation starts after 2026-11-24 06:00:00 (until 06:00), and no step of what runs`."""
    steps = "" if options.stop_at_limit else ", and no step of what runs then"
    return f"no operation starts after {limit(options, deadline_at)}{provided}{steps}"


def job_state(job: ParentJob) -> str:
    """How a job stands, in a word."""
    if is_cancelling(job):
        return "cancelling"
    return job.status.value if status_shown(job) is job.status else COMPLETED_IN_PART


def state(child: ChildJob) -> str:
    """How a child that is not over stands, in a word; more where it was asked to stop."""
    if child.recovering:
        doing = "recovering" if child.cancel_requested_at is None else "cancelling"
        lost = "its process died" if child.force_requested_at is None else "it was ended by force"
        return f"{doing} ({lost}, and its database is looked after)"
    if child.cancel_requested_at is None:
        return child.status.value
    return "cancelling" + (f" ({child.progress.phase})" if child.progress.phase else "")


def cancel_lines(before: ParentJob, after: ParentJob, asked: JobId, at: int) -> Iterator[str]:
    """What becomes of a job, or one child of it, that was asked to end; `at`: the time now."""
    if asked.ordinal is None and before.status.is_final:
        yield f"#{before.id} {named(before.target)} {_over_already(before)}"
        return
    goes_on = False
    for was, child in zip(before.children, after.children, strict=True):
        if asked.ordinal is not None and child.id != asked:
            continue
        name = f"#{child.id} {named(after.target)} {child.operation}"
        if was.status.is_final:
            yield f"{name} {_over_already(was)}"
        elif child.status.is_final:
            said = NOT_BEGUN if never_began(child) else plain(child.error or "")
            yield f"{name} {child.status}" + (f": {said}" if said else "")
        else:
            goes_on = True
            already = f" already at {local_time(was.cancel_requested_at)}" if was.cancel_requested_at else ""
            yield f"{name} {child.status}, cancel {'was requested' if already else 'requested'}{already}"
            by_force = f"dbtend cancel {child.id} --force ends it all the same"
            yield from (f"  {phrase}" for phrase in what_follows(child, after.target, at, by_force=by_force))
    if goes_on:
        yield f"what really happened: dbtend show {asked}"


def _over_already(job: ChildJob | ParentJob) -> str:
    return f"is {job.status} already: there was nothing to cancel"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(cells(text) for text in column) for column in zip(*rows, strict=True)]
    return ["  ".join(map(padded, row, widths)).rstrip() for row in rows]
