"""Every question the engine and the console ask is answered through an index, and pages do not shift."""

from __future__ import annotations

import json
import re
import sqlite3
from itertools import product
from typing import TYPE_CHECKING

import pytest

from engine.jobs import HistoryFilter, JobId, OnDuplicate, Operation, Report, Status
from engine.store import connections, queries, transactions
from tests.building import COMPLETED, FAILED, new_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.store.sqlite import SqliteStore

FILTERS = [
    HistoryFilter(target=target, status=status, operation=operation, since=since, until=until)
    for target, status, operation, since, until in product(
        (None, "sqlite:///sales.db"),
        (None, Status.FAILED, Status.RUNNING),
        (None, Operation.VACUUM),
        (None, 5),
        (None, 9),
    )
]


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


def plan_of(file: sqlite3.Connection, sql: str, values: dict[str, object]) -> list[str]:
    return [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def is_through_an_index(line: str) -> bool:
    """A SEARCH, or a walk along the primary key of `parent_job` that the LIMIT ends."""
    words = ("SEARCH", "LIST SUBQUERY", "CORRELATED", "SCALAR", "REUSE LIST", "SCAN json_each", "CO-ROUTINE")
    return line.startswith(words) or line == "SCAN parent_job" or line.startswith("SCAN (subquery")


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_a_page_of_history_needs_no_sort_and_no_scan_of_children(
    file: sqlite3.Connection, where: HistoryFilter
) -> None:
    plan = plan_of(file, *queries.history(where, before=150, limit=50))
    assert not [line for line in plan if "TEMP B-TREE" in line]
    assert all(is_through_an_index(line) for line in plan), plan


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (queries.ONE_JOB, {"id": 7}),
        (queries.OPEN_JOBS, {}),
        (queries.CHANGES, {"after": 3, "limit": 9}),
        (queries.CANCEL_REQUESTS, {"owner": "me"}),
        queries.jobs([1, 2, 3]),
    ],
    ids=["one job", "open jobs", "changes", "cancel requests", "jobs"],
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
        (transactions.OF_THESE_PARENTS, (json.dumps([1, 2]),)),
    ],
    ids=["among the oldest", "of each target", "of these parents"],
)
def test_a_claim_looks_only_at_what_is_pending_or_running(
    file: sqlite3.Connection, sql: str, values: Sequence[object]
) -> None:
    plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any("child_job_one_running_per_target (target_key=?)" in line for line in plan), plan
    indexes = ("child_job_pending", "child_job_one_running_per_target", "USING PRIMARY KEY (parent_id=?")
    of_children = [line for line in plan if re.match(r"(SCAN|SEARCH) (child_job|r)\b", line)]
    assert all(any(index in line for index in indexes) for line in of_children), plan


async def test_r24_paging_shows_each_job_once_while_new_ones_arrive(store: SqliteStore) -> None:
    await store.submit([new_job(f"db{number}") for number in range(25)], OnDuplicate.REFUSE)
    seen: list[int] = []
    before: int | None = None
    while page := await store.history(HistoryFilter(), before=before, limit=10):
        seen += [job.id for job in page]
        before = page[-1].id
        await store.submit([new_job(f"new{len(seen)}")], OnDuplicate.REFUSE)
    assert seen == list(range(25, 0, -1))


async def test_r24_ids_are_in_time_order_even_where_the_clock_is_set_back(store_path: Path) -> None:
    connections.create_file(store_path)
    file = connections.connect_writer(store_path)
    for at in (100, 50, 120):
        transactions.submit(file, [new_job(f"db{at}")], OnDuplicate.REFUSE, at)
    assert [row[0] for row in file.execute("SELECT created_at FROM parent_job ORDER BY id")] == [100, 100, 120]
    file.close()


async def test_history_filters(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM), new_job("stock", Operation.ANALYZE)], OnDuplicate.REFUSE)
    for outcome in (COMPLETED, FAILED):
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, outcome, Report())
    created = [(await store.job(n)).created_at for n in (1, 2)]

    async def found(where: HistoryFilter) -> list[int]:
        ids = [job.id for job in await store.history(where, before=None, limit=9)]
        assert ids == list(await store.history_ids(where))
        return ids

    assert await found(HistoryFilter()) == [2, 1]
    assert await found(HistoryFilter(target="sqlite:///sales.db")) == [1]
    assert await found(HistoryFilter(status=Status.FAILED)) == [2]
    assert await found(HistoryFilter(operation=Operation.ANALYZE)) == [2]
    assert await found(HistoryFilter(error_text="IT BROKE")) == [2]
    assert await found(HistoryFilter(error_text="it%broke")) == []
    assert await found(HistoryFilter(since=created[0])) == [2, 1]
    assert await found(HistoryFilter(since=created[1] + 1)) == []
    assert await found(HistoryFilter(until=created[0] - 1)) == []


async def test_jobs_come_in_the_order_asked_for_and_unknown_ones_are_left_out(store: SqliteStore) -> None:
    await store.submit([new_job("a"), new_job("b"), new_job("c")], OnDuplicate.REFUSE)
    assert [job.id for job in await store.jobs([3, 99, 1])] == [3, 1]
    await store.request_cancel(JobId(2))
    assert [job.id for job in await store.open_jobs()] == [1, 3]
