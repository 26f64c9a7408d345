"""The search of the history: newest job first, in ranges of ids, each by one statement on one index.

The rarest condition leads: its index gives the ids of a range. The other conditions are tested for each id. So a
statement takes a few milliseconds for any filter, and other reads run in between.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from engine.domain.events import HistoryFilter, reasons_matching
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import OPEN, JobOutcome
from engine.domain.statuses import Status
from engine.store.sqlite.queries import JOB_OUTCOME

FIRST_RANGE: Final = 2_048
"""Ids: enough for a first page unless matches are rare."""
LARGEST_RANGE: Final = 8_192

Query = tuple[str, dict[str, Any]]

RANGE: Final = "BETWEEN :low AND :high"
ALL: Final = f"SELECT id FROM parent_job WHERE id {RANGE}"
FOLDED: Final = f"""SELECT iif(batch_id IS NULL, id, -id) FROM parent_job AS p WHERE id {RANGE}
    AND (batch_id IS NULL
        OR batch_id IS NOT (SELECT batch_id FROM parent_job AS n WHERE n.id > p.id ORDER BY n.id LIMIT 1))"""
"""Single jobs, and of each batch the newest job, negative: the ids of a batch follow each other."""

OLDEST_OF_BATCH: Final = "SELECT min(id) FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = :batch"
NEWEST_OF_BATCH: Final = "SELECT max(id) FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = :batch"
OLDEST: Final = "SELECT min(id) FROM parent_job"
OLDEST_SINCE: Final = "SELECT id FROM parent_job WHERE created_at >= :since ORDER BY created_at, id LIMIT 1"
NEWEST: Final = "SELECT max(id) FROM parent_job"
NEWEST_UNTIL: Final = "SELECT id FROM parent_job WHERE created_at <= :until ORDER BY created_at DESC, id DESC LIMIT 1"

TARGETS: Final = """WITH RECURSIVE known (target) AS (
    SELECT (SELECT min(target) FROM parent_job)
    UNION ALL
    SELECT (SELECT min(target) FROM parent_job WHERE target > known.target) FROM known WHERE target IS NOT NULL)
