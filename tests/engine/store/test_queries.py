"""Every question the engine and the console ask is answered through an index."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Report
from engine.domain.requests import OnDuplicate
from engine.store.sqlite import (
    batch_rules,
    cancel_and_rescue,
    connections,
    notifications,
    overview,
    queries,
    store_admin,
    transactions,
)
from tests.building import COMPLETED, new_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("store") / "jobs.db"
    connections.create_file(path)
    connection = connections.connect_writer(path)
    for number in range(200):
        transactions.submit(connection, [new_job(f"db{number}")], OnDuplicate.REFUSE, number)
    connection.execute("ANALYZE")
    yield connection
    connection.close()


def plan_of(file: sqlite3.Connection, sql: str, values: dict[str, object] | Sequence[object]) -> list[str]:
    return [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def is_through_an_index(line: str) -> bool:
    """A SEARCH, or a walk through the few that are open."""
    words = ("SEARCH", "LIST SUBQUERY", "CORRELATED", "SCALAR", "REUSE LIST", "SCAN json_each", "CO-ROUTINE")
    of_open = ("SCAN p USING INDEX parent_job_open", "SCAN child_job USING INDEX child_job_one_running_per_target")
    return line.startswith((*words, "SCAN (subquery")) or line in of_open


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (queries.ONE_JOB, {"id": 7}),
        (queries.OPEN_JOBS, {}),
        (queries.CHANGES, {"after": 3, "limit": 9}),
        (queries.CANCEL_REQUESTS, {"owner": "me"}),
        (queries.NEWEST_OF_TARGET, {"target": "sqlite:///db1.db", "jobs": 10}),
        queries.jobs([1, 2, 3]),
    ],
    ids=["one job", "open jobs", "changes", "cancel requests", "newest of a target", "jobs"],
)
def test_what_the_console_asks_all_the_time_is_a_search(
    file: sqlite3.Connection, sql: str, values: dict[str, object]
) -> None:
    plan = plan_of(file, sql, values)
    assert not [line for line in plan if "TEMP B-TREE" in line]
    assert all(is_through_an_index(line) for line in plan), plan


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (transactions.AMONG_THE_OLDEST, ()),
        (transactions.OF_EACH_TARGET, ()),
        (transactions.OF_THIS_RUN, ("a run",)),
        (transactions.OF_THESE_PARENTS, (json.dumps([1, 2]), None)),
    ],
    ids=["among the oldest", "of each target", "of this run", "of these parents"],
)
def test_a_claim_looks_only_at_what_is_pending_or_running(
    file: sqlite3.Connection, sql: str, values: Sequence[object]
) -> None:
    plan = plan_of(file, sql, values)
    assert any("child_job_one_running_per_target (target_key=?)" in line for line in plan), plan
    indexes = (
        "child_job_pending",
        "child_job_one_running_per_target",
        "child_job_running_on_host (host_key=?)",
        "USING PRIMARY KEY (parent_id=?",
    )
    of_children = [line for line in plan if re.match(r"(SCAN|SEARCH) (child_job|r)\b", line)]
    assert all(any(index in line for index in indexes) for line in of_children), plan


@pytest.mark.parametrize(
    ("parents", "run", "paused"), [([1, 2], "a run", False), ([1, 2], None, False), ([1, 2], "a run", True)]
)
def test_a_claim_reads_the_list_of_its_parents_once_and_not_for_what_is_reserved_for_its_run(
    file: sqlite3.Connection, parents: Sequence[int], run: str | None, paused: bool
) -> None:
    for sql, values in transactions.next_child_queries(parents, run, paused=paused):
        plan = plan_of(file, sql, values)
        before = [plan[n - 1] for n, line in enumerate(plan) if line.startswith("SCAN json_each")]
        assert bool(before) is (sql != transactions.OF_THIS_RUN), plan
        assert all(line.startswith("LIST SUBQUERY") for line in before), plan


PRUNABLE: dict[str, object] = {"status": "completed", "before": 150, "keep_last": 2, "after": 3, "limit": 9}
STEADILY_ASKED: dict[str, tuple[str, dict[str, object] | Sequence[object]]] = {
    "one job": (queries.ONE_JOB, {"id": 7}),
    "prunable": (queries.PRUNABLE, PRUNABLE),
    "owners of running": (queries.OWNERS_OF_RUNNING, {}),
    "running": (queries.RUNNING, {}),
    "runs": (queries.RUNS, {}),
    "oldest pending": (queries.OLDEST_PENDING, {}),
    "is open": (queries.IS_OPEN, {}),
    "open jobs": (queries.OPEN_JOBS, {}),
    "pause": (queries.PAUSE, {}),
    "batch": (queries.BATCH, {"id": 1}),
    "jobs of a batch": (queries.BATCH_JOBS, {"id": 1}),
    "open jobs of a batch": (cancel_and_rescue.OPEN_OF_BATCH, (1,)),
    "jobs of a batch not begun": (batch_rules.NOT_BEGUN, (1,)),
    "failed jobs of a batch": (batch_rules.FAILED, (1, 3)),
    "open canaries": (batch_rules.OPEN_CANARY, (1,)),
    "failed canaries": (batch_rules.FAILED_CANARY, (1,)),
    "overdue": (cancel_and_rescue.OVERDUE, (5,)),
    "orphans": (cancel_and_rescue.ORPHANS, ("me",)),
}
FEW_ROWS = "run|worker|pause|CONSTANT ROW|\\(subquery-\\d+\\)"
"""What may be walked through: small tables, and what another part of the plan has found."""
PARTIAL = "child_job_pending|child_job_reserved|child_job_one_running_per_target|parent_job_open"
"""Indexes that hold only what is not over."""


@pytest.fixture(scope="module", params=["nothing known", "all pending", "all over", "emptied"])
def any_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """Stores with statistics of very different times: the plans must not depend on them."""
    path = connections.create_file(tmp_path_factory.mktemp("store") / "jobs.db")
    with closing(connections.connect_writer(path)) as connection:
        connection.execute("BEGIN")
        for number in range(0 if request.param == "nothing known" else 200):
            job = new_job(f"db{number % 20}", deadline_at=10**9 if number % 2 else None)
            parent_id, *_ = transactions.submit(connection, [job], OnDuplicate.MERGE, number)
            if request.param != "all pending":
                while claim := transactions.claim(connection, "me", [parent_id], number, number):
                    transactions.finish(connection, claim, COMPLETED, Report(), number)
        connection.execute("COMMIT")
        if request.param != "nothing known":
            connection.execute("ANALYZE")
        if request.param == "emptied":
            store_admin.prune(connection, range(1000))
        yield connection


@pytest.mark.parametrize("question", STEADILY_ASKED)
def test_r18_what_is_asked_all_the_time_costs_the_same_however_long_the_history(
    any_store: sqlite3.Connection, question: str
) -> None:
    plan = plan_of(any_store, *STEADILY_ASKED[question])
    assert not [line for line in plan if "TEMP B-TREE" in line]
    for line in plan:
        if line.startswith("SCAN"):
            assert re.fullmatch(rf"SCAN ({FEW_ROWS})", line) or re.search(rf" INDEX ({PARTIAL})$", line), plan


def test_r21_what_may_be_removed_is_found_by_its_status(any_store: sqlite3.Connection) -> None:
    plan = plan_of(any_store, queries.PRUNABLE, PRUNABLE)
    assert any(line.startswith("SEARCH p USING INDEX parent_job_status (status=? AND id>?") for line in plan), plan
    assert any("parent_job_target (target=? AND id>?)" in line for line in plan), plan


def test_what_tells_of_processes_sorts_no_more_than_there_are_processes(any_store: sqlite3.Connection) -> None:
    for sql in (queries.OWNERS, queries.WORKERS):
        tables = [line for line in plan_of(any_store, sql, {}) if line.startswith(("SCAN", "SEARCH"))]
        of_running = "SCAN child_job USING INDEX child_job_one_running_per_target"
        assert set(tables) <= {"SCAN worker", of_running}, tables


def test_the_last_runs_are_read_without_the_history(any_store: sqlite3.Connection) -> None:
    assert plan_of(any_store, overview.LAST_RUNS, {}) == ["SCAN last_run"]


def test_the_jobs_that_ended_in_a_period_are_found_by_their_end(any_store: sqlite3.Connection) -> None:
    plan = plan_of(any_store, queries.ENDED, {"since": 7, "limit": 9})
    assert "SEARCH parent_job USING COVERING INDEX parent_job_ended (finished_at>?)" in plan[0], plan
    assert not [line for line in plan if line.startswith("SCAN")], plan


def test_the_messages_of_a_recipient_are_counted_in_an_index(any_store: sqlite3.Connection) -> None:
    plan = plan_of(any_store, notifications.STATES, {"names": "[]"})
    counted = [line for line in plan if line.startswith("SEARCH message USING COVERING INDEX")]
    assert len(counted) == 4, plan


@pytest.mark.parametrize("sql", [notifications.FIRINGS_TO_TELL, notifications.FIRED_AFTER_ALL])
def test_what_became_of_due_times_is_compared_with_what_was_told_through_indexes(
    any_store: sqlite3.Connection, sql: str
) -> None:
    plan = plan_of(any_store, sql, {"recipient": "ops", "since": 7})
    assert all(map(is_through_an_index, plan)), plan


def test_a_job_without_a_past_costs_seven_statements(tmp_path: Path) -> None:
    statements = dict[str, None]()
    with closing(connections.connect_writer(connections.create_file(tmp_path / "jobs.db"))) as connection:
        transactions.submit(connection, [new_job("sales")], OnDuplicate.REFUSE, 1)
        connection.set_trace_callback(lambda sql: statements.setdefault(sql))  # also for each trigger
        claim = transactions.claim(connection, "me", None, 2, 2)
        assert claim is not None
        transactions.finish(connection, claim, COMPLETED, Report(), 3)
    assert [sql.split()[0] for sql in statements] == [
        "SELECT",
        "SELECT",
        "UPDATE",
        "UPDATE",
        "UPDATE",
        "SELECT",
        "UPDATE",
    ]
