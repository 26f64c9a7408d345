"""Who listens hears everything, in commit order, from every process."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

from engine.domain.claims import Report
from engine.domain.events import Change, Lagged
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.store.protocol import MAX_ATTEMPTS
from tests.building import ALL_FOUR, COMPLETED, new_job
from tests.conformance.stores import RescuingStore, Stores, until_somebody_waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest


async def take(changes: AsyncIterator[Change | Lagged], count: int) -> list[Change | Lagged]:
    async with asyncio.timeout(30):
        return [await anext(changes) for _ in range(count)]


async def run_one_job(store: RescuingStore, target: str) -> None:
    await store.submit([new_job(target, Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, COMPLETED, Report())


async def test_r22_changes_come_in_commit_order_without_a_gap(store: RescuingStore) -> None:
    changes = ParentJobOrchestrator(store).changes()
    await run_one_job(store, "sales")
    seen = await take(changes, 6)
    assert [(str(c.job), c.new) for c in seen if isinstance(c, Change)] == [
        ("1", Status.PENDING),
        ("1.1", Status.PENDING),
        ("1.1", Status.RUNNING),
        ("1", Status.RUNNING),
        ("1.1", Status.COMPLETED),
        ("1", Status.COMPLETED),
    ]
    assert [c.seq for c in seen if isinstance(c, Change)] == list(range(1, 7))


async def test_r22_a_slow_subscriber_loses_nothing_and_goes_on_from_its_cursor(
    store: RescuingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "engine.execution.orchestrator.PAGE", 7
    )  # so that what it holds in memory is seen to be bounded
    orchestrator = ParentJobOrchestrator(store)
    slow = orchestrator.changes()
    for number in range(20):
        await run_one_job(store, f"db{number}")
    seen = await take(slow, 20 * 6)
    assert [c.seq for c in seen if isinstance(c, Change)] == list(range(1, 20 * 6 + 1))
    resumed = await take(orchestrator.changes(after=100), 3)
    assert [c.seq for c in resumed if isinstance(c, Change)] == [101, 102, 103]


async def test_r22_who_comes_after_the_events_were_pruned_is_told(stores: Stores, store: RescuingStore) -> None:
    await run_one_job(store, "sales")
    stores.sql("DELETE FROM event WHERE seq <= 4")
    assert await take(ParentJobOrchestrator(store).changes(after=1), 2) == [
        Lagged(1, 5),
        (await store.changes(4, 1))[0],
    ]
    await store.next_change(5)  # until it knows of the sixth
    stores.sql("DELETE FROM event")
    assert await anext(ParentJobOrchestrator(store).changes(after=1)) == Lagged(1, 7)


async def test_r4_a_commit_of_another_process_is_heard_by_who_waits(stores: Stores, store: RescuingStore) -> None:
    script = """
        from engine.domain.requests import OnDuplicate, Operation
        from tests.building import new_job

        async def main():
            async with opened() as store:
                print("ready", flush=True)
                await asyncio.to_thread(sys.stdin.readline)
                await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)

        asyncio.run(main())
    """
    heard = asyncio.create_task(take(ParentJobOrchestrator(store).changes(), 2))
    with stores.python(script) as other:
        assert await other.says() == "ready"
        await until_somebody_waits(store)
        other.tell("go")
        seen = await heard
    assert [str(c.job) for c in seen if isinstance(c, Change)] == ["1", "1.1"]


async def test_r8_processes_on_one_store_never_share_a_target_or_an_attempt(
    stores: Stores, store: RescuingStore, tmp_path: Path
) -> None:
    """Three real processes work off 30 children on three targets; the log they append to tells who ran when."""
    script = """
        from engine.domain.claims import Outcome, Report
        from engine.domain.statuses import Status

        async def main():
            log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            async with opened() as store, store.hosting_workers() as owner:
                while await store.open_jobs():
                    if claim := await store.claim(owner):
                        os.write(log, f"begin {claim.target} {claim.job} {claim.attempt}\\n".encode())
                        await asyncio.sleep(0.002)
                        os.write(log, f"end {claim.target} {claim.job} {claim.attempt}\\n".encode())
                        await store.finish(claim, Outcome(status=Status.COMPLETED), Report())

        asyncio.run(main())
    """
    jobs = [new_job(f"db{n}", *operations) for n in range(3) for operations in (ALL_FOUR[k:] for k in range(4))]
    await store.submit(jobs, OnDuplicate.REFUSE)
    log = tmp_path / "log"
    with ExitStack() as stack:
        processes = [stack.enter_context(stores.python(script, log)) for _ in range(3)]
        assert [await process.ended() for process in processes] == [0, 0, 0]
    running: dict[str, str] = {}
    begun: list[str] = []
    for entry in log.read_text().splitlines():
        what, target, job, attempt = entry.split()
        if what == "begin":
            assert target not in running
            running[target] = job
            begun.append(f"{job} {attempt}")
        else:
            assert running.pop(target) == job
    assert len(begun) == len(set(begun)) == 3 * (4 + 3 + 2 + 1)
    assert {parent.status for parent in await store.jobs(range(1, 13))} == {Status.COMPLETED}


async def test_r23_no_attempt_is_miscounted_where_processes_claim_and_hand_back_at_once(
    stores: Stores, store: RescuingStore
) -> None:
    script = """
        from engine.domain.claims import Report

        async def main():
            async with opened() as store, store.hosting_workers() as owner:
                print("ready", flush=True)
                await asyncio.to_thread(sys.stdin.readline)
                left = 40
                while left:
                    if claim := await store.claim(owner):
                        await store.release(claim, Report())
                        left -= 1

        asyncio.run(main())
    """
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    with stores.python(script) as one, stores.python(script) as two:
        for process in (one, two):
            assert await process.says() == "ready"
        for process in (one, two):
            process.tell("go")
        assert [await process.ended() for process in (one, two)] == [0, 0]
    (child,) = (await store.job(1)).children
    assert child.attempt == 80
    assert [attempt.number for attempt in child.attempts] == list(range(1, 81))
    assert {attempt.pid for attempt in child.attempts} == {one.pid, two.pid}
    assert stores.sql("SELECT max_attempts - attempt FROM child_job") == [(MAX_ATTEMPTS,)]
