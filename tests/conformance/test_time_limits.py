"""R5: no limit by default; after a limit no operation starts, and a running one ends by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine import JobId, OnDuplicate, OnFailure, Reason, Status
from engine.domain.claims import Outcome, Report
from tests.building import CANCELLED, COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores
from tests.engine.working import over, processing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.domain.claims import Claim
    from engine.domain.jobs import ParentJob
    from engine.execution.reporter import Reporter


HOUR = 3_600_000_000


THOUSAND_YEARS = 1000 * 366 * 24 * HOUR


SKIPPED = (Status.SKIPPED, Reason.TIME_LIMIT)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def store(stores: Stores, clock: StoppedClock) -> AsyncIterator[RescuingStore]:
    async with stores.open(clock=clock) as opened:
        yield opened


def ends(parent: ParentJob) -> list[tuple[Status, Reason | None]]:
    return [(child.status, child.reason) for child in parent.children]


class Held:
    """A worker whose operation ends when the test says so, and as it says."""

    def __init__(self) -> None:
        self.started, self.asked_to_stop = asyncio.Event(), asyncio.Event()
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        """Where the test has failed it has not said how."""
        if not self.outcome.done():
            self.outcome.set_result(CANCELLED)

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        self.started.set()
        telling = asyncio.create_task(self._tell(cancel))
        try:
            return await self.outcome
        finally:
            telling.cancel()

    async def _tell(self, cancel: asyncio.Event) -> None:
        await cancel.wait()
        self.asked_to_stop.set()


async def test_r5_without_a_limit_nothing_ends_for_its_age(store: RescuingStore, clock: StoppedClock) -> None:
    await store.submit([new_job("sales"), new_job("stock")], OnDuplicate.REFUSE)
    claim = await store.claim("me", parents=[1])
    assert claim is not None
    before = await store.jobs([1, 2])
    clock.at += THOUSAND_YEARS
    await store.enforce_time_limits()
    assert await store.jobs([1, 2]) == before
    while claim is not None:
        claim = await store.finish_and_claim(claim, COMPLETED, Report())
    assert {parent.status for parent in await store.jobs([1, 2])} == {Status.COMPLETED}


@pytest.mark.parametrize("late_by", [0, 1, HOUR])
async def test_r5_past_the_limit_nothing_starts_and_what_runs_goes_on(
    store: RescuingStore, clock: StoppedClock, late_by: int
) -> None:
    worker = Held()
    async with processing(store, worker, concurrency=1), worker:
        await store.submit([new_job("sales", deadline_at=clock.at + HOUR)], OnDuplicate.REFUSE)
        await worker.started.wait()
        clock.at += HOUR - 1
        await store.enforce_time_limits()
        assert ends(await store.job(1)) == [(Status.RUNNING, None), *[(Status.PENDING, None)] * 3]
        clock.at += 1 + late_by
        await store.enforce_time_limits()
        parent = await store.job(1)
        assert ends(parent) == [(Status.RUNNING, None), SKIPPED, SKIPPED, SKIPPED]
        assert (parent.status, parent.children[0].cancel_requested_at) == (Status.RUNNING, None)
        worker.outcome.set_result(COMPLETED)
        (parent,) = await over(store, 1)
    assert ends(parent) == [(Status.COMPLETED, None), SKIPPED, SKIPPED, SKIPPED]
    assert parent.status is Status.COMPLETED
    assert not worker.asked_to_stop.is_set()


async def test_r5_no_claim_gets_a_child_past_its_limit(store: RescuingStore, clock: StoppedClock) -> None:
    """Even where nobody has looked since: the claim itself does."""
    await store.submit([new_job("sales", deadline_at=clock.at + 1), new_job("stock")], OnDuplicate.REFUSE)
    clock.at += 1
    claim = await store.claim("me")
    assert claim is not None
    assert claim.job == JobId(2, 1)
    assert ends(await store.job(1)) == [SKIPPED] * 4
    assert (await store.job(1)).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (CANCELLED, (Status.CANCELLED, Reason.TIME_LIMIT)),
        (Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER), (Status.CANCELLED, Reason.TIME_LIMIT)),
        (COMPLETED, (Status.COMPLETED, None)),  # it could not be interrupted any more
        (FAILED, (Status.FAILED, None)),
    ],
)
async def test_r5_what_is_stopped_at_the_limit_is_over_when_it_has_really_ended(
    store: RescuingStore, clock: StoppedClock, outcome: Outcome, expected: tuple[Status, Reason | None]
) -> None:
    worker = Held()
    async with asyncio.timeout(30), processing(store, worker, concurrency=1), worker:
        await store.submit([new_job("sales", stop_at_limit=True, deadline_at=clock.at + HOUR)], OnDuplicate.REFUSE)
        await worker.started.wait()
        clock.at += HOUR
        await store.enforce_time_limits()
        await worker.asked_to_stop.wait()
        clock.at += THOUSAND_YEARS
        await store.enforce_time_limits()
        asked = await store.job(1)
        assert ends(asked) == [(Status.RUNNING, None), SKIPPED, SKIPPED, SKIPPED]
        assert asked.children[0].cancel_requested_at == clock.at - THOUSAND_YEARS
        worker.outcome.set_result(outcome)
        (parent,) = await over(store, 1)
    assert ends(parent) == [expected, SKIPPED, SKIPPED, SKIPPED]
    assert parent.status is expected[0]


async def test_r5_a_user_who_cancelled_before_the_limit_is_told_as_the_reason(
    store: RescuingStore, clock: StoppedClock
) -> None:
    await store.submit([new_job("sales", stop_at_limit=True, deadline_at=clock.at + HOUR)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.request_cancel(JobId(1, 1))
    clock.at += HOUR
    await store.enforce_time_limits()
    await store.finish(claim, CANCELLED, Report())
    assert ends(await store.job(1)) == [(Status.CANCELLED, Reason.CANCELLED_BY_USER), SKIPPED, SKIPPED, SKIPPED]


async def test_r5_what_a_dead_process_left_is_not_begun_again_past_the_limit(
    store: RescuingStore, clock: StoppedClock
) -> None:
    await store.submit([new_job("sales", deadline_at=clock.at + HOUR)], OnDuplicate.REFUSE)
    await store.claim("dead")
    clock.at += HOUR
    assert await store.rescue() == [JobId(1, 1)]
    await store.enforce_time_limits()
    parent = await store.job(1)
    assert ends(parent) == [(Status.PENDING, None), SKIPPED, SKIPPED, SKIPPED]
    claim = await store.claim("me")
    assert claim is not None
    assert claim.recovering is Reason.OWNER_LOST  # only its database is looked after


async def test_r5_what_is_handed_back_past_the_limit_is_skipped(store: RescuingStore, clock: StoppedClock) -> None:
    await store.submit([new_job("sales", deadline_at=clock.at + HOUR)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    clock.at += HOUR
    await store.release(claim, Report())
    assert await store.claim("you") is None
    parent = await store.job(1)
    assert ends(parent) == [SKIPPED] * 4
    assert [attempt.reason for attempt in parent.children[0].attempts] == [Reason.SHUTDOWN]


async def test_r5_a_limit_holds_while_the_store_is_paused(store: RescuingStore, clock: StoppedClock) -> None:
    await store.submit([new_job("sales", deadline_at=clock.at + HOUR)], OnDuplicate.REFUSE)
    await store.pause("ann")
    clock.at += HOUR
    await store.enforce_time_limits()
    assert ends(await store.job(1)) == [SKIPPED] * 4


async def test_r5_a_failure_that_stops_the_rest_comes_before_the_limit(
    store: RescuingStore, clock: StoppedClock
) -> None:
    job = new_job("sales", on_failure=OnFailure.STOP, deadline_at=clock.at + HOUR)
    await store.submit([job], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    clock.at += HOUR
    await store.finish(claim, FAILED, Report())
    await store.enforce_time_limits()
    assert {child.reason for child in (await store.job(1)).children[1:]} == {Reason.PREVIOUS_FAILED}


async def test_r5_what_is_past_its_limit_ends_where_the_next_child_is_claimed_with_the_end_of_another(
    store: RescuingStore, clock: StoppedClock
) -> None:
    late = [new_job(name, deadline_at=clock.at + HOUR) for name in ("a", "b")]
    stopping = new_job("c", on_failure=OnFailure.STOP, deadline_at=clock.at + HOUR)
    await store.submit([*late, stopping, new_job("d")], OnDuplicate.REFUSE)
    claims = [await store.claim("me") for _ in range(3)]
    clock.at += HOUR
    (first, _, third) = [claim for claim in claims if claim is not None]
    following = await store.finish_and_claim(first, COMPLETED, Report())
    assert following is not None
    assert following.job.parent == 4
    assert ends(await store.job(1))[1:] == ends(await store.job(2))[1:] == [SKIPPED] * 3
    await store.finish(third, FAILED, Report())
    assert {child.reason for child in (await store.job(3)).children[1:]} == {Reason.TIME_LIMIT}


async def test_r5_a_failure_that_stops_the_rest_comes_before_the_limit_where_the_next_is_claimed(
    store: RescuingStore, clock: StoppedClock
) -> None:
    job = new_job("sales", on_failure=OnFailure.STOP, deadline_at=clock.at + HOUR)
    await store.submit([job], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    clock.at += HOUR
    assert await store.finish_and_claim(claim, FAILED, Report()) is None
    assert {child.reason for child in (await store.job(1)).children[1:]} == {Reason.PREVIOUS_FAILED}
