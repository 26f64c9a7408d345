"""The history as CSV (RFC 4180), with a line for each operation: pure."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from typing import Any, Final

from engine import ChildJob, ParentJob
from engine.domain.batches import BatchId
from engine.domain.job_outcomes import child_outcome
from engine.domain.jobs import run_duration
from tui.presentation.fact_format import number
from tui.presentation.text import plain, rfc3339

COLUMNS: Final = (
    *("job", "batch", "schedule", "target", "name", "engine", "operation", "status", "reason", "created_at"),
    *("started_at", "finished_at", "duration", "size_before", "size_after", "left", "warnings", "error", "outcome"),
)
_OBEYED: Final = ("=", "+", "-", "@")
"""With which a cell begins that a spreadsheet takes for a formula."""


def head() -> str:
    return _text([COLUMNS])


def lines(jobs: Iterable[ParentJob], named: Callable[[str], str]) -> str:
    """`named`: the name of a target."""
    return _text(row for job in jobs for row in _rows(job, named))


def _text(rows: Iterable[Sequence[Any]]) -> str:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _rows(job: ParentJob, named: Callable[[str], str]) -> Iterator[Sequence[Any]]:
    for child in job.children:
        yield (
            str(child.id),
            "" if job.batch is None else str(BatchId(job.batch)),
            _cell(job.schedule),
            _cell(job.target),
            _cell(named(job.target)),
            job.engine,
            child.operation.value,
            child.status.value,
            child.reason.value if child.reason else "",
            rfc3339(job.created_at),
            rfc3339(child.started_at),
            rfc3339(child.finished_at),
            _seconds(child),
            number(child.before, "size"),
            number(child.after, "size"),
            child.left,
            len(child.warnings),
            _cell(child.error),
            child_outcome(child).value,
        )


def _seconds(child: ChildJob) -> float | None:
    return None if child.finished_at is None else run_duration(child, child.finished_at)


def _cell(untrusted: str | None) -> str:
    """Text that neither a terminal nor a spreadsheet obeys."""
    text = plain(untrusted or "")
    return f"'{text}" if text.startswith(_OBEYED) else text
