"""The findings of a check, and the damaged object: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg

from engine.domain.effects import CheckResult
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.requests import CheckLevel
from engine.domain.statuses import Status
from engine.targets.check_results import CHECK_AGAIN, REBUILD_INDEXES, check_result
from engine.targets.postgres.connection import errors
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.reading.amcheck import CountedBy, TruncatedFile
from engine.targets.postgres.running.statement import Answer
from engine.targets.step_execution import StepResult


@frozen
class DamagedObject:
    """A damaged table or index."""

    name: str
    is_index: bool


def damaged_object(step: PgStep, uncompared: Answer | None = None) -> DamagedObject:
    """What an error that reports damage is about: the step's own object, or the table that an index is compared with.

    `uncompared`: the answer to a check of the index alone. If that finds no damage, the table is damaged.
    """
    if step.subject is None or not step.subject.is_index:
        return DamagedObject(step.object, is_index=False)
    if uncompared is not None and (uncompared.error is None or not errors.reports_damage(uncompared.error)):
        return DamagedObject(step.subject.table, is_index=False)
    return DamagedObject(step.object, is_index=True)


def may_blame_table(step: PgStep, error: psycopg.Error) -> bool:
    """Whether the error of an index check may come from its table: amcheck itself did not raise it."""
    is_verdict = (error.diag.source_file or "").startswith("verify_")
    return bool(step.uncompared_command) and step.subject is not None and step.subject.is_index and not is_verdict


def finding_of_error(step: PgStep, error: psycopg.Error, damaged: DamagedObject) -> StepResult:
    """The result of a check that the server aborted because of damage."""
    while_reading = "" if damaged.name == step.object else f" (found while {step.object} was compared with it)"
    finding = f"{damaged.name}: {errors.message_with_detail(error)}{while_reading}"
    return check_result([finding])


def with_truncated_files(step: PgStep, result: StepResult, lost: Sequence[TruncatedFile]) -> StepResult:
    """Add truncated files, which amcheck does not find. Where another cause is possible, or a person has taken note of
    it, it is a warning."""
    certain, warnings = list[str](), list[str]()
    for file in lost:
        is_accepted = file.is_among(step.accepted_files)
        found = certain if file.counted_by is CountedBy.THIS_SERVER and not is_accepted else warnings
        found.append(file.as_text(step.object) + (" (a person took note of that)" if is_accepted else ""))
    if certain:
        result = check_result([*result.findings, *certain])
    return replace(result, warnings=(*result.warnings, *warnings))


def findings_in_rows(step: PgStep, answer: Answer) -> StepResult:
    return check_result([f"{step.object}: block {block}, row {row}: {message}" for block, row, message in answer.rows])


def remedy(indexes: Sequence[str], tables: Sequence[str]) -> str:
    """What to do about the findings; "" if there are none."""
    if tables:
        several = len(tables) > 1
        return (
            f"{listed(tables, 3)} {'are' if several else 'is'} damaged, and no operation puts that right: restore"
            f" {'them' if several else 'it'} from a backup. Without one, save with pg_dump what can still be read, then"
            " remove the damaged rows with the extension pg_surgery (heap_force_kill). Examine the"
            f" disk and the memory of the server. {CHECK_AGAIN}"
        )
    if indexes:
        return f"{REBUILD_INDEXES} {CHECK_AGAIN}"
    return ""


class Checks:
    """The findings of one check operation so far."""

    def __init__(self, level: CheckLevel, planned: int) -> None:
        self._level, self._planned = level, planned
        self._indexes: dict[str, str] = {}
        """By the name of an index its table."""
        self._tables: dict[str, None] = {}
        self._damage: str | None = None
        self._doubtful: set[str] = set()
        """Tables with damage in something that other checks compare with."""
        self._through = self._findings = 0
        self._only_indexes = True

    def command_of(self, step: PgStep) -> str:
        """The command of a step, without the comparison if the other side is known to be damaged."""
        return step.uncompared_command if step.uncompared_command and self.is_doubtful(step) else step.command

    def is_doubtful(self, step: PgStep) -> bool:
        return step.subject is not None and step.subject.table in self._doubtful

    def add(self, step: PgStep, result: StepResult, damaged: DamagedObject) -> None:
        table = step.subject.table if step.subject is not None else step.object
        # A dropped object is skipped, and counts as checked.
        self._through += result.status in {Status.COMPLETED, Status.SKIPPED} or bool(result.findings)
        self._findings += len(result.findings)
        self._only_indexes = self._only_indexes and not step.reads_whole_table
        if not result.findings:
            return
        if damaged.is_index:
            self._indexes[damaged.name] = table
        else:
            self._tables[table] = None
            self._damage = self._damage or result.findings[0]
        if step.is_compared_with or not damaged.is_index:
            self._doubtful.add(table)

    def not_compared(self, step: PgStep) -> str:
        """A warning that a clean object was not compared with a damaged one; "" if it was compared."""
        if not (step.uncompared_command and step.subject is not None and self.is_doubtful(step)):
            return ""
        other = "its table" if step.subject.is_index else "its TOAST table"
        return f"{step.object} was not compared with {other}, where damage was found"

    def result(self) -> CheckResult:
        tables, indexes = tuple(self._tables), tuple(self._indexes)
        return CheckResult(
            findings=self._findings,
            level=self._level,
            complete=self._through >= self._planned,
            damage=self._damage,
            remedy=remedy(indexes, tables),
            damaged_indexes=indexes,
            index_tables=tuple(self._indexes.values()),
            damaged_tables=tables,
            only_indexes=self._only_indexes,
        )
