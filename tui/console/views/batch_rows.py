"""A batch in the job tree and in the history: one row with counts, and its details."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from engine import ParentJob, Status
from engine.domain.batches import Batch, BatchId
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome, outcome_of
from tui.console.keymap import key_of
from tui.console.views.line import Line, Role, Span, both_ends, fit, line, named, span_cells, wrapped
from tui.presentation.batch_summary import TROUBLE, given_back, not_submitted, targets_in
from tui.presentation.effect_summary import first_error
from tui.presentation.text import counted, local_time, plain, size

SHOWN: Final = 8
"""The jobs of a larger batch are shown only if they run or failed."""
_NAMED: Final = 20
"""Failed jobs that the detail names, at most."""
_MORE: Final[Span] = (", …", Role.DIM)
_ROLES: Final = {
    JobOutcome.UNREACHABLE: Role.FAILED,
    JobOutcome.INCONSISTENT: Role.FAILED,
    JobOutcome.PARTIAL: Role.COMPLETED,
    JobOutcome.INTERRUPTED: Role.PENDING,
}
_WORDS: Final = {JobOutcome.PENDING: "waiting"}


@frozen
class BatchRestKey:
    """The key of the line that counts the jobs of a batch that are not shown."""

    batch_id: int


def batch_row(batch: Batch, *, expanded: bool | None, width: int) -> Line:
    """`► b17  300 targets  298 completed, 1 failed, 1 unreachable`; what failed first if not all fits.

    `expanded`: None: it cannot be unfolded here.
    """
    marker = "" if expanded is None else "▼ " if expanded else "► "
    head: list[Span] = [
        (f"{marker}{BatchId(batch.id)}", Role.DIM),
        (f"  {targets_in(batch)}  ", Role.STRONG),
    ]
    room = width - span_cells(head)
    return Line(both_ends((*head, *counts_in(batch, room)), (), width).spans, BatchId(batch.id))


def counts_in(batch: Batch, room: int) -> list[Span]:
    """The counts in their order; if not all fit, first what failed, and those that fit whole."""
    found = batch.counts
    whole = _counts(found)
    if span_cells(whole) <= room:
        return whole
    ordered = sorted(found, key=lambda outcome: outcome not in TROUBLE)
    parts = ([*_counts({o: found[o] for o in ordered[:number]}), _MORE] for number in range(len(ordered) - 1, 0, -1))
    return next((part for part in parts if span_cells(part) <= room), _counts({ordered[0]: found[ordered[0]]}))


def _counts(found: Mapping[JobOutcome, int]) -> list[Span]:
    spans: list[Span] = []
    for outcome, number in found.items():
        role = _ROLES.get(outcome) or Role(outcome.value)
        spans += [(", ", Role.DIM)] if spans else []
        spans.append((f"{number:,} {_WORDS.get(outcome, outcome.value)}", role))
    return spans


def has_row(batch: Batch, job: ParentJob) -> bool:
    """Whether a job has a row of its own where its batch is unfolded."""
    return batch.total <= SHOWN or job.status in {Status.RUNNING, Status.FAILED}


def jobs_to_show(batch: Batch, known: Collection[ParentJob]) -> list[ParentJob]:
    """All jobs of a small batch, in order; of a large one the running and then the failed ones."""
    ordered = [job for job in sorted(known, key=lambda job: job.id) if has_row(batch, job)]
    if batch.total <= SHOWN:
        return ordered
    running = [job for job in ordered if job.status is Status.RUNNING]
    return [*running, *(job for job in ordered if job.status is Status.FAILED)]


def rest_row(batch: Batch, shown: Sequence[ParentJob], width: int) -> Line | None:
    """`     290 more: 288 completed, 2 waiting`; None: all are shown."""
    left = Counter(batch.counts)
    left.subtract(map(outcome_of, shown))
    more = sum(left.values())
    if more <= 0:
        return None
    parts = ", ".join(f"{left[o]:,} {_WORDS.get(o, o.value)}" for o in JobOutcome if left[o] > 0)
    return Line(((fit(f"      {more:,} more: {parts}", width), Role.DIM),), BatchRestKey(batch.id))


def batch_detail(batch: Batch, known: Collection[ParentJob], name_of: Callable[[str], str], width: int) -> list[Line]:
    """What became of a batch: when, its rules, the counts, and why each job of it failed."""
    lines = [batch_row(batch, expanded=None, width=width)]
    counts = "".join(text for text, _ in _counts(batch.counts))
    lines += [] if lines[0].text.rstrip().endswith(counts) else wrapped(counts, width)
    facts = [f"submitted {local_time(batch.created_at)}"]
    facts += [f"repeats {BatchId(batch.retry_of)}"] if batch.retry_of is not None else []
    options = batch.options
    facts += [f"stops after {counted(options.max_failures, 'failure')}"] if options.max_failures is not None else []
    facts += [f"{counted(options.canary, 'canary target')} first"] if options.canary is not None else []
    facts += [f"at most {options.max_per_host} on one server"] if options.max_per_host is not None else []
    back = given_back(list(known)) if len(known) == batch.total else 0
    facts += [f"{size(back)} given back"] if size(back) != size(0) else []
    lines += [*wrapped(", ".join(facts), width, Role.DIM), line()]
    if batch.unsubmitted:
        why = not_submitted(batch, lambda of: f"{key_of('retry')} on {of}")
        lines[-1:] = [*wrapped(why, width, Role.WARNING), line()]
    failed = [job for job in sorted(known, key=lambda job: job.id) if job.status is Status.FAILED]
    for job in failed[:_NAMED]:
        number, word = f"#{job.id} ", f"  {outcome_of(job)}"
        lines.append(line((number, Role.DIM), *named(name_of(job.target), width - len(number + word)), word))
        lines += wrapped(plain(first_error(job)), width, Role.FAILED, indent=2)
    more = sum(batch.counts.get(outcome, 0) for outcome in TROUBLE) - min(len(failed), _NAMED)
    if more > 0:
        lines += wrapped(
            f"and {more:,} more that failed: enter below the row of the batch lists them", width, Role.FAILED
        )
    return lines
