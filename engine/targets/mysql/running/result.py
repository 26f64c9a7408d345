"""The result of a step, from the rows or the error that the server answers with: pure functions.

ANALYZE, CHECK and REPAIR never fail: what went wrong is in rows of table, operation, kind of message and message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import pymysql

from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.domain.masking import masked
from engine.domain.statuses import Reason, Status
from engine.targets.check_results import CHECK_UNFINISHED, check_result
from engine.targets.mysql.connection.errors import (
    DAMAGED,
    DEADLOCK,
    DENIED,
    INTERRUPTED,
    IS_READ_ONLY,
    LOCK_TIMEOUT,
    NO_RIGHT,
    NO_SUCH_TABLE,
    NO_TABLE,
    NOT_SUPPORTED,
    explain,
    number_of,
    reason_of,
    server_message,
)
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.planning.operation_specs import BLOCKS_WRITERS
from engine.targets.mysql.planning.rights import NEEDED, to_grant
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.running.statement import Answer
from engine.targets.step_execution import DONE_OR_UNCHANGED, NOTHING_CHANGED, StepResult

Row = tuple[str | None, ...]

# The session speaks English, and rows have no error numbers.
_ERRORS: Final = {
    INTERRUPTED: re.compile(r"^Query execution was interrupted|^Connection was killed"),
    LOCK_TIMEOUT: re.compile(r"^Lock wait timeout exceeded"),
    DEADLOCK: re.compile(r"^Deadlock found"),
    NO_SUCH_TABLE: re.compile(r"^Table '.*' doesn't exist$|^Unknown table ", re.DOTALL),
    DENIED: re.compile(r"command denied to user|^Access denied"),
    IS_READ_ONLY: re.compile(r"is running with the --(super-)?read-only option"),
}
"""The messages that say the same as these errors."""
_NOT_SUPPORTED: Final = re.compile(r"doesn't support (check|analyze|repair|optimize)")
_DONE_OTHERWISE: Final = re.compile(r"doing recreate \+ analyze instead")
_ROWS_CHANGED: Final = re.compile(r"^Number of rows changed from (\d{1,18}) to (\d{1,18})$")
_NO_HISTOGRAM: Final = re.compile(r"^Engine-independent statistics are not collected for column")
_WELL: Final = re.compile(
    r"^(OK|Table is (already )?up to date|Engine-independent statistics collected"
    r"|Histogram statistics created for column '.*'\.)$",
    re.DOTALL,
)
NO_HISTOGRAMS: Final = "the statistics are new, but new histograms may be missing"
"""The effect of an ANALYZE that ended after its first command."""
GONE: Final = "it no longer exists: another session dropped it"


@frozen
class Verdict:
    """What the rows about one table say."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    statuses: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether it was done, and nothing was found."""
        return not self.errors and bool(self.statuses) and all(_WELL.match(status) for status in self.statuses)

    def says(self, what: re.Pattern[str]) -> str:
        """The first message like that; "" for none."""
        messages = (*self.errors, *self.statuses, *self.warnings, *self.notes)
        return next((message for message in messages if what.search(message)), "")


def verdict(rows: Sequence[Row]) -> Verdict:
    by_kind: dict[str, list[str]] = {}
    for row in rows:
        kind, message = (row[2] or "").lower(), "".join(filter(str.isprintable, row[3] or ""))
        by_kind.setdefault(kind, []).append(masked(message))
    known_kinds = ("error", "warning", "note", "info", "status")
    # A kind of message that is not known may be a failure.
    errors = [
        message
        for kind, messages in by_kind.items()
        if kind == "error" or kind not in known_kinds
        for message in messages
    ]
    notes = [*by_kind.get("note", ()), *by_kind.get("info", ())]
    # A row with other columns is no verdict.
    return Verdict(tuple(errors), tuple(by_kind.get("warning", ())), tuple(notes), tuple(by_kind.get("status", ())))


def said_of_killed(rows: Sequence[Row], flavor: Flavor) -> str:
    """What a check says, where the server says the same of one that was killed; else "".

    MariaDB says OK of a table of InnoDB. Both say no more than Corrupt of one of MyISAM or Aria, which stays well.
    """
    found = verdict(rows)
    if flavor is Flavor.MARIADB and found.is_well:
        return found.statuses[0]
    said = (*found.errors, *found.warnings, *found.statuses)
    return said[0] if said == ("Corrupt",) else ""


def error_of(answer: Answer) -> pymysql.MySQLError | None:
    """The error of a command. The server may tell it in a row of its answer."""
    if answer.error is not None or any(len(row) != 4 for row in answer.rows):
        return answer.error
    found = verdict(answer.rows)
    said = ((number, found.says(text)) for number, text in _ERRORS.items())
    return next((pymysql.OperationalError(number, message) for number, message in said if message), None)


def was_interrupted(answer: Answer) -> bool:
    """Whether the server says that a command was ended there."""
    error = error_of(answer)
    return error is not None and number_of(error) == INTERRUPTED


