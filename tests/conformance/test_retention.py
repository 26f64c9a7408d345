"""R21: old jobs go in small batches, and pinned ones stay."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine import JobId, OnDuplicate, Operation, Retention, Status
from engine.domain.claims import Outcome, Report
from engine.domain.errors import JobNotFoundError
from engine.domain.events import Change, HistoryFilter, Lagged
from engine.domain.retention import DAY
from engine.domain.steps import LogLevel, LogLine, Step
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.history.retention import BATCH, CHANGES_KEPT, prune
from engine.store.protocol import Store
from tests.building import CANCELLED, COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import NewStores, RescuingStore, Stores, newest_change

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


MICROS = 1_000_000


TABLES = ("parent_job", "child_job", "step", "log", "attempt")


OUTCOMES = {Status.COMPLETED: COMPLETED, Status.FAILED: FAILED, Status.CANCELLED: CANCELLED}


NOTHING = Retention(completed=0, failed=0, cancelled=0, keep_last=0)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.history.retention.BREATH", 0)


@pytest.fixture
async def store(stores: Stores, clock: StoppedClock) -> AsyncIterator[RescuingStore]:
    async with stores.open(clock=clock) as opened:
        yield opened


async def add(store: Store, target: str, outcome: Outcome | None = COMPLETED, *, attempts: int = 1) -> int:
    """A job of one child that ended like this; one that is pending without an outcome."""
    (parent_id,) = await store.submit([new_job(target, Operation.VACUUM)], OnDuplicate.MERGE)
    if outcome is not None:
        for attempt in range(1, attempts + 1):
            claim = await store.claim("me", parents=[parent_id])
            assert claim is not None
            step = Step(
                number=1,
                attempt=attempt,
                object="main",
                command="VACUUM",
                status=Status.COMPLETED,
                started_at=1,
                finished_at=2,
            )
            line = LogLine(number=1, attempt=attempt, at=1, level=LogLevel.INFO, message="done")
            report = Report(steps=(step,), log=(line,))
            await (store.release(claim, report) if attempt < attempts else store.finish(claim, outcome, report))
    return parent_id


async def kept(store: Store) -> set[int]:
    return {job.id for job in await store.history(HistoryFilter(), before=None, limit=1_000)}


def count_rows(stores: Stores) -> dict[str, int]:
    return {table: stores.sql(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


async def test_r21_each_status_is_kept_for_its_own_time(store: RescuingStore, clock: StoppedClock) -> None:
    completed, failed, cancelled = [await add(store, f"db{n}", outcome) for n, outcome in enumerate(OUTCOMES.values())]
    retention = Retention(completed=10, failed=20, cancelled=None, keep_last=0)
    clock.at += 10 * MICROS
    assert await prune(store, retention, clock.at) == {}
    assert await prune(store, retention, clock.at + 1) == {Status.COMPLETED: 1}
    assert await kept(store) == {failed, cancelled}
    clock.at += 10 * MICROS
    assert await prune(store, retention, clock.at + 1) == {Status.FAILED: 1}
    assert await prune(store, retention, clock.at + 1000 * 365 * round(DAY) * MICROS) == {}
    assert await kept(store) == {cancelled}
    assert completed not in await kept(store)


async def test_r21_the_newest_of_each_target_are_kept_whatever_their_age(
    store: RescuingStore, clock: StoppedClock
) -> None:
    sales = [await add(store, "sales") for _ in range(5)]
    stock = [await add(store, "stock", FAILED), await add(store, "stock")]
    assert await prune(store, Retention(completed=0, failed=0, keep_last=2), clock.at + 1) == {Status.COMPLETED: 3}
    assert await kept(store) == {*sales[3:], *stock}


async def test_r21_what_is_pinned_or_open_is_never_removed(store: RescuingStore, clock: StoppedClock) -> None:
    pinned, pending, running, plain = [
        await add(store, "a"),
        await add(store, "b", None),
        await add(store, "c", None),
        await add(store, "d"),
    ]
    claim = await store.claim("me", parents=[running])
    assert claim is not None
    await store.pin(pinned, True)
    assert await prune(store, NOTHING, clock.at + 1) == {Status.COMPLETED: 1}
    assert await store.prune([pinned, pending, running, plain]) == 0
    assert await kept(store) == {pinned, pending, running}
    assert (await store.job(pinned)).pinned
    await store.pin(pinned, False)
    assert await prune(store, NOTHING, clock.at + 1) == {Status.COMPLETED: 1}
    assert await kept(store) == {pending, running}


async def test_an_unknown_job_cannot_be_pinned(store: RescuingStore) -> None:
    with pytest.raises(JobNotFoundError):
        await store.pin(7, True)


async def test_r21_all_that_belongs_to_a_job_goes_with_it(
    stores: Stores, store: RescuingStore, clock: StoppedClock
) -> None:
    await add(store, "sales", FAILED, attempts=3)
    assert count_rows(stores) == {"parent_job": 1, "child_job": 1, "step": 3, "log": 3, "attempt": 2}
    (again,) = await store.submit([new_job("sales", Operation.VACUUM, retry_of=1)], OnDuplicate.REFUSE)
    await prune(store, NOTHING, clock.at + 1)
    assert count_rows(stores) == {"parent_job": 1, "child_job": 1, "step": 0, "log": 0, "attempt": 0}
    assert (await store.job(again)).retry_of is None


async def test_r21_history_is_removed_in_batches(
    store: RescuingStore, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.history.retention.BATCH", 3)
    for number in range(10):
        await add(store, f"db{number}", FAILED if number % 2 else COMPLETED)
    batches: list[int] = []
    remove = store.prune

    async def counted(parent_ids: list[int]) -> int:
        batches.append(len(parent_ids))
        return await remove(parent_ids)

    monkeypatch.setattr(store, "prune", counted)
    assert await prune(store, NOTHING, clock.at + 1) == {Status.COMPLETED: 5, Status.FAILED: 5}
    assert batches == [3, 2, 3, 2]
    assert await kept(store) == set()


async def test_r21_a_dry_run_counts_what_the_run_then_removes(store: RescuingStore, clock: StoppedClock) -> None:
    for number in range(BATCH + 30):
        await add(store, f"db{number % 7}", COMPLETED if number % 3 else CANCELLED)
    retention = Retention(completed=0, cancelled=0, keep_last=5)
    before = await kept(store)
    counted = await prune(store, retention, clock.at + 1, dry_run=True)
    assert await kept(store) == before
    assert await prune(store, retention, clock.at + 1) == counted
    assert sum(counted.values()) == len(before) - 7 * 5


class Model:
    """What should be kept, computed from a list of jobs as one would on paper."""

    def __init__(self) -> None:
        self.jobs: list[tuple[int, str, Status, int, bool]] = []

    def removed(self, retention: Retention, now: int) -> Counter[Status]:
        removed: Counter[Status] = Counter()
        newest: defaultdict[str, list[int]] = defaultdict(list)
        for parent_id, target, *_ in reversed(self.jobs):
            newest[target].append(parent_id)
        for job in list(self.jobs):
            parent_id, target, status, ended_at, pinned = job
            age = retention.ages.get(status)
            protected = pinned or parent_id in newest[target][: retention.keep_last]
            if age is not None and ended_at < now - round(age * 1e6) and not protected:
                removed[status] += 1
                self.jobs.remove(job)
        return removed


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from([*OUTCOMES, None]), st.booleans(), st.integers(0, 50 * MICROS)
        ),
        max_size=20,
    ),
    ages=st.lists(st.one_of(st.none(), st.integers(0, 400)), min_size=3, max_size=3),
    keep_last=st.integers(0, 4),
    later=st.integers(0, 300 * MICROS),
)
@example(jobs=[("a", Status.COMPLETED, False, 0)] * 5, ages=[0, None, None], keep_last=2, later=1)
@example(
    jobs=[(target, status, pinned, MICROS) for target in "ab" for status in OUTCOMES for pinned in (False, True)],
    ages=[3, 0, None],
    keep_last=1,
    later=1,
)
def test_r21_what_is_removed_is_what_the_rules_say(
    new_stores: NewStores,
    jobs: list[tuple[str, Status | None, bool, int]],
    ages: list[int | None],
    keep_last: int,
    later: int,
) -> None:
    retention = Retention(completed=ages[0], failed=ages[1], cancelled=ages[2], keep_last=keep_last)

    async def compare() -> None:
        clock, model = StoppedClock(), Model()
        with new_stores() as stores:
            async with stores.open(clock=clock) as store:
                for number, (target, status, pinned, seconds) in enumerate(jobs):
                    outcome = None if status is None else OUTCOMES[status]
                    shown = target if status else f"open {target} {number}"
                    parent_id = await add(store, shown, outcome)
                    await store.pin(parent_id, pinned)
                    model.jobs.append((parent_id, shown, status or Status.PENDING, clock.at, pinned))
                    clock.at += seconds
                now = clock.at + later
                expected = model.removed(retention, now)
                assert await prune(store, retention, now, dry_run=True) == expected
                assert await prune(store, retention, now) == expected
                assert await kept(store) == {parent_id for parent_id, *_ in model.jobs}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.history.retention.BREATH", 0)
        patch.setattr("engine.history.retention.BATCH", 3)
        asyncio.run(compare())


async def test_r21_old_changes_are_forgotten_and_between_those_kept_there_is_no_gap(
    store: RescuingStore, clock: StoppedClock
) -> None:
    for _ in range(3):
        await add(store, "sales")  # six changes each
        clock.at += 10
    orchestrator = ParentJobOrchestrator(store)
    assert await store.prune_changes(before=clock.at - 15, limit=4) == 4
    assert await store.prune_changes(before=clock.at - 15, limit=100) == 8
    assert await store.prune_changes(before=clock.at - 15, limit=100) == 0
    assert [change.seq for change in await store.changes(0, 99)] == list(range(13, 19))
    changes = orchestrator.changes(after=2)
    assert await anext(changes) == Lagged(2, 13)
    assert [change.seq for change in [await anext(changes) for _ in range(6)] if isinstance(change, Change)] == list(
        range(13, 19)
    )


async def test_r21_the_newest_change_stays_so_that_numbers_go_on(store: RescuingStore, clock: StoppedClock) -> None:
    await add(store, "sales")
    late = ParentJobOrchestrator(store).changes(after=0)
    assert await store.prune_changes(before=clock.at + 1, limit=100) == 5
    assert await store.prune_changes(before=clock.at + 1, limit=100) == 0
    assert await newest_change(store) == 6
    assert await anext(late) == Lagged(0, 6)
    await add(store, "stock")
    assert [change.seq for change in await store.changes(0, 99)] == list(range(6, 13))


async def test_r21_changes_that_a_clock_set_back_put_in_disorder_leave_no_gap(
    store: RescuingStore, clock: StoppedClock
) -> None:
    """The store never lets times of one job go back; what concerns the whole store may."""
    for at in (100, 50, 200, 10, 300):
        clock.at = at
        await store.pause("ann")
        await store.resume()
    while await store.prune_changes(before=150, limit=3):
        pass
    assert [change.seq for change in await store.changes(0, 99)] == list(range(5, 11))


async def test_r21_pruning_forgets_the_changes_of_long_ago(store: RescuingStore, clock: StoppedClock) -> None:
    await add(store, "sales")
    clock.at += round(CHANGES_KEPT * MICROS)
    await add(store, "sales")
    clock.at += 1
    await prune(store, Retention(), clock.at)
    assert [change.seq for change in await store.changes(0, 99)] == list(range(7, 13))
    assert len(await kept(store)) == 2


async def test_r21_a_job_that_was_removed_is_unknown(store: RescuingStore, clock: StoppedClock) -> None:
    parent_id = await add(store, "sales")
    await prune(store, NOTHING, clock.at + 1)
    with pytest.raises(JobNotFoundError):
        await store.job(parent_id)
    with pytest.raises(JobNotFoundError):
        await store.request_cancel(JobId(parent_id))
    assert await add(store, "sales") == parent_id + 1  # no id is used twice
