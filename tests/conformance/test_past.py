"""What earlier jobs tell: runs, steps, turns, backups, measurements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.domain.advice import CompletedStep, Measurement, TargetRecords
from engine.domain.claims import Outcome, Report
from engine.domain.damage import Damage, DamageChange, DamageSource
from engine.domain.engines import EngineName
from engine.domain.events import HistoryFilter
from engine.domain.past_runs import EstimatedRun, PastRun, PastStep, RecordedBackup
from engine.domain.requests import NO_SERVER_OPTIONS, OnDuplicate, Operation, Options, Speed
from engine.domain.statuses import Reason, Status
from engine.domain.steps import COURSE, Facts, Step
from engine.domain.turns import Turns
from engine.history.estimates import EARLIER_RUNS, JOBS_READ
from engine.history.target_history import estimated, target_history
from engine.store.protocol import NewBatch
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import OperationPlan, PlannedStep
from tests.building import COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SALES = "sqlite:///sales.db"
SECOND = 1_000_000
A_STEP = PlannedStep(object="main", command="VACUUM", reason="", lock=NO_LOCK)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def store(stores: Stores, clock: StoppedClock) -> AsyncIterator[RescuingStore]:
    async with stores.open(clock=clock) as opened:
        yield opened


def step(
    clock: StoppedClock,
    number: int = 1,
    *,
    name: str = "main",
    status: Status = Status.COMPLETED,
    effect: Facts | None = None,
    operation: Operation | None = None,
) -> Step:
    """One that took 3 seconds."""
    return Step(
        number=number, attempt=1, object=name, command=f"VACUUM {name}", status=status, effect=effect,
        started_at=clock.at, finished_at=clock.at + 3 * SECOND, operation=operation,
    )  # fmt: skip


async def run(
    store: RescuingStore,
    clock: StoppedClock,
    outcome: Outcome = COMPLETED,
    *steps: Step,
    operation: Operation = Operation.VACUUM,
    engine: EngineName = EngineName.SQLITE,
) -> int:
    """A run of five seconds."""
    job = replace(new_job("sales", operation), engine=engine)
    (parent_id,) = await store.submit([job], OnDuplicate.ADD)
    claim = await store.claim("me", [parent_id])
    assert claim is not None
    clock.at += 5 * SECOND
    await store.finish(claim, outcome, Report(steps=steps))
    return parent_id


async def records(store: RescuingStore, *operations: Operation, since: int = 0, last: int = 1) -> TargetRecords:
    return await store.records(SALES, operations, since=since, last=last, limit=9)


async def test_past_runs_are_those_that_did_all_they_had_to(store: RescuingStore, clock: StoppedClock) -> None:
    first = await run(store, clock, replace(COMPLETED, after={"size": 4096}))
    in_part = await run(store, clock, replace(COMPLETED, reason=Reason.TIME_LIMIT))
    failed = await run(store, clock, FAILED)
    await run(store, clock, operation=Operation.ANALYZE)
    runs = await store.past_runs(SALES, Operation.VACUUM, newest=2**62, jobs=9, runs=9)
    assert [one.job.parent for one in runs] == [failed, first]
    options = new_job("sales").request.options
    assert runs[1] == PastRun(runs[1].job, Status.COMPLETED, clock.at - 15 * SECOND, 5.0, 4096.0, options)
    found = await store.past_runs(SALES, Operation.VACUUM, newest=in_part, jobs=9, runs=1)
    assert [one.job.parent for one in found] == [first]
    assert await store.past_runs("sqlite:///none.db", Operation.VACUUM, newest=9, jobs=9, runs=9) == []


async def test_runs_with_estimates(store: RescuingStore, clock: StoppedClock) -> None:
    await run(store, clock)
    await run(store, clock, replace(FAILED, estimate=3.0, size_estimate=3.0))
    await run(store, clock, replace(COMPLETED, estimate=4.5, size_estimate=6.5))
    options = new_job("sales").request.options
    known = EstimatedRun(SALES, Operation.VACUUM, 4.5, 5.0, options=options)
    assert await store.estimated_runs(9) == [known]
    assert await store.runs_by_size(9) == [replace(known, estimate=6.5)]
    await run(store, clock, replace(COMPLETED, estimate=7.5, before={"size": 4096}))
    assert await store.estimated_runs(9) == [replace(known, estimate=7.5, size=4096.0), known]


async def test_what_each_command_took(store: RescuingStore, clock: StoppedClock) -> None:
    waited = step(clock, 2, name="other", effect={"waited": 1.0})
    failed = step(clock, 3, name="third", status=Status.FAILED)
    several = step(clock, 4, name="2 small tables", effect={"objects": ["a", "b"]})
    await run(store, clock, COMPLETED, step(clock), waited, failed, several)
    found = await store.past_steps(SALES, Operation.VACUUM, speed=NO_SERVER_OPTIONS.speed, jobs=9, runs=9)
    assert found == {
        "VACUUM main": PastStep(3.0, objects=("main",)),
        "VACUUM other": PastStep(2.0, objects=("other",)),
        "VACUUM 2 small tables": PastStep(3.0, objects=("a", "b")),
    }
    assert await store.past_steps(SALES, Operation.VACUUM, speed=Speed.GENTLE, jobs=9, runs=9) == {}


async def test_the_course_of_a_command_is_that_of_its_newest_run(store: RescuingStore, clock: StoppedClock) -> None:
    for course in ([3, 5], [4, 9], "no course", [-1], [10**400]):
        await run(store, clock, COMPLETED, step(clock, effect={COURSE: course}), step(clock, 2, name="other"))
        found = await store.past_steps(SALES, Operation.VACUUM, speed=NO_SERVER_OPTIONS.speed, jobs=9, runs=9)
        is_sound = isinstance(course, list) and 0 < course[0] < 10
        assert found["VACUUM main"].course == (tuple(course) if is_sound else ())
        assert found["VACUUM other"].course == ()


async def test_what_was_done_last_to_each_table_of_a_server(store: RescuingStore, clock: StoppedClock) -> None:
    kept, none = {"rows_kept": 3}, {"rows_kept": 0}
    vacuum, rebuild = Operation.VACUUM, Operation.REINDEX
    steps = [
        step(clock, 1, name="a", effect=kept, operation=vacuum),
        step(clock, 2, name="b", effect=none, operation=vacuum),
        step(clock, 3, name="i", operation=rebuild),
    ]
    await run(store, clock, COMPLETED, *steps, engine=EngineName.POSTGRESQL)
    at = clock.at - 2 * SECOND
    assert (await records(store)).last_done == {
        (vacuum, "a"): CompletedStep(at, kept),
        (rebuild, "i"): CompletedStep(at, {}),
    }
    later = step(clock, 1, name="a", effect=none, operation=vacuum)
    await run(store, clock, COMPLETED, later, engine=EngineName.POSTGRESQL)
    assert set((await records(store)).last_done) == {(rebuild, "i")}


async def test_whose_turn_it_is(store: RescuingStore, clock: StoppedClock) -> None:
    vacuum = Operation.VACUUM
    first = await run(store, clock, COMPLETED, step(clock, 1, name="a"), step(clock, 2, name="b"))
    both = step(clock, 1, name="2 tables", effect={"objects": ["b", "c"]})
    failed = step(clock, 2, name="a", status=Status.FAILED)
    second = await run(store, clock, replace(FAILED, left=4), both, failed)
    assert await store.turns(SALES, jobs=9, steps=99) == Turns(
        done={(vacuum, "a"): first, (vacuum, "b"): second, (vacuum, "c"): second, (vacuum, "2 tables"): second},
        begun={(vacuum, "a"): second, (vacuum, "b"): second, (vacuum, "c"): second, (vacuum, "2 tables"): second},
        unfinished={vacuum: second},
    )


async def test_backups_on_record(store: RescuingStore, clock: StoppedClock) -> None:
    effect: Facts = {"backup": "/b/1.db", "backup_size": 7, "backup_file": "f", "backup_source": "s"}
    old = {"backup": "/b/0.db"}
    await run(store, clock, replace(COMPLETED, warnings=("odd",)), step(clock, effect=old), operation=Operation.BACKUP)
    await run(store, clock, COMPLETED, step(clock, effect=effect), operation=Operation.BACKUP)
    newest, oldest = (await records(store)).backups
    assert newest == RecordedBackup(
        path="/b/1.db", size=7, identity="f", source="s", is_checked=True,
        started_at=clock.at - 5 * SECOND, finished_at=clock.at - 2 * SECOND,
    )  # fmt: skip
    assert (oldest.path, oldest.size, oldest.is_checked) == ("/b/0.db", None, False)


async def test_an_estimate_is_by_older_runs_where_the_newest_all_failed(
    store: RescuingStore, clock: StoppedClock
) -> None:
    options, planned = new_job("sales").request.options, OperationPlan(operation=Operation.VACUUM, steps=(A_STEP,))
    await run(store, clock)
    for _ in range(JOBS_READ[0] + 1):
        await run(store, clock, FAILED)
    assert (await estimated(store, SALES, planned, options, {})).estimate == 5.0


async def test_a_measurement_is_kept_and_replaced(store: RescuingStore) -> None:
    assert await store.measured_and_damage(SALES) == (None, ())
    for found in ({"size": 1.5, "é": [1, None]}, {"size": 2}):
        await store.save_measurement(SALES, Measurement(state="1:2", found=found))
        assert await store.measured_and_damage(SALES) == (Measurement(state="1:2", found=found), ())
    damage = Damage(source=DamageSource.MAP, found_at=1, text="torn")
    await store.save_damage(SALES, DamageChange(found=(damage,)))
    assert (await store.measured_and_damage(SALES))[1] == (damage,)


async def test_the_records_of_a_target(store: RescuingStore, clock: StoppedClock) -> None:
    measured = Measurement(state="7", found={"unused": 12})
    await store.save_measurement(SALES, measured)
    operations = (Operation.VACUUM, Operation.CHECK)
    assert await records(store, *operations) == TargetRecords(jobs=[], measured=measured)
    copied = step(clock, effect={"backup": "/backups/sales.db", "backup_file": "1"})
    await run(store, clock, COMPLETED, copied, operation=Operation.BACKUP)
    since = clock.at
    await run(store, clock, FAILED, operation=Operation.CHECK)
    await run(store, clock, COMPLETED, step(clock, operation=Operation.REINDEX), engine=EngineName.POSTGRESQL)
    found = await records(store, *operations, Operation.BACKUP, since=since, last=2)
    assert found == TargetRecords(
        jobs=await store.history(HistoryFilter(target=SALES), before=None, limit=2),
        newest={
            one: await store.history(HistoryFilter(target=SALES, operation=one, since=since), before=None, limit=9)
            for one in (*operations, Operation.BACKUP)
        },
        measured=measured,
        backups=[
            RecordedBackup(
                path="/backups/sales.db",
                size=None,
                identity="1",
                source="",
                is_checked=True,
                started_at=since - 5 * SECOND,
                finished_at=since - 2 * SECOND,
            )
        ],
        last_done={(Operation.REINDEX, "main"): CompletedStep(since + 8 * SECOND, {})},
    )
    assert [len(found.newest[one]) for one in (*operations, Operation.BACKUP)] == [1, 1, 0]
    assert (len(found.jobs), len(found.backups), len(found.last_done)) == (2, 1, 1)
    of_all = await records(store, *operations, Operation.BACKUP, since=since, last=9)
    assert (len(of_all.jobs), of_all.newest) == (3, found.newest)


async def test_open_targets_and_the_jobs_that_ended(store: RescuingStore, clock: StoppedClock) -> None:
    ended = await run(store, clock)
    at = clock.at
    clock.at += SECOND
    later = await run(store, clock)
    await store.submit([new_job("stock"), new_job("stock", Operation.VACUUM)], OnDuplicate.REFUSE)
    assert await store.open_targets() == ["sqlite:///stock.db"]
    assert list(await store.ended_jobs(at, limit=9)) == [later, ended]
    assert list(await store.ended_jobs(at + 1, limit=9)) == [later]
    assert list(await store.ended_jobs(0, limit=1)) == [later]


async def test_when_a_batch_began_and_ended(store: RescuingStore, clock: StoppedClock) -> None:
    await store.submit([new_job(name, Operation.VACUUM) for name in "ab"], OnDuplicate.REFUSE, NewBatch())
    assert await store.batch_span(1) == (None, None)
    begun = clock.at
    for _ in range(2):
        claim = await store.claim("me")
        assert claim is not None
        assert await store.batch_span(1) == (begun, None)
        clock.at += SECOND
        await store.finish(claim, COMPLETED, Report())
    assert await store.batch_span(1) == (begun, begun + 2 * SECOND)


async def test_who_paused_and_when(store: RescuingStore, clock: StoppedClock) -> None:
    assert await store.paused() is None
    await store.pause("member@desk")
    await store.pause("bob")
    pause = await store.paused()
    assert pause is not None
    assert (pause.by, pause.at) == ("member@desk", clock.at)
    await store.resume()
    assert await store.paused() is None


async def test_the_death_of_an_owner_is_noticed(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with store.hosting_workers() as owner:
        claim = await store.claim(owner)
        assert claim is not None
        watching = asyncio.create_task(store.owner_died())
        await asyncio.sleep(0)
        await store.finish(claim, COMPLETED, Report())
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        assert not watching.done()
        assert await store.claim("nobody proves that it lives") is not None
        async with asyncio.timeout(30):
            await watching


async def test_one_process_has_a_role(stores: Stores, store: RescuingStore) -> None:
    async with stores.open() as other:
        async with store.holding_role("sender") as has_it:
            async with other.holding_role("sender") as has_it_too, other.holding_role("scheduler") as has_another:
                assert (has_it, has_it_too, has_another) == (True, False, True)
            assert await other.role_is_held("sender")

        async def is_free() -> bool:
            return not await other.role_is_held("sender")

        await eventually(is_free)
        assert await store.fingerprint() == await other.fingerprint()


async def test_the_known_jobs_of_a_target_tell_what_the_store_would_tell(
    store: RescuingStore, clock: StoppedClock
) -> None:
    await run(store, clock, replace(COMPLETED, before={"size": 1}), step(clock))
    await run(store, clock, operation=Operation.ANALYZE)
    plan = OperationPlan(operation=Operation.VACUUM, steps=(replace(A_STEP, estimate=5.0),))
    known = (await target_history(store, SALES, clock.at)).jobs
    read = await estimated(store, SALES, plan, Options(), {"size": 2})
    assert read.estimated_from == EARLIER_RUNS
    assert known is not None
    assert await estimated(store, SALES, plan, Options(), {"size": 2}, known) == read
