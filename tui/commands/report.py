"""Jobs as lines for a person: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine import (
    Attempt,
    ChildJob,
    JobId,
    Options,
    ParentJob,
    Reason,
    Status,
    Step,
    remaining,
    run_duration,
)
from engine.words import span
from tui.effects import effect, findings, found_damage, is_finding, step_effect, steps_taken
from tui.facts import changes, number, table
from tui.text import (
    GLYPH,
    cells,
    counted,
    duration,
    local_time,
    options_in_words,
    padded,
    percent,
    plain,
    precise_duration,
    shortened,
    size_change,
    target_name,
    time_left,
)


def events(seen: Mapping[JobId, ChildJob], job: ParentJob) -> Iterator[str]:
    """A line for everything that happened to the children of `job` since they were `seen`."""
    for child in job.children:
        before = seen.get(child.id)
        was = before.status if before else Status.PENDING
        name = f"#{child.id} {target_name(job.target)} {child.operation}"
        if child.status == was:
            if before and state(child) != state(before):
                yield f"{name} {state(child)}"
            continue
        if was is Status.PENDING and child.started_at is not None:
            yield f"{name} started"
        if child.status.is_final:
            yield f"{name} {ending(child)}"
        elif was is Status.RUNNING:
            yield f"{name} {state(child) if child.recovering else 'waits to run again'}"


def halfway(job: ParentJob, child: ChildJob, at: int) -> str:
    """`#42.1 sales.db vacuum 50%  copying  0:31  about 0:32 left`."""
    left = time_left(remaining(child, at))
    said = (
        percent(child.progress.fraction or 0.0),
        plain(child.progress.phase or child.progress.object or ""),
        duration(run_duration(child, at)),
        f"about {left}" if left else "",
    )
    return f"#{child.id} {target_name(job.target)} {child.operation} {'  '.join(filter(None, said))}"


def ending(child: ChildJob) -> str:
    """How a child ended, in a phrase: `completed in 1.93 s, 24.1 MB -> 14.3 MB, 9.80 MB back`."""
    seconds = run_duration(child, child.finished_at or 0)
    took = f" in {precise_duration(seconds)}" if seconds is not None and child.status is not Status.SKIPPED else ""
    phrase = child.status.value + took
    did = effect(child) or (steps_taken(child) if child.status is Status.COMPLETED else "")
    if found := found_damage(child):
        phrase += f": {found}"
    else:
        if child.reason and child.reason is not Reason.CANCELLED_BY_USER:
            phrase += f" ({child.reason.value.replace('_', ' ')})"
        phrase += f": {plain(child.error)}" if child.error else ""
        phrase += f", {did}" if did else ""
    if child.warnings:
        phrase += f", {counted(len(child.warnings), 'warning')}: {plain('; '.join(child.warnings))}"
    return phrase


def summary(job: ParentJob) -> str:
    """`#42 sales.db completed in 3.10 s  24.1 MB -> 14.3 MB, 9.80 MB back`."""
    seconds = run_duration(job, job.finished_at or 0)
    took = f" in {precise_duration(seconds)}" if job.status.is_final and seconds is not None else ""
    said = ", ".join(filter(None, (job_effect(job), caveats(job))))
    return f"#{job.id} {target_name(job.target)} {job.status}{took}" + (f"  {said}" if said else "")


def caveats(job: ParentJob) -> str:
    """What its status alone does not tell: `2 skipped (time limit), 1 warning`."""
    skipped = [child.reason for child in job.children if child.status is Status.SKIPPED]
    reasons = dict.fromkeys(reason.value.replace("_", " ") for reason in skipped if reason)
    said = [f"{len(skipped)} skipped ({', '.join(reasons)})"] if skipped else []
    warnings = sum(len(child.warnings) for child in job.children)
    return ", ".join([*said, counted(warnings, "warning")] if warnings else said)


def job_effect(job: ParentJob) -> str:
    """What its only child did, else the database's size before the first child that ran and after the last."""
    if len(job.children) == 1 and (said := effect(job.children[0])):
        return said
    before = [size for child in job.children if (size := number(child.before, "size")) is not None]
    after = [size for child in job.children if (size := number(child.after, "size")) is not None]
    return size_change(before[0], after[-1]) if before and after else ""


def history_table(jobs: Sequence[ParentJob]) -> list[str]:
    """One line per job under a heading, newest first as given."""
    rows = [("JOB", "CREATED", "TARGET", "OPERATIONS", "STATUS", "TOOK", "EFFECT")]
    rows += [
        (
            f"#{job.id}",
            local_time(job.created_at),
            target_name(job.target),
            " ".join(child.operation for child in job.children),
            f"{GLYPH[job.status]} {job.status}" + (", pinned" if job.pinned else ""),
            precise_duration(run_duration(job, job.finished_at) if job.finished_at else None),
            ", ".join(filter(None, (_trouble(job) or job_effect(job), caveats(job)))),
        )
        for job in jobs
    ]
    return columns(rows)