def step_result(
    step: MySqlStep, answer: Answer, effect: Mapping[str, int], *, waited: float, blockers: str = "", user: str = ""
) -> StepResult:
    """The result of a step, from the answer of the server.

    Args:
        waited: the lock timeout, in seconds.
        blockers: the sessions that it waited for, as text.
        user: who ran it, `ann@%`.
    """
    # MariaDB says OK of a check that was killed.
    ends_as_ever = step.method in {Method.CHECK, Method.PURGE_UNDO}
    if answer.was_asked_to_stop and (ends_as_ever or was_interrupted(answer)):
        return StepResult(status=Status.CANCELLED)
    error = error_of(answer)
    if error is not None and not (answer.error is None and _is_of_hidden(step, error)):
        return _failed(step, error, waited=waited, blockers=blockers, user=user)
    if step.method is Method.FOREIGN_KEY:
        return _orphans(step, answer.rows)
    if not step.method.answers_with_verdict:
        return StepResult(status=Status.COMPLETED, effect=effect or None)
    if any(len(row) != 4 for row in answer.rows):
        return StepResult(status=Status.FAILED, error="the server answered with no verdict on the table")
    return _judged(step, verdict(answer.rows), effect)


def _is_of_hidden(step: MySqlStep, error: pymysql.MySQLError) -> bool:
    """Whether it says no more than that the server cannot open a table: a finding about that."""
    return number_of(error) == NO_SUCH_TABLE and bool(step.table.comment)


def _judged(step: MySqlStep, found: Verdict, effect: Mapping[str, int]) -> StepResult:
    if (unsupported := found.says(_NOT_SUPPORTED)) and not (found.says(_DONE_OTHERWISE) or found.statuses):
        return StepResult(status=Status.SKIPPED, error=unsupported)
    if found.is_well or (unsupported and not found.errors):
        warnings = tuple(f"{step.object}: {text}" for text in found.warnings if not _NO_HISTOGRAM.match(text))
        done = {"findings": 0} if step.method is Method.CHECK else {**effect, **_lost_rows(found)}
        return StepResult(status=Status.COMPLETED, effect=done or None, warnings=warnings)
    problems = [*found.errors, *found.warnings, *(text for text in found.statuses if not _WELL.match(text))]
    # `Operation failed` and `Corrupt` say nothing that an error before them does not say.
    problems = problems[:-1] if len(problems) > 1 and problems[-1] in found.statuses else problems
    if step.method is Method.CHECK:
        return check_result([f"{step.object}: {problem}" for problem in problems or ["the check gave no verdict"]])
    return StepResult(status=Status.FAILED, error="; ".join(problems) or "the server gave no verdict")


def _lost_rows(found: Verdict) -> dict[str, int]:
    """How many rows a repair could not read."""
    counts = _ROWS_CHANGED.search(found.says(_ROWS_CHANGED))
    lost = int(counts[1]) - int(counts[2]) if counts else 0
    return {"rows_lost": lost} if lost > 0 else {}


def _orphans(step: MySqlStep, rows: Sequence[Row]) -> StepResult:
    number = int(rows[0][0] or 0) if rows else 0
    if not number:
        return StepResult(status=Status.COMPLETED, effect={"findings": 0})
    finding = (
        f"{step.object}: rows without their parent, {number:,} or more"
        if number >= 100
        else f"{step.object}: {counted(number, 'row')} without {'its' if number == 1 else 'their'} parent"
    )
    return check_result([finding])


def _names(error: pymysql.MySQLError, table: Table) -> bool:
    """Whether an error is about this table: servers write `'shop.item'`, `` `shop`.`item` `` or `'item'`."""
    return re.search(rf"[`'.]{re.escape(table.name)}[`']", server_message(error)) is not None


def _failed(step: MySqlStep, error: pymysql.MySQLError, *, waited: float, blockers: str, user: str) -> StepResult:
    number, table = number_of(error), step.table
    if number in NO_TABLE and step.parent is not None and not _names(error, table):
        return check_result([f"{step.object}: the table of the parents does not exist"])
    if number in NO_TABLE:
        return StepResult(status=Status.SKIPPED, error=GONE)
    if step.method in {Method.CHECK, Method.FOREIGN_KEY} and number in DAMAGED:
        return check_result([f"{step.object}: {server_message(error)}"])
    why = explain(error, waited=waited, blockers=blockers)
    if number in NO_RIGHT and step.operation is not None:
        denied = step.parent if step.parent is not None and not _names(error, table) else table
        why = f"{why}. {to_grant(NEEDED[step.operation], [denied], user)}"
    if step.method is Method.REBUILD and number in NOT_SUPPORTED and step.lock != BLOCKS_WRITERS:
        why = f"it cannot be rebuilt online: {why}. rebuild --offline does it, and blocks writers"
        return StepResult(status=Status.FAILED, error=why, reason=Reason.REFUSED)
    return StepResult(status=Status.FAILED, error=why, reason=reason_of(error))


def partial_effect(step: MySqlStep, reason: Reason | None, *, never_began: bool, has_statistics: bool = False) -> str:
    """What remains of a step that did not complete, as text.

    `reason`: why it failed. `never_began`: whether it was refused, or never had its lock. `has_statistics`: whether
    only histograms were still to be made.
    """
    is_lost = reason is Reason.SERVER_LOST
    match step.method:
        case Method.CHECK | Method.FOREIGN_KEY:
            return CHECK_UNFINISHED
        case Method.ANALYZE:
            if has_statistics:
                return NO_HISTOGRAMS
            is_open = is_lost and not never_began
            return "the old statistics stay, or there are new ones" if is_open else "the old statistics stay"
        case Method.REBUILD:
            return DONE_OR_UNCHANGED if is_lost else NOTHING_CHANGED
        case Method.REPAIR:
            return NOTHING_CHANGED if never_began else "the table may be crashed: run repair again"
        case Method.PURGE_UNDO:
            if is_lost:
                return "the undo tablespace may be inactive: run purge-undo again"
            return "the undo tablespaces are unchanged"
