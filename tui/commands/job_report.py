"""Everything about one job, as lines for a person: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from engine import BatchId, ChildJob, JobId, ParentJob, Status, Step, Trend
from engine.domain.kept_page_map import kept_maps, why_not_mapped
from engine.domain.steps import LogLevel
from tui.commands.naming import command, labelled
from tui.commands.report import instructions, progress_text, summary
from tui.presentation.effect_summary import error_of, findings, remedy, status_shown
from tui.presentation.fact_format import changes, table
from tui.presentation.job_log import (
    StepText,
    attempt_numbers,
    attempt_text,
    findings_not_kept,
    hidden_text,
    log_entries,
    shown_steps,
    step_text,
)
from tui.presentation.job_notes import NoteKind, advice, notes, unchecked_warning
from tui.presentation.job_picture import job_picture
from tui.presentation.job_status import ending, status_text, whole_left, whole_percent
from tui.presentation.job_times import limit_of, people
from tui.presentation.page_map import NOT_MAPPED_WORDS, before_and_after
from tui.presentation.shared_notes import SharedNotes, shared_notes, told_once
from tui.presentation.text import GLYPH, format_options, local_time, padded, plain
from tui.presentation.trend_plot import plots, side_by_side, too_few

WIDTH: Final = 80
_LABELS: Final = {
    NoteKind.WAIT: "waits",
    NoteKind.WAIT_LIMIT: "",
    NoteKind.CANCEL: "cancel",
    NoteKind.ADVICE: "to do",
}
"""Labels of the notes below the line of a child, which already has its error and reason."""
_SHARED_LABELS: Final = {**_LABELS, NoteKind.ERROR: "error"}
FIRST_FINDINGS: Final = 5


def job_lines(job: ParentJob, at: int, only: JobId | None = None, *, commands: bool = False) -> list[str]:
    """All about a job, or about one of its children. `at`: the time now. `commands`: each step with its command."""
    lines = [
        "  ".join(filter(None, (summary(job), whole_percent(job).strip(), whole_left(job, at)))),
        f"  target   {labelled(job.target)}",
        f"  created  {local_time(job.created_at)}" + (f", retry of #{job.retry_of}" if job.retry_of else ""),
        f"  options  {plain(', '.join(format_options(job.request.options)))}",
    ]
    if by := people(job):
        lines.append(f"  people   {plain(', '.join(f'{label} {who}' for label, who in by))}")
    if job.batch is not None:
        lines.append(f"  batch    {BatchId(job.batch)}")
    if limit := limit_of(job):
        lines.append(f"  limit    {limit}")
    if job.pinned:
        lines.append("  pinned   retention keeps it")
    shown = replace(job, children=tuple(child for child in job.children if only is None or only == child.id))
    lines += [f"  warning  {text}" for text in dict.fromkeys(filter(None, map(unchecked_warning, shown.children)))]
    if any(child.started_at is not None for child in shown.children):
        picture = job_picture(shown, at, WIDTH, selected=only.ordinal if only is not None else None)
        lines += ["", *(row.plain for row in picture)]
    shared = shared_notes(shown, lambda child: instructions(child.id))
    for one in shared:
        lines += ["", *_shared_lines(one)]
    for child in shown.children:
        lines += ["", *_child_lines(job, child, at, told_once(shared), commands=commands)]
    return lines


def _shared_lines(shared: SharedNotes) -> Iterator[str]:
    """Shared texts, and the children or steps that share them."""
    for note in shared.notes:
        yield f"  {_SHARED_LABELS[note.kind]:7}  {plain(note.text)}"
    yield f"  of       {shared.subjects}"


def _child_lines(job: ParentJob, child: ChildJob, at: int, told: Collection[str], *, commands: bool) -> Iterator[str]:
    is_told = error_of(child, job.target) in told
    status = ending(replace(child, error=None) if is_told else child) if child.status.is_final else status_text(child)
    attempt = f", attempt {child.attempt}" if child.attempt > 1 else ""
    runs = child.status is Status.RUNNING and child.cancel_requested_at is None
    progress = f"  {progress_text(child, at)}" if runs else ""
    yield f"{GLYPH[status_shown(child)]} #{child.id} {child.operation} {status}{attempt}{progress}"
    yield from (f"  found    {line}" for line in finding_lines(child))
    for note in notes(job, child, instructions(child.id)):
        if note.kind in _LABELS and note.text != child.error and note.text not in told:
            yield f"  {_LABELS[note.kind]:7}  {plain(note.text)}"
    yield from (f"  {row}" for row in table(changes(child.before, child.after)))
    yield from (f"  {row}" for row in map_lines(child))
    attempts = {attempt.number: attempt for attempt in child.attempts}
    numbers = attempt_numbers(child)
    for number in numbers:
        if number in attempts and len(numbers) == 1:
            yield f"  started  {local_time(attempts[number].started_at)}"
        elif number in attempts:
            yield f"  {attempt_text(child, attempts[number], local_time)}"
        shown, hidden = shown_steps(child, number, at, all_of_them=commands)
        for step in shown:
            yield from _step_lines(step, step_text(child, step, job.target, at, told, with_command=commands))
        if hidden:
            text = hidden_text(hidden, at)
            yield f"  {GLYPH[Status.COMPLETED]} {padded(text.took, 8)} {text.what}; --commands shows all"
        yield from _log_lines(child, number)


def map_lines(child: ChildJob) -> Iterator[str]:
    """The page maps of a SQLite file before and after an operation, or why there are none."""
    if (maps := kept_maps(child.after)) is not None:
        yield from ("".join(text for text, _ in row).rstrip() for row in before_and_after(maps, WIDTH - 2))
    elif (reason := why_not_mapped(child.after)) is not None:
        yield NOT_MAPPED_WORDS[reason]


def trend_lines(trends: Sequence[Trend], only: JobId | None, job: ParentJob) -> Iterator[str]:
    """How long the operations of a job, or one of them, took on this database up to then."""
    wanted = {child.operation for child in job.children if only is None or only == child.id}
    shown = [trend for trend in trends if trend.operation in wanted]
    rows = list(side_by_side(plots(shown, job.id), WIDTH - 2))
    if rows:
        yield from ("", "trend")
        yield from (("  " + "".join(cell.text + cell.bars for cell in row)).rstrip() for row in rows)
    if others := too_few(shown):
        yield from ("", f"trend  {others}")


def finding_lines(child: ChildJob, most: int | None = None) -> Iterator[str]:
    """The findings of a check, at most so many, and where the others are."""
    found = [" ".join(message.split()) for message in findings(child)]
    shown = found[:most]
    yield from map(plain, shown)
    not_kept = findings_not_kept(child, found)
    if hidden := len(found) - len(shown) + not_kept:
        where = f": {command(f'show {child.id}')}" if len(shown) < len(found) else " that are not kept"
        yield f"... and {hidden:,} more{where}"


def follow_up_lines(job: ParentJob) -> Iterator[str]:
    """The first findings of its checks, and what to do about how its operations ended."""
    shown_hints: set[str] = set()
    for child in job.children:
        yield from finding_lines(child, most=FIRST_FINDINGS)
        is_failed = child.status is Status.FAILED
        what_to_do = plain(advice(job, child, instructions(child.id)) if is_failed else remedy(child))
        if what_to_do and what_to_do not in shown_hints:
            yield what_to_do
        shown_hints.add(what_to_do)


def _log_lines(child: ChildJob, attempt: int) -> Iterator[str]:
    for entry in log_entries(child, attempt):
        if isinstance(entry, str):
            yield f"  {entry}"
            continue
        level = "" if entry.level is LogLevel.INFO else f"{entry.level}: "
        first, *rest = entry.message.splitlines() or [""]
        yield f"  {local_time(entry.at)}  {level}{plain(first)}"
        yield from (f"    {plain(more)}" for more in rest)


def _step_lines(step: Step, text: StepText) -> Iterator[str]:
    did = f"  ({text.effect})" if text.effect else ""
    yield f"  {GLYPH[step.status]} {padded(text.took, 8)} {text.what}{did}"
    if text.error:
        yield f"             {plain(text.error)}"