def job_lines(job: ParentJob, only: JobId | None = None) -> list[str]:
    """Everything about a job, or about one of its children."""
    lines = [
        summary(job),
        f"  target   {plain(job.target)}",
        f"  created  {local_time(job.created_at)}" + (f", retry of #{job.retry_of}" if job.retry_of else ""),
        f"  options  {plain(', '.join(options_in_words(job.request.options)))}",
    ]
    if job.deadline_at is not None:
        lines.append(f"  limit    {limit(job.request.options, job.deadline_at)}")
    if job.pinned:
        lines.append("  pinned   kept whatever its age")
    for child in job.children:
        if only is None or only == child.id:
            lines += ["", *_child_lines(child)]
    return lines


def limit(options: Options, deadline_at: int) -> str:
    """`2026-11-24 06:00:00 (until 06:00), what runs then is asked to stop`."""
    asked = [f"after {span(options.time_limit)}"] if options.time_limit is not None else []
    asked += [f"until {options.until}"] if options.until is not None else []
    stops = ", what runs then is asked to stop" if options.stop_at_limit else ""
    return f"{local_time(deadline_at)} ({', '.join(asked)}){stops}"


def _child_lines(child: ChildJob) -> Iterator[str]:
    how = ending(child) if child.status.is_final else state(child)
    all_the_same = child.status.is_final and child.status is not Status.CANCELLED and child.cancel_requested_at
    asked = ", cancel requested" if all_the_same else ""
    again = f", attempt {child.attempt}" if child.attempt > 1 else ""
    yield f"{GLYPH[child.status]} #{child.id} {child.operation} {how}{asked}{again}"
    yield from (f"  found    {line}" for line in finding_lines(child))
    yield from (f"  {row}" for row in table(changes(child.before, child.after)))
    attempts = {attempt.number: attempt for attempt in child.attempts}
    numbers = {*attempts, *(step.attempt for step in child.steps), *(line.attempt for line in child.log)}
    for attempt in sorted(numbers):
        if attempt in attempts:
            yield _attempt_line(attempts[attempt], alone=len(numbers) == 1)
        for step in child.steps:
            if step.attempt == attempt:
                yield from _step_lines(step)
        yield from _log_lines(child, attempt)


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
    """What the checks of a job found, each with the first few."""
    for child in job.children:
        yield from finding_lines(child, most=5)


def state(child: ChildJob) -> str:
    """How a child that is not over stands, in a word; more where it was asked to stop."""
    if child.cancel_requested_at is None:
        return child.status.value
    if child.recovering:
        return "cancelling (its process died, and its database is looked after)"
    return "cancelling" + (f" ({child.progress.phase})" if child.progress.phase else "")


def _attempt_line(attempt: Attempt, *, alone: bool) -> str:
    began = local_time(attempt.started_at)
    if alone:
        return f"  started  {began}"
    process = f"pid {attempt.pid} on {plain(attempt.host or '?')}" if attempt.pid else "in an unknown process"
    if attempt.finished_at is None:
        return f"  attempt {attempt.number}  {process}  since {began}"
    how = {Reason.OWNER_LOST: "its process died", Reason.SHUTDOWN: "stopped at a shutdown"}
    ended = how.get(attempt.reason, attempt.status.value) if attempt.reason else attempt.status.value
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


def _step_lines(step: Step) -> Iterator[str]:
    took = precise_duration((step.finished_at - step.started_at) / 1e6) if step.finished_at else ""
    did = step_effect(step.effect)
    yield f"  {GLYPH[step.status]} {padded(took, 8)} {plain(step.command)}" + (f"  ({did})" if did else "")
    if step.error:
        yield f"             {plain(step.error)}"


def cancel_lines(before: ParentJob, after: ParentJob, asked: JobId) -> Iterator[str]:
    """What became of a wish to cancel a job, or one child of it."""
    if asked.ordinal is None and before.status.is_final:
        yield f"#{before.id} {target_name(before.target)} {_over_already(before)}"
        return
    for was, child in zip(before.children, after.children, strict=True):
        if asked.ordinal is not None and child.id != asked:
            continue
        name = f"#{child.id} {target_name(after.target)} {child.operation}"
        if was.status.is_final:
            yield f"{name} {_over_already(was)}"
        elif child.status.is_final:
            yield f"{name} {child.status}" + (f": {child.error}" if child.error else "")
        elif was.cancel_requested_at is not None:
            yield f"{name} {child.status}, cancel was requested already at {local_time(was.cancel_requested_at)}"
        else:
            yield f"{name} {child.status}, cancel requested"


def _over_already(job: ChildJob | ParentJob) -> str:
    return f"is {job.status} already: there was nothing to cancel"


def _trouble(job: ParentJob) -> str:
    """The first error of a job, on one line."""
    failed = [child for child in job.children if child.reason is not Reason.NOT_NEEDED]
    errors = [f"{child.operation}: {child.error}" for child in failed if child.error]
    return shortened(plain(" ".join(errors[0].split())), 60) if errors else ""


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(cells(text) for text in column) for column in zip(*rows, strict=True)]
    return ["  ".join(map(padded, row, widths)).rstrip() for row in rows]
