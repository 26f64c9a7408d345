"""The surveys in the store: the last inspection of each target."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from engine.domain.steps import Micros
from engine.domain.surveys import Survey, SurveyCause
from engine.store.rows import storable
from engine.store.sqlite.queries import BY_WINDOW, JOB_OUTCOME
from engine.store.survey_rows import COLUMNS, KEPT, encode_survey

AT_A_TIME: Final = 1_000
SURVEYS: Final = f"""SELECT {", ".join(COLUMNS)} FROM survey
WHERE target IN (SELECT value FROM json_each(:targets))"""
ALL_SURVEYS: Final = f"SELECT {', '.join(COLUMNS)} FROM survey ORDER BY target"
KNOWN: Final = """SELECT target FROM survey WHERE size > 0
UNION SELECT target FROM last_run WHERE completed_at IS NOT NULL"""
LAST_JOBS: Final = f"""SELECT wanted.value, p.id, {JOB_OUTCOME}, p.finished_at,
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
    surveys = list(surveys)
    # Who was told that it is gone is told what is critical once it is back.
    connection.executemany(
        "DELETE FROM told_critical WHERE target = ?1"
        " AND EXISTS (SELECT 1 FROM survey WHERE target = ?1 AND reason = 'gone')",
        [
            (storable(survey.target),)
            for survey in surveys
            if survey.reason is None or survey.reason.cause is not SurveyCause.GONE
        ],
    )
    connection.executemany(
        f"INSERT OR REPLACE INTO survey ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [encode_survey(survey) for survey in surveys],
    )


def forget(connection: sqlite3.Connection, targets: Iterable[str]) -> None:
    """Remove all that is known of these targets apart from their jobs."""
    stored = [(storable(target),) for target in targets]
    for table in ("survey", "measured", "last_run", "told_critical", "damage", "database_name"):
        connection.executemany(f"DELETE FROM {table} WHERE target = ?", stored)
