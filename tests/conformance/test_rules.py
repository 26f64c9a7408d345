"""The store itself refuses what must not be, whatever code writes to it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason, Status, may_follow
from tests.building import new_job
from tests.conformance.stores import REFUSALS, RescuingStore, Stores

ROWS = {"parent_job": "id = {}", "child_job": "parent_id = {} AND ordinal = 2"}
"""Of a job: its parent, and its second child, as the first one may be claimed."""


async def submit(store: RescuingStore, target: str = "sales") -> int:
    (parent_id,) = await store.submit([new_job(target, Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    return parent_id


@pytest.mark.parametrize(
    "change",
    [
        "parent_job SET type = 'parent'",
        "parent_job SET engine = 'Oracle'",
        "parent_job SET engine = ''",
        "parent_job SET status = 'done'",
        "parent_job SET operations = '[]'",
        "parent_job SET operations = 'vacuum'",
        "parent_job SET target = ''",
        "child_job SET type = 'database_maintenance'",
        "child_job SET operation = 'drop'",
        "child_job SET operation = ''",
        "child_job SET operation = 'vacuum analyze'",
        "child_job SET status = 'done'",
        "child_job SET reason = 'because'",
        "child_job SET ordinal = 0 WHERE ordinal = 1",
        "child_job SET cancel_reason = 'because'",
        "child_job SET fraction = 1.5",
    ],
)
async def test_r1_no_word_becomes_an_unknown_one(stores: Stores, store: RescuingStore, change: str) -> None:
    await submit(store)
    before = stores.contents()
    with pytest.raises(REFUSALS):
        stores.sql(f"UPDATE {change}")
    assert stores.contents() == before


async def test_every_reason_of_the_vocabulary_can_be_stored(stores: Stores, store: RescuingStore) -> None:
    await submit(store)
    for reason in Reason:
        stores.sql(f"UPDATE child_job SET reason = '{reason}'")


def setting(table: str, job: int, status: Status) -> str:
    finished = "9" if status.is_final else "NULL"
    owner = "'me'" if status is Status.RUNNING else "NULL"
    columns = f"status = '{status}', finished_at = {finished}" + (f", owner = {owner}" if table == "child_job" else "")
    return f"UPDATE {table} SET {columns} WHERE {ROWS[table].format(job)}"


@pytest.mark.parametrize(
    ("table", "statuses"),
    [("parent_job", [status for status in Status if status is not Status.SKIPPED]), ("child_job", list(Status))],
)
async def test_r15_every_transition_that_is_not_in_the_table_is_refused(
    stores: Stores, store: RescuingStore, table: str, statuses: Sequence[Status]
) -> None:
    transitions = PARENT_TRANSITIONS if table == "parent_job" else CHILD_TRANSITIONS
    for old in statuses:
        for new in statuses:
            job = await submit(store, f"{old} to {new}")
            for status in {Status.PENDING: (), Status.RUNNING: (old,)}.get(old, (Status.RUNNING, old)):
                stores.sql(setting(table, job, status))
            if old is new or may_follow(transitions, old, new):
                stores.sql(setting(table, job, new))
            else:
                with pytest.raises(REFUSALS, match="illegal transition"):
                    stores.sql(setting(table, job, new))


@pytest.mark.parametrize("status", [status for status in Status if status.is_final])
async def test_r13_an_end_has_a_time_and_no_owner(stores: Stores, store: RescuingStore, status: Status) -> None:
    await submit(store)
    assert await store.claim("me") is not None
    for wrong in (f"status = '{status}', owner = NULL", f"status = '{status}', finished_at = 5", "finished_at = 5"):
        with pytest.raises(REFUSALS):
            stores.sql(f"UPDATE child_job SET {wrong} WHERE ordinal = 1")


async def test_r20_a_target_has_one_running_child_at_most(stores: Stores, store: RescuingStore) -> None:
    await submit(store)
    assert await store.claim("me") is not None
    with pytest.raises(REFUSALS, match=r"target_key|one_running_per_target"):
        stores.sql("UPDATE child_job SET status = 'running', owner = 'you' WHERE ordinal = 2")
