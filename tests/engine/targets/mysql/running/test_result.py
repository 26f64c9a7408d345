"""Verdicts of servers on commands that never fail, as MariaDB 11.8 and MySQL 9.7 give them."""

from __future__ import annotations

import pymysql
import pytest

from engine import Operation, Status
from engine.domain.requests import Options
from engine.domain.statuses import Reason
from engine.targets.mysql.planning.operation_steps import analyze_steps, check_steps, rebuild_steps, repair_steps
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading.foreign_keys import ForeignKey
from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.running.result import GONE, step_result
from engine.targets.mysql.running.statement import Answer
from engine.targets.step_execution import StepResult
from tests.engine.targets.mysql.flavors import SERVER

ITEM = Table(database="shop", name="item", engine="MyISAM")
OPTIONS = Options()
STEPS = {
    Operation.ANALYZE: analyze_steps([ITEM], OPTIONS, SERVER, {}, {})[0],
    Operation.CHECK: check_steps([ITEM], [], full=True)[0],
    Operation.REPAIR: repair_steps([ITEM], OPTIONS, SERVER, {})[0],
}
INTERRUPTED = ("Error", "Query execution was interrupted")
FAILED = ("status", "Operation failed")
OK = ("status", "OK")


def result_of(step: MySqlStep, *rows: tuple[str, str], stop: bool = False) -> StepResult:
    answer = Answer([("shop.item", "check", *row) for row in rows], was_asked_to_stop=stop)
    return step_result(step, answer, {}, waited=5.0, blockers="connection 7 (ann@web)", user="joe@%")


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (1146, "Table 'shop.item' doesn't exist", GONE),
        (1146, "Table 'crm.buyer' doesn't exist", "the table of the parents does not exist"),
        (1142, "SELECT command denied to user 'joe'@'%' for table 'item'", "GRANT SELECT ON `shop`.`item` TO"),
        (1142, "SELECT command denied to user 'joe'@'%' for table `crm`.`buyer`", "GRANT SELECT ON `crm`.`buyer` TO"),
    ],
)
def test_the_table_of_a_foreign_key_that_is_gone_or_forbidden_is_named(number: int, text: str, expected: str) -> None:
    key = ForeignKey("fk", "shop", "item", "crm", "buyer", (("a", "b"),))
    (step,) = (one for one in check_steps([ITEM], [key], full=True) if one.parent)
    result = step_result(step, Answer(error=pymysql.OperationalError(number, text)), {}, waited=5.0, user="joe@%")
    assert expected in (result.error or "")


def test_a_repair_says_how_many_rows_it_lost() -> None:
    changed = ("warning", "Number of rows changed from 50000 to 49905")
    assert result_of(STEPS[Operation.REPAIR], changed, OK).effect == {"rows_lost": 95}
    assert result_of(STEPS[Operation.REPAIR], ("warning", "Number of rows changed from 5 to 6"), OK).effect is None


@pytest.mark.parametrize(
    ("operation", "rows", "status"),
    [
        (Operation.CHECK, [OK], Status.COMPLETED),
        (Operation.CHECK, [("status", "Table is already up to date")], Status.COMPLETED),
        (Operation.CHECK, [INTERRUPTED, OK], Status.FAILED),
        (Operation.CHECK, [("warning", "Table is marked as crashed"), OK], Status.COMPLETED),
        (Operation.CHECK, [("error", "Corrupt")], Status.FAILED),
        (Operation.CHECK, [("status", "Corrupt")], Status.FAILED),
        (Operation.CHECK, [], Status.FAILED),
        (Operation.CHECK, [("odd", "no such kind"), OK], Status.FAILED),
        (Operation.CHECK, [("note", "The storage engine for the table doesn't support check")], Status.SKIPPED),
        (Operation.CHECK, [("Error", "Table 'shop.item' doesn't exist"), FAILED], Status.SKIPPED),
        (Operation.ANALYZE, [("status", "Engine-independent statistics collected"), OK], Status.COMPLETED),
        (
            Operation.ANALYZE,
            [
                ("status", "Engine-independent statistics collected"),
                ("note", "The storage engine for the table doesn't support analyze"),
            ],
            Status.COMPLETED,
        ),
        (
            Operation.ANALYZE,
            [("note", "Table does not support optimize, doing recreate + analyze instead"), OK],
            Status.COMPLETED,
        ),
        (Operation.REPAIR, [FAILED], Status.FAILED),
    ],
)
def test_every_row_of_a_verdict_counts(operation: Operation, rows: list[tuple[str, str]], status: Status) -> None:
    assert result_of(STEPS[operation], *rows).status is status


def test_a_check_that_was_asked_to_stop_is_cancelled_whatever_it_says() -> None:
    for rows in ([OK], [INTERRUPTED, OK], [INTERRUPTED, FAILED]):
        assert result_of(STEPS[Operation.CHECK], *rows, stop=True).status is Status.CANCELLED


def test_damage_is_a_finding_and_what_keeps_a_check_from_looking_is_none() -> None:
    damaged = result_of(STEPS[Operation.CHECK], ("error", "Key in wrong position at page 4096"), ("error", "Corrupt"))
    assert damaged.findings == ("item: Key in wrong position at page 4096", "item: Corrupt")
    waited = result_of(STEPS[Operation.CHECK], ("Error", "Lock wait timeout exceeded; try restarting"), FAILED)
    assert (waited.status, waited.reason, waited.findings) == (Status.FAILED, Reason.TARGET_BUSY, ())
    assert "connection 7 (ann@web)" in (waited.error or "")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "1 row without its parent"), (2, "2 rows without their parent"),
        (100, "rows without their parent, 100 or more"),
    ],
)  # fmt: skip
def test_rows_without_their_parent_are_counted(number: int, said: str) -> None:
    key = ForeignKey("to_parent", "shop", "item", "shop", "parent", (("a", "id"),))
    step = next(one for one in check_steps([ITEM], [key], full=True) if one.method is Method.FOREIGN_KEY)
    result = step_result(step, Answer([(str(number),)]), {}, waited=5.0)
    assert result.findings == (f"item (to_parent): {said}",)


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [
        (1205, Status.FAILED, Reason.TARGET_BUSY),
        (1142, Status.FAILED, Reason.REFUSED),
        (1845, Status.FAILED, Reason.REFUSED),
        (1290, Status.FAILED, Reason.REFUSED),
        (1146, Status.SKIPPED, None),
        (1317, Status.FAILED, None),
    ],
)
def test_errors_of_a_rebuild(number: int, status: Status, reason: Reason | None) -> None:
    (step,) = rebuild_steps([Table(database="shop", name="item", engine="InnoDB")], OPTIONS, SERVER, {})
    answer = Answer(error=pymysql.OperationalError(number, "the server says why"))
    result = step_result(step, answer, {}, waited=5.0, user="joe@%")
    assert (result.status, result.reason) == (status, reason)
    if number == 1142:
        assert "GRANT ALTER, CREATE, INSERT ON `shop`.`item` TO 'joe'@'%';" in (result.error or "")
    stopped = step_result(step, Answer(error=answer.error, was_asked_to_stop=True), {}, waited=5.0)
    assert (stopped.status is Status.CANCELLED) == (number == 1317)
