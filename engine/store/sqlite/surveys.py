"""The surveys in the store: the last inspection of each target."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from engine.domain.requests import EngineName
from engine.domain.statuses import Status
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, LastJob, Survey, SurveyCause, SurveyReason
from engine.store.row_checks import UnsoundRowError, checked, checked_facts, sound
from engine.store.rows import Row, storable
from engine.store.sqlite.queries import BY_WINDOW

AT_A_TIME: Final = 1_000
KEPT: Final = 365 * 86_400 * 1_000_000
"""Microseconds."""
_COLUMNS: Final = ("target", "engine", "surveyed_at", "level", "reason", "size", "reclaimable", "checked_at", "facts")
SURVEYS: Final = f"""SELECT {", ".join(_COLUMNS)} FROM survey
WHERE target IN (SELECT value FROM json_each(:targets))"""
ALL_SURVEYS: Final = f"SELECT {', '.join(_COLUMNS)} FROM survey ORDER BY target"
LAST_JOBS: Final = f"""SELECT wanted.value, p.id, p.status, p.finished_at,
    (SELECT max(ran_at) FROM last_run WHERE target = wanted.value),
    (SELECT json_group_array(json_array(id, EXISTS (
            SELECT 1 FROM child_job AS c WHERE c.parent_id = r.id AND c.reason IN ({BY_WINDOW}))))
        FROM (SELECT id FROM parent_job INDEXED BY parent_job_target
            WHERE target = wanted.value AND started_at IS NOT NULL AND EXISTS (
                SELECT 1 FROM child_job AS c WHERE c.parent_id = parent_job.id AND c.started_at IS NOT NULL
                    AND (c.status <> 'skipped' OR coalesce(c.reason, '') NOT IN ({BY_WINDOW})))
            ORDER BY id DESC LIMIT 2) AS r)
FROM json_each(:targets) AS wanted
JOIN parent_job AS p ON p.id = (SELECT max(id) FROM parent_job WHERE target = wanted.value)"""


def of_targets(targets: Collection[str]) -> Iterator[dict[str, Any]]:
    """The values of both queries, for some targets after the others: the rows of very many take memory."""
    left = iter(targets)
    while some := list(islice(left, AT_A_TIME)):
        yield {"targets": json.dumps([storable(target) for target in some])}


def save(connection: sqlite3.Connection, surveys: Iterable[Survey], at: Micros) -> None:
    """Replace the surveys of these targets, and remove those of targets not seen for long."""
    connection.execute("DELETE FROM survey WHERE surveyed_at < ?", (at - KEPT,))
    connection.executemany(
        f"INSERT OR REPLACE INTO survey ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_row(survey) for survey in surveys],
    )


def _row(survey: Survey) -> tuple[Any, ...]:
    facts = {
        "reasons": [[one.level, one.cause, dict(one.facts)] for one in survey.reasons],
        "version": survey.version,
        "state": survey.state,
    }
    return (
        storable(survey.target),
        survey.engine,
        survey.surveyed_at,
        survey.level,
        survey.reason and survey.reason.cause,
        survey.size,
        survey.reclaimable,
        survey.checked_at,
        storable(json.dumps(facts)),
    )


def decoded(rows: Iterable[Row]) -> dict[str, Survey]:
    """By target. A row that dbtend would not write is left out: the target is surveyed again."""
    found = {}
    for row in rows:
        try:
            survey = _decode(row)
        except UnsoundRowError:
            continue
        found[survey.target] = survey
    return found


def _decode(row: Row) -> Survey:
    values = checked(dict(zip(_COLUMNS, row, strict=True)))
    with sound("a survey"):
        facts = json.loads(values["facts"])
        return Survey(
            target=values["target"],
            engine=EngineName(values["engine"]),
            surveyed_at=values["surveyed_at"],
            level=FleetLevel(values["level"]),
            reasons=tuple(
                SurveyReason(FleetLevel(level), SurveyCause(cause), checked_facts(of_reason))
                for level, cause, of_reason in facts["reasons"]
            ),
            version=sys.intern(str(facts["version"])),
            size=values["size"],
            reclaimable=values["reclaimable"],
            checked_at=values["checked_at"],
            state=str(facts["state"]),
        )


def decoded_last_jobs(rows: Iterable[Row]) -> dict[str, LastJob | None]:
    """By target; None for a row that dbtend would not write: there is a job, and nothing is known of it."""
    found: dict[str, LastJob | None] = {}
    for target, *values in rows:
        try:
            found[target] = _decode_last_job(*values)
        except UnsoundRowError:
            found[target] = None
    return found


def _decode_last_job(parent_id: Any, status: Any, finished_at: Any, ran_until: Any, runs: Any) -> LastJob:
    for at in (finished_at, ran_until):
        checked({"id": parent_id, "finished_at": at})
    with sound(f"job #{parent_id}"):
        newest, before = [*json.loads(runs), (0, 0), (0, 0)][:2]
        turn = before[0] if newest[1] else newest[0]
        return LastJob(parent_id, Status(status), finished_at, ran_until, turn)
