"""Rows of surveys and of last jobs to values and back: pure functions for all stores."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

from engine.domain.engines import EngineName
from engine.domain.job_outcomes import JobOutcome
from engine.domain.surveys import FleetLevel, LastJob, Survey, SurveyCause, SurveyReason
from engine.store.row_checks import UnsoundRowError, checked, checked_facts, sound
from engine.store.rows import Row, storable

COLUMNS: Final = ("target", "engine", "surveyed_at", "level", "reason", "size", "reclaimable", "checked_at", "facts")
KEPT: Final = 365 * 86_400 * 1_000_000
"""Microseconds."""


def encode_survey(survey: Survey) -> tuple[Any, ...]:
    facts = {
        "reasons": [[reason.level, reason.cause, dict(reason.facts)] for reason in survey.reasons],
        "version": survey.version,
        "state": survey.state,
        "is_unclean": survey.is_unclean,
        "figures_at": survey.figures_at,
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


def decoded_surveys(rows: Iterable[Row]) -> dict[str, Survey]:
    """Surveys by target. A row that dbtend would not write is left out: the target is surveyed again."""
    surveys = {}
    for row in rows:
        try:
            survey = _decode(row)
        except UnsoundRowError:
            continue
        surveys[survey.target] = survey
    return surveys


def _decode(row: Row) -> Survey:
    values = checked(dict(zip(COLUMNS, row, strict=True)))
    with sound("a survey"):
        facts = json.loads(values["facts"])
        return Survey(
            target=values["target"],
            engine=EngineName.stored(values["engine"]),
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
            is_unclean=facts.get("is_unclean") is True,
            figures_at=checked({"figures_at": facts.get("figures_at")})["figures_at"],
        )


def decoded_last_jobs(rows: Iterable[Row]) -> dict[str, LastJob | None]:
    """The last job by target; None for a row that dbtend would not write: there is a job, but it is unknown."""
    last_jobs: dict[str, LastJob | None] = {}
    for target, *values in rows:
        try:
            last_jobs[target] = _decode_last_job(*values)
        except UnsoundRowError:
            last_jobs[target] = None
    return last_jobs


def _decode_last_job(parent_id: Any, outcome: Any, finished_at: Any, ran_until: Any, runs: Any) -> LastJob:
    for at in (finished_at, ran_until):
        checked({"id": parent_id, "finished_at": at})
    with sound(f"job #{parent_id}"):
        newest, before = [*json.loads(runs), (0, 0), (0, 0)][:2]
        turn = before[0] if newest[1] else newest[0]
        return LastJob(parent_id, JobOutcome(outcome), finished_at, ran_until, turn)
