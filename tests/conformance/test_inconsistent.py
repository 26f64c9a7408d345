"""A check that finds rows that break a rule makes its job neither failed nor completed: no failure of a batch."""

from __future__ import annotations

from collections import Counter

from engine.domain.batches import BatchOptions
from engine.domain.claims import Outcome, Report
from engine.domain.events import HistoryFilter
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts
from engine.store.protocol import NewBatch
from tests.building import COMPLETED, FAILED, new_job
from tests.conformance.stores import RescuingStore

CLEAN: Facts = {"findings": 0, "complete": True, "damage": None, "damaged_indexes": (), "broken_rule": None}
NOT_NEEDED = Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED)
LATE = Outcome(status=Status.COMPLETED, reason=Reason.TIME_LIMIT, left=2)


def check(facts: Facts) -> Outcome:
    after = {**CLEAN, "findings": 1, "broken_rule": "1 row of bill refers to a missing row", **facts}
    return Outcome(status=Status.FAILED, reason=Reason.OPERATION_ERROR, error="1 finding", after=after)


ORPHANS = check({})
DAMAGE = check({"damage": "Page 3: never used"})
DAMAGED_INDEX = check({"damaged_indexes": ("ix",)})
UNFINISHED = check({"complete": False})
ONLY_DAMAGE = check({"damage": "Page 3: never used", "broken_rule": None})
ENDS = [
    ((ORPHANS, COMPLETED), JobOutcome.INCONSISTENT),
    ((ORPHANS, NOT_NEEDED), JobOutcome.INCONSISTENT),
    ((ORPHANS, FAILED), JobOutcome.FAILED),
    ((ORPHANS, LATE), JobOutcome.FAILED),
    ((DAMAGE, COMPLETED), JobOutcome.FAILED),
    ((DAMAGED_INDEX, COMPLETED), JobOutcome.FAILED),
    ((UNFINISHED, COMPLETED), JobOutcome.FAILED),
    ((ONLY_DAMAGE, COMPLETED), JobOutcome.FAILED),
    ((FAILED, COMPLETED), JobOutcome.FAILED),
]


async def submit(store: RescuingStore, number: int, options: BatchOptions) -> list[int]:
    new = [new_job(f"db{place}", Operation.CHECK, Operation.VACUUM) for place in range(number)]
    return await store.submit(new, OnDuplicate.REFUSE, NewBatch(options=options))


async def end(store: RescuingStore, parent_id: int, outcomes: tuple[Outcome, ...]) -> None:
    for outcome in outcomes:
        claim = await store.claim("me", [parent_id])
        assert claim is not None
        await store.finish(claim, outcome, Report())


async def test_a_job_whose_check_found_rows_that_break_a_rule_is_inconsistent(store: RescuingStore) -> None:
    ids = await submit(store, len(ENDS), BatchOptions())
    for parent_id, (outcomes, _) in zip(ids, ENDS, strict=True):
        await end(store, parent_id, outcomes)
    jobs = await store.batch_jobs(1)
    expected = [outcome for _, outcome in ENDS]
    assert [outcome_of(job) for job in jobs] == expected
    assert (await store.batch(1)).counts == Counter(expected)

    async def found(outcome: JobOutcome) -> list[int]:
        where = HistoryFilter(status=outcome)
        searched = sorted([parent_id async for page in store.search(where) for parent_id in page])
        assert searched == [job.id for job in jobs if where.matches(job)]
        return searched

    assert await found(JobOutcome.INCONSISTENT) == ids[:2]
    assert await found(JobOutcome.FAILED) == ids
    assert await found(JobOutcome.PARTIAL) == await found(JobOutcome.COMPLETED) == []


async def test_rows_that_break_a_rule_are_no_failure_of_their_batch(store: RescuingStore) -> None:
    first, second, third = await submit(store, 3, BatchOptions(max_failures=1, canary=1))
    await end(store, first, (ORPHANS, COMPLETED))
    await end(store, second, (ORPHANS, COMPLETED))
    assert [job.status for job in await store.batch_jobs(1)] == [Status.FAILED, Status.FAILED, Status.PENDING]
    await end(store, third, (DAMAGE, COMPLETED))
    assert (await store.batch(1)).counts == {JobOutcome.INCONSISTENT: 2, JobOutcome.FAILED: 1}