SELECT target FROM known WHERE target IS NOT NULL"""
"""Every target that ever had a job: one index step each, independent of the number of jobs."""

LEFT_UNDONE: Final = "(status = 'skipped' OR (status = 'completed' AND reason IS NOT NULL))"
"""An operation that was skipped or is partial."""

_STORED: Final = {JobOutcome.UNREACHABLE: Status.FAILED, JobOutcome.INCONSISTENT: Status.FAILED}
"""The stored status of an outcome that has another name."""

COUNT: Final = "SELECT count(*) FROM parent_job"


@frozen
class _Condition:
    """One condition in two forms: as a query of the ids in a range, and as a test of `found.id`."""

    leading: str
    asked: str


def bounds(where: HistoryFilter) -> Query:
    """The oldest and the newest id of a batch and between two times; NULL if there is none. Ids are in time order."""
    asked = {"since": where.since, "until": where.until, "batch": where.batch}
    values = {name: value for name, value in asked.items() if value is not None}
    oldest = [OLDEST_SINCE if "since" in values else OLDEST]
    newest = [NEWEST_UNTIL if "until" in values else NEWEST]
    if "batch" in values:
        oldest.append(OLDEST_OF_BATCH)
        newest.append(NEWEST_OF_BATCH)
    return f"SELECT {_of_all('max', oldest)}, {_of_all('min', newest)}", values


def _of_all(function: str, queries: Sequence[str]) -> str:
    """With one value max() and min() are other functions."""
    each = ", ".join(f"({query})" for query in queries)
    return f"{function}({each})" if len(queries) > 1 else each


def ids_in_range(
    where: HistoryFilter, targets: Sequence[str] | None, *, low: int, high: int, folded: bool = False
) -> Query:
    """The matching ids in a range, unordered, possibly with duplicates. Times are ignored.

    Args:
        targets: those that match the filter; None: all.
        folded: one negative id for each batch, unless the filter is of jobs.
    """
    values: dict[str, Any] = {"low": low, "high": high}
    conditions = _conditions(where, targets, values)
    if not conditions:
        return FOLDED if folded and not where.is_of_jobs else ALL, values
    first, *others = conditions
    asked = "".join(f" AND {condition.asked}" for condition in others)
    return f"SELECT id FROM ({first.leading}) AS found WHERE true{asked}", values


def _conditions(where: HistoryFilter, targets: Sequence[str] | None, values: dict[str, Any]) -> list[_Condition]:
    """The conditions, presumably rarest first."""
    found: list[_Condition] = []
    if where.error_words:
        found.append(_error(where.error_words, values))
    if where.batch is not None:
        values["batch"] = where.batch
        found.append(
            _Condition(
                f"SELECT id FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = :batch AND id {RANGE}",
                "EXISTS (SELECT 1 FROM parent_job AS p WHERE p.id = found.id AND p.batch_id = :batch)",
            )
        )
    if where.schedule is not None:
        values["schedule"] = where.schedule
        found.append(
            _Condition(
                f"SELECT id FROM parent_job INDEXED BY parent_job_schedule WHERE schedule = :schedule AND id {RANGE}",
                "EXISTS (SELECT 1 FROM parent_job AS p WHERE p.id = found.id AND p.schedule = :schedule)",
            )
        )
    if where.status is not None and where.status is not JobOutcome.COMPLETED:
        found.append(_status(where.status, values))
    if targets is not None:
        values["targets"] = json.dumps(list(targets))
        mine = "target IN (SELECT value FROM json_each(:targets))"
        found.append(
            _Condition(
                f"SELECT id FROM parent_job INDEXED BY parent_job_target WHERE {mine} AND id {RANGE}",
                f"EXISTS (SELECT 1 FROM parent_job AS p WHERE p.id = found.id AND p.{mine})",
            )
        )
    if where.operation is not None:
        values["operation"] = where.operation
        found.append(
            _Condition(
                "SELECT parent_id AS id FROM child_job INDEXED BY child_job_operation"
                f" WHERE operation = :operation AND parent_id {RANGE}",
                "EXISTS (SELECT 1 FROM child_job AS c INDEXED BY child_job_operation"
                " WHERE c.operation = :operation AND c.parent_id = found.id)",
            )
        )
    if where.status is JobOutcome.COMPLETED:
        found.append(_status(where.status, values))
    return found


def _error(words: Sequence[str], values: dict[str, Any]) -> _Condition:
    """All words in the error of one operation or in the text of its reason."""
    asked = []
    for number, word in enumerate(words):
        values[f"word{number}"] = f"%{_escaped(word)}%"
        has_word = f"error LIKE :word{number} ESCAPE '\\'"
        if reasons := reasons_matching(word):
            values[f"reasons{number}"] = json.dumps(sorted(reasons))
            has_word = f"({has_word} OR reason IN (SELECT value FROM json_each(:reasons{number})))"
        asked.append(has_word)
    has = " AND ".join(["(error IS NOT NULL OR reason IS NOT NULL)", *asked])
    return _Condition(
        f"SELECT parent_id AS id FROM child_job INDEXED BY child_job_error WHERE {has} AND parent_id {RANGE}",
        f"EXISTS (SELECT 1 FROM child_job INDEXED BY child_job_error WHERE {has} AND parent_id = found.id)",
    )


def _status(outcome: JobOutcome, values: dict[str, Any]) -> _Condition:
    values["status"] = outcome
    is_stored = outcome in {JobOutcome.FAILED, JobOutcome.CANCELLED}
    has = f"p.id = found.id AND {'p.status' if is_stored else JOB_OUTCOME} = :status"
    asked = f"EXISTS (SELECT 1 FROM parent_job AS p WHERE {has})"
    if outcome in OPEN:
        ids = f"SELECT id FROM parent_job INDEXED BY parent_job_open WHERE finished_at IS NULL AND id {RANGE}"
    elif outcome in {JobOutcome.SKIPPED, JobOutcome.PARTIAL}:
        ids = (
            "SELECT parent_id AS id FROM child_job INDEXED BY child_job_skipped"
            f" WHERE {LEFT_UNDONE} AND parent_id {RANGE}"
        )
    else:
        values["stored"] = _STORED.get(outcome, outcome)
        ids = (
            "SELECT id FROM parent_job INDEXED BY parent_job_status"
            f" WHERE status = :stored AND finished_at IS NOT NULL AND id {RANGE}"
        )
    return _Condition(ids if is_stored else f"SELECT id FROM ({ids}) AS found WHERE {asked}", asked)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
