"""What an operation did, in a phrase made from known facts only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Final

from engine import ChildJob, Facts, LogLine, Operation, ParentJob, Reason, Status, Step
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.steps import (
    COURSE,
    EXPECTED,
    FILE,
    FOLLOWED,
    FREED_PAGES,
    GAVE_WAY,
    MAX_FINDINGS,
    REPLACED_FILE,
    TIME_LEFT,
    WAITS,
    LogLevel,
    format_findings,
    object_name,
)
from tui.presentation.fact_format import is_of_another_file, number, stated, text, waited
from tui.presentation.server_effects import is_of_a_server, phrases, step_phrase
from tui.presentation.text import before_and_after, cells, counted, path_of, plain, shortened, size, size_change

Phrases = Sequence[str]
SHORT_ERROR: Final = 60
"""Cells."""
_SHOWN_AS: Final = {
    JobOutcome.SKIPPED: Status.SKIPPED,
    JobOutcome.PARTIAL: Status.SKIPPED,
    JobOutcome.INTERRUPTED: Status.PENDING,
    JobOutcome.UNREACHABLE: Status.FAILED,
    JobOutcome.INCONSISTENT: Status.FAILED,
}


def effect(child: ChildJob, width: int | None = None) -> str:
    """What a child did; in `width` cells the first phrase that fits, else the shortest."""
    if not child.status.is_final or child.status is Status.SKIPPED:
        return ""
    forms = _phrases(child)
    applicable = (phrase for phrase in forms if width is None or cells(phrase) <= width)
    return next(applicable, forms[-1] if forms else "")


def status_of(outcome: JobOutcome) -> Status:
    """The status whose glyph and colour an outcome gets: see `status_shown`."""
    return _SHOWN_AS.get(outcome) or Status(outcome.value)


def status_shown(job: ChildJob | ParentJob) -> Status:
    """The status whose glyph and colour a job gets: partly completed, and begun with nothing, look like skipped; what
    began and now waits for a worker is pending."""
    if isinstance(job, ParentJob):
        return status_of(outcome_of(job))
    return Status.SKIPPED if job.is_partly_completed else job.status


def job_effect(job: ParentJob, width: int | None = None, *, short: bool = False) -> str:
    """What a job did: of several children on a server all effects, on a file the size before and after.

    A failed job starts with its error. `width`: cells; a longer phrase is shortened. `short`: cuts the error.
    """
    if len(job.children) == 1:
        (child,) = job.children
        if child.status is Status.FAILED and child.error and not (found_damage(child) or is_cut_short(child)):
            error = _one_line_error(job, child)
            return "; ".join(filter(None, (shortened(error, SHORT_ERROR) if short else error, effect(child, width))))
        if did := effect(child, width):
            return did
    whole = _whole_effect(job, width)
    if job.status is not Status.FAILED:
        return whole
    is_done = any(child.status is Status.COMPLETED for child in job.children) and "->" in whole
    is_done = is_done or any(is_of_a_server(child) or _has_backup(child) for child in job.children)
    return "; ".join(filter(None, (first_error(job, short=short), whole if is_done else "")))


def _whole_effect(job: ParentJob, width: int | None) -> str:
    sizes = _sizes([child for child in job.children if child.operation is not Operation.BACKUP])
    forms: Phrases = (size_change(*sizes), before_and_after(*sizes))
    if copied := [form for child in job.children if _has_backup(child) for form in _phrases(child)]:
        is_resized = size(sizes[0]) != size(sizes[1])
        forms = *(f"{forms[0]}, {form}" for form in copied if is_resized), *(forms if is_resized else copied)
    if any(is_of_a_server(child) for child in job.children):
        effects = list(filter(None, (effect(child, 0) for child in job.children)))
        sums = {
            name: sum(number(child.after, name) or 0 for child in job.children)
            for name in ("steps_skipped", "left_out", "back_bytes")
        }
        not_done = [
            f"{sums[name]:,.0f} {words}"
            for name, words in (("steps_skipped", "skipped"), ("left_out", "left out"))
            if effects and sums[name]
        ]
        back = sums["back_bytes"]
        gained = [f"{size(back)} back"] if effects and back > 0 and size(back) != size(0) else []
        forms = (
            ", ".join([*effects, *not_done, *gained]),
            ", ".join([*effects, *not_done]),
            ", ".join(effects),
            *effects[:1],
        )
    return next((form for form in forms if width is None or cells(form) <= width), forms[-1])


def _sizes(children: Sequence[ChildJob]) -> tuple[float, float] | tuple[None, None]:
    """The size of a database before and after operations, if all of them measured the same file."""
    sides = [facts for child in children for facts in (child.before, child.after)]
    before = [taken for child in children if (taken := number(child.before, "size")) is not None]
    after = [taken for child in children if (taken := number(child.after, "size")) is not None]
    is_one_file = not any(is_of_another_file(*pair) for pair in pairwise(filter(None, sides)))
    return (before[0], after[-1]) if before and after and is_one_file else (None, None)


def _before(child: ChildJob) -> Facts | None:
    """The facts before its operation, if those after it are of the same file."""
    if child.before is None or child.after is None or is_of_another_file(child.before, child.after):
        return None
    return child.before


def first_error(job: ParentJob, *, short: bool = True) -> str:
    """The first operation with an error and that error, on one line. `short`: cuts it."""
    wrong = [child for child in job.children if child.error and child.reason is not Reason.NOT_NEEDED]
    if not wrong:
        return ""
    first = wrong[0]
    why = effect(first) if is_cut_short(first) else _one_line_error(job, first)
    text = f"{first.operation}: {why}"
    return shortened(text, SHORT_ERROR) if short else text


def error_of(child: ChildJob, target: str) -> str:
    """The error of a child without the path of its target; "" where there is none."""
    return without_target(child.error or "", target)


def without_target(error: str, target: str) -> str:
    """An error without the target at its beginning, which is shown beside it."""
    return error.removeprefix(f"{target}: ").removeprefix(f"{path_of(target)}: ")


def _one_line_error(job: ParentJob, child: ChildJob) -> str:
    return plain(" ".join(error_of(child, job.target).split()))


def done_of(job: ParentJob) -> str:
    """`1/2`: how many children completed or had nothing to do, of how many."""
    done = sum(c.is_complete or c.reason is Reason.NOT_NEEDED for c in job.children)
    return f"{done}/{len(job.children)}"


def _phrases(child: ChildJob) -> Phrases:
    if is_cut_short(child):
        found = _findings_count(findings_counted(child))
        return f"{found} so far, cancelled", f"{found}, cancelled"
    if is_of_a_server(child):
        return phrases(child)
    return _PHRASES[child.operation](child) if child.operation in _PHRASES else ()


def found_damage(child: ChildJob, width: int | None = None) -> str:
    """`3 findings (full)` of a check that failed by its findings; else ""."""
    is_that = child.operation is Operation.CHECK and child.reason is Reason.OPERATION_ERROR
    return effect(child, width) if is_that and findings_counted(child) else ""


def findings_counted(child: ChildJob) -> int:
    """How many findings a check has."""
    check = child.check_result
    return check.findings if check is not None else 0


def is_cut_short(child: ChildJob) -> bool:
    """Whether a check was cancelled after its first finding: it failed and is incomplete."""
    check = child.check_result if child.status is Status.FAILED and child.cancel_requested_at is not None else None
    return check is not None and check.findings > 0 and not check.complete


def step_effect(facts: Facts | None) -> str:
    """`freed 1,000 pages`; a fact without its own words by its name: `moved pages 12`."""
    if facts and not {"size_before", "rows_removed", "rows_lost"}.isdisjoint(facts):
        return step_phrase(facts)
    return ", ".join(filter(None, (_step_fact(name, facts) for name in facts))) if facts else ""


def steps_taken(child: ChildJob) -> str:
    """`9 steps`, or `2/9 steps` if not all were done; "" without steps."""
    done, total = child.progress.steps_done, child.progress.steps_total
    if not total:
        return ""
    return counted(total, "step") if done == total else f"{done:,}/{total:,} steps"


def is_finding(child: ChildJob, line: LogLine) -> bool:
    return child.operation is Operation.CHECK and line.level is LogLevel.ERROR and line.attempt == child.attempt


def is_listed_finding(child: ChildJob, step: Step) -> bool:
    """Whether the error of a step reports findings that the list of findings shows."""
    return step.error_is_finding and step.attempt == child.attempt and bool(findings(child))


def only_found(child: ChildJob) -> bool:
    """Whether a check failed by its findings alone: then its error repeats them."""
    if is_cut_short(child):
        return False
    failed = [step for step in child.steps if step.attempt == child.attempt and step.status is Status.FAILED]
    return bool(failed) and all(is_listed_finding(child, step) for step in failed)


def remedy(child: ChildJob) -> str:
    """What to do about the findings of a check; "" if there is nothing to say."""
    check = child.check_result
    return plain(check.remedy) if check is not None else ""


def findings(child: ChildJob) -> tuple[str, ...]:
    """The findings of a check, a sentence each, from the part of its log that was read."""
    return tuple(line.message for line in child.log if is_finding(child, line))


def _vacuum(child: ChildJob) -> Phrases:
    before, after = number(_before(child), "size"), number(child.after, "size")
    is_done = child.status is Status.COMPLETED or any(step.operation is Operation.VACUUM for step in _steps_done(child))
    if before is None or after is None or not is_done:
        return ()
    if size(before) == size(after):
        return (f"{size(after)} as before", "as before") if child.status is Status.COMPLETED else ()
    value, _, unit = size(before).partition(" ")
    short = f"{value} -> {size(after)}" if size(after).endswith(f" {unit}") else ""
    change = before_and_after(before, after)
    return size_change(before, after), change, *([short] if short else []), f"now {size(after)}", size(after)


def _reindex(child: ChildJob) -> Phrases:
    steps = [step for step in child.steps if step.attempt == child.attempt and step.operation is Operation.REINDEX]
    rebuilt = list(filter(object_name, (name for step in steps for name in step.done)))
    change = _growth(number(_before(child), "index_size"), number(child.after, "index_size"))
    if not rebuilt:
        return (f"indexes {change}", change) if change and child.status is Status.COMPLETED else ()
    return *_shortened_forms(f"{counted(len(rebuilt), 'index')} rebuilt", change), f"{len(rebuilt):,} rebuilt"


def _statistics(child: ChildJob) -> Phrases:
    changed, rows = number(child.after, "changed_stat_rows"), number(child.after, "stat_rows")
    if changed is None:
        return ()
    if not changed:
        return ("statistics unchanged", "unchanged") if child.status is Status.COMPLETED else ()
    of = f" of {rows:,.0f}" if rows is not None and rows >= changed else ""
    return f"{changed:,.0f}{of} statistics changed", f"{changed:,.0f}{of} changed", f"{changed:,.0f} changed"


def _check(child: ChildJob) -> Phrases:
    check = child.check_result
    if check is None or not (check.findings or child.is_complete):
        return ()
    more = "+" if check.findings >= MAX_FINDINGS else ""
    short = f"{check.findings:,}{more} found" if check.findings else "none found"
    count = _findings_count(check.findings)
    return f"{count} ({check.level})", count, short


def _checkpoint(child: ChildJob) -> Phrases:
    written = _decrease(child, "wal_size")
    if written is None or child.status is not Status.COMPLETED:  # its error says how far it got
        return ()
    if not number(_before(child), "wal_size"):
        return "the log was empty", "log was empty"
    return f"{size(written)} of log written back", f"{size(written)} written back", f"{size(written)} back"


def _incremental_vacuum(child: ChildJob) -> Phrases:
    pages, back = number(child.after, FREED_PAGES), _decrease(child, "size")
    if pages is None:  # jobs of old versions
        pages = _decrease(child, "free_pages")
    freed = f"{counted(int(pages), 'page')} freed" if pages is not None else ""
    forms = _shortened_forms(freed, f"{size(back)} back" if back else "")
    return (*forms, f"{pages:,.0f} freed") if pages is not None else forms


def _fts_optimize(child: ChildJob) -> Phrases:
    before, after = number(_before(child), "fts_segments"), number(child.after, "fts_segments")
    if before is None or after is None:
        return ()
    if before == after:
        return (f"{counted(int(after), 'segment')} as before", "as before") if child.status is Status.COMPLETED else ()
    return f"{before:,.0f} -> {counted(int(after), 'segment')}", f"{before:,.0f} -> {after:,.0f}"


def _backup(child: ChildJob) -> Phrases:
    path, written = text(child.after, "backup"), number(child.after, "backup_size")
    if not path or child.status is not Status.COMPLETED:
        return ()
    sized = f"{size(written)} to " if written is not None else "to "
    facts = child.after or {}
    checked = ", checked" if facts.get("backup_checked", not child.warnings) else ""
    equal = ", same contents" if "backup_contents" in facts else ""
    removed = _removed_backups(facts)
    least = f"{size(written)} written" if written is not None else f"to {PurePath(path).name}"
    mode = text(child.after, "backup_journal_mode")
    whole = f"{sized}{path}{checked}{equal}"
    with_mode = f"{whole}, journal mode {mode}" if mode else whole
    longer = [f"{with_mode}, {removed}"] if removed else []
    longer += [with_mode] if mode else []
    return *longer, whole, f"{sized}{path}", f"{sized}{PurePath(path).name}", least


def _has_backup(child: ChildJob) -> bool:
    return child.operation is Operation.BACKUP and bool(_backup(child))


def _removed_backups(facts: Facts) -> str:
    names = facts.get("backups_removed")
    return f"{counted(len(names), 'old backup')} removed" if names and isinstance(names, list | tuple) else ""


_PHRASES: Final[Mapping[Operation, Callable[[ChildJob], Phrases]]] = {
    Operation.VACUUM: _vacuum,
    Operation.ANALYZE: _statistics,
    Operation.REINDEX: _reindex,
    Operation.OPTIMIZE: _statistics,
    Operation.CHECK: _check,
    Operation.CHECKPOINT: _checkpoint,
    Operation.INCREMENTAL_VACUUM: _incremental_vacuum,
    Operation.FTS_OPTIMIZE: _fts_optimize,
    Operation.BACKUP: _backup,
}


def _steps_done(child: ChildJob) -> list[Step]:
    """The completed steps of its last attempt."""
    return [step for step in child.steps if step.attempt == child.attempt and step.status is Status.COMPLETED]


def _decrease(child: ChildJob, name: str) -> float | None:
    """How much a fact shrank; None if that is unknown or it grew."""
    before, after = number(_before(child), name), number(child.after, name)
    return before - after if before is not None and after is not None and before >= after else None


def _shortened_forms(*parts: str) -> Phrases:
    known = [part for part in parts if part]
    return [", ".join(known[:end]) for end in range(len(known), 0, -1)]


def _growth(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ""
    if size(before) == size(after):
        return "as large as before"
    return f"{size(before - after)} smaller" if after < before else f"{size(after - before)} larger"


def _findings_count(number: int) -> str:
    if not number:
        return "no findings"
    return format_findings(number)


_NOT_SHOWN: Final = frozenset(
    {
        "backup_checked",
        "backup_file",
        "backup_source",
        "backups_removed_bytes",
        COURSE,
        EXPECTED,
        TIME_LEFT,
        FILE,
        FOLLOWED,
        GAVE_WAY,
        REPLACED_FILE,
        WAITS,
    }
)
"""Facts of a step that only programs use, or that another line shows."""


def _step_fact(name: str, facts: Facts) -> str:
    value = number(facts, name)
    if value is not None and name == FREED_PAGES:
        return f"freed {counted(int(value), 'page')}"
    if value is not None and name == "findings":
        return _findings_count(int(value))
    if value is not None and name == "written_back":
        return f"{size(value)} of log written back"
    if name == "waited":
        return waited(facts)
    if name == "left":
        return text(facts, name)
    if name == "objects":
        done = facts[name]
        return f"{len(done):,} done" if isinstance(done, list | tuple) else ""
    if name == "backup_contents":
        return "" if "backup" in facts else f"contents {text(facts, name)}"
    if name == "backup_journal_mode":
        return f"journal mode {text(facts, name)}"
    if name == "backups_removed":
        return _removed_backups(facts)
    if name in _NOT_SHOWN:
        return ""
    if name == "backup":
        return f"complete as {text(facts, name)}"
    if value is not None and name == "backup_size":
        return f"{size(value)} written" if "backup" not in facts else ""
    return stated(name, facts)
