"""The search of the history in the shared store: newest job first, in ranges of ids, each by one statement.

The ranges grow: a first page is found among the newest ids, and a rare match needs few round trips.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine.domain.events import HistoryFilter, reasons_matching
from engine.domain.job_outcomes import OPEN, JobOutcome
from engine.domain.statuses import Status
from engine.store.postgres.queries import JOB_OUTCOME

FIRST_RANGE: Final = 2_048
LARGEST_RANGE: Final = 262_144
"""Ids."""

Query = tuple[str, dict[str, Any]]

_FOLDED: Final = """SELECT CASE WHEN batch_id IS NULL THEN id ELSE -id END FROM parent_job AS p
WHERE id BETWEEN %(low)s AND %(high)s AND (batch_id IS NULL OR batch_id IS DISTINCT FROM (
    SELECT batch_id FROM parent_job AS n WHERE n.id > p.id ORDER BY n.id LIMIT 1))"""
"""Single jobs, and of each batch the newest job, negative: the ids of a batch follow each other."""
_CHILD: Final = "EXISTS (SELECT FROM child_job AS c WHERE c.parent_id = p.id AND {0})"
_LEFT_UNDONE: Final = "(c.status = 'skipped' OR (c.status = 'completed' AND c.reason IS NOT NULL))"
"""An operation that was skipped or is partial."""

TARGETS: Final = """WITH RECURSIVE known (target) AS (
    (SELECT min(target) FROM parent_job)
    UNION ALL
    SELECT (SELECT min(p.target) FROM parent_job AS p WHERE p.target > known.target)
    FROM known WHERE target IS NOT NULL)
SELECT target FROM known WHERE target IS NOT NULL"""
"""Every target that ever had a job: one index step each, independent of the number of jobs."""
COUNT: Final = "SELECT count(*) FROM parent_job"


def bounds(where: HistoryFilter) -> Query:
    """The oldest and the newest id of a batch and between two times; NULL if there is none. Ids are in time order."""
    asked = {"since": where.since, "until": where.until, "batch": where.batch}
    values = {name: value for name, value in asked.items() if value is not None}
    of_batch = "WHERE batch_id = %(batch)s" if "batch" in values else ""
    oldest, newest = [f"SELECT min(id) FROM parent_job {of_batch}"], [f"SELECT max(id) FROM parent_job {of_batch}"]
    if "since" in values:
        oldest.append("SELECT id FROM parent_job WHERE created_at >= %(since)s ORDER BY created_at, id LIMIT 1")
    if "until" in values:
        newest.append(
            "SELECT id FROM parent_job WHERE created_at <= %(until)s ORDER BY created_at DESC, id DESC LIMIT 1"
        )
    # greatest() and least() would ignore a NULL: nothing is since then.
    return f"SELECT {_of_all('greatest', oldest)} AS oldest, {_of_all('least', newest)} AS newest", values


def _of_all(function: str, queries: Sequence[str]) -> str:
    each = [f"({query})" for query in queries]
    if len(each) == 1:
        return each[0]
    return f"CASE WHEN {each[1]} IS NOT NULL THEN {function}({', '.join(each)}) END"


def first_range(
    where: HistoryFilter, targets: Sequence[str] | None, *, newest_id: int, folded: bool, newest: int | None
) -> Query:
    """`bounds`, and an array of the `ids_in_range` of the first range up to `newest_id`, in one round trip."""
    ends, values = bounds(where)
    ids, more = ids_in_range(where, targets, low=0, high=newest_id, folded=folded, newest=newest)
    high = "least(ends.newest, %(high)s)"
    ids = ids.replace("%(high)s", high).replace("%(low)s", f"greatest(ends.oldest, {high} - {FIRST_RANGE - 1})")
    return f"SELECT oldest, newest, ARRAY({ids}) FROM ({ends}) AS ends", {**values, **more}


def ids_in_range(
    where: HistoryFilter,
    targets: Sequence[str] | None,
    *,
    low: int,
    high: int,
    folded: bool = False,
    newest: int | None = None,
) -> Query:
    """The matching ids in a range, unordered. Times are ignored.

    Args:
        targets: those that match the filter; None: all.
        folded: one negative id for each batch, unless the filter is of jobs.
        newest: so many at most, the newest of single jobs; None: all.
    """
    values: dict[str, Any] = {"low": low, "high": high}
    conditions = _conditions(where, targets, values)
    if not conditions and folded and not where.is_of_jobs:
        return _FOLDED, values
    asked = "".join(f" AND {condition}" for condition in conditions)
    if newest is not None:
        values["newest"] = newest
        asked += " ORDER BY p.id DESC LIMIT %(newest)s"
    return f"SELECT p.id FROM parent_job AS p WHERE p.id BETWEEN %(low)s AND %(high)s{asked}", values


def _conditions(where: HistoryFilter, targets: Sequence[str] | None, values: dict[str, Any]) -> list[str]:
    found = []
    if targets is not None:
        values["targets"] = list(targets)
        found.append("p.target = ANY (%(targets)s)")
    if where.batch is not None:
        values["batch"] = where.batch
        found.append("p.batch_id = %(batch)s")
    if where.schedule is not None:
        values["schedule"] = where.schedule
        found.append("p.schedule = %(schedule)s")
    if where.status is not None:
        found.append(_status(where.status, values))
    if where.operation is not None:
        values["operation"] = where.operation
        found.append(_CHILD.format("c.operation = %(operation)s"))
    if where.error_words:
        found.append(_CHILD.format(_error(where.error_words, values)))
    return found


def _status(outcome: JobOutcome, values: dict[str, Any]) -> str:
    """An index leads to the jobs that may have an outcome."""
    values["status"] = outcome
    if outcome in OPEN:
        return f"p.finished_at IS NULL AND {JOB_OUTCOME} = %(status)s"
    if outcome in {JobOutcome.FAILED, JobOutcome.CANCELLED}:
        return "p.status = %(status)s AND p.finished_at IS NOT NULL"
    is_failed = outcome in {JobOutcome.UNREACHABLE, JobOutcome.INCONSISTENT}
    values["stored"] = Status.FAILED if is_failed else Status.COMPLETED
    is_so = f"p.status = %(stored)s AND p.finished_at IS NOT NULL AND {JOB_OUTCOME} = %(status)s"
    left = _CHILD.format(_LEFT_UNDONE)
    return f"{is_so} AND {left}" if outcome in {JobOutcome.SKIPPED, JobOutcome.PARTIAL} else is_so


def _error(words: Sequence[str], values: dict[str, Any]) -> str:
    """All words in the error of one operation or in the text of its reason."""
    asked = ["(c.error IS NOT NULL OR c.reason IS NOT NULL)"]
    for number, word in enumerate(words):
        values[f"word{number}"] = f"%{_escaped(word)}%"
        has_word = f"""c.error COLLATE "C" ILIKE %(word{number})s"""
        if reasons := reasons_matching(word):
            values[f"reasons{number}"] = sorted(reasons)
            has_word = f"({has_word} OR c.reason = ANY (%(reasons{number})s))"
        asked.append(has_word)
    return " AND ".join(asked)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
