"""The result of a command for several tables: pure."""

from __future__ import annotations

from dataclasses import replace

from engine.domain.requests import Options
from engine.domain.statuses import Status
from engine.targets.postgres.planning.grouping import grouped
from engine.targets.postgres.planning.operation_steps import FEW, vacuum_steps
from engine.targets.postgres.reading.relations import Table
from engine.targets.postgres.running.groups import divided
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.step_execution import StepResult

TINY = Table(1, "public", "tiny", "r", 5, 500.0, 4, 2, False, False, True, None)
TABLES = [replace(TINY, oid=number, name=f"tiny{number}") for number in range(1, FEW + 2)]


def test_a_table_that_is_skipped_in_another_language_is_no_warning_and_follows_alone() -> None:
    group = grouped(vacuum_steps(TABLES, Options(), 170_000, {}))[0]
    first, *others = group.members
    skipped = Notice("WARNING", f"saute le VACUUM de « {first.object} »", sqlstate="55P03")
    general = Notice("WARNING", "une limite est loin dans le passé", sqlstate="01000")
    oids = [one.subject.oid for one in others if one.subject is not None]
    answer = Answer(notices=[skipped, general, general])
    found = divided(group, answer, oids, StepResult(status=Status.SKIPPED, warnings=("x",)), is_cancelled=False)
    assert (found.status, found.error, found.warnings) == (Status.COMPLETED, None, (general.message,))
    assert found.instead == (first,)
    assert len((found.effect or {})["objects"]) == len(others)  # type: ignore[arg-type]
