"""Hosts with one shared store: whatever fails, no target is worked on twice at once, and nothing is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Report
from engine.domain.requests import OnDuplicate, Operation
from engine.store.postgres.store import PostgresStore
from tests.building import COMPLETED, new_job
from tests.chaos.checker import Kind, judge, record_of
from tests.chaos.instruments import tell_ends
from tests.chaos.shared_storm import SharedStorm, rage
from tests.chaos.trace import Line, Trace, What
from tests.postgres_databases import as_admin
from tests.shared_stores import copied_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.domain.claims import Claim
    from tests.postgres_server import PostgresServer

SEED = int(os.environ.get("DBTEND_CHAOS_SEED", "1"))
ALL_THAT_HAPPENS = {"submitted", "began", "finished", "rescued"}
FENCE = """AND owner = token ->> 'owner'
        AND attempt = (token ->> 'attempt')::integer AND status = 'running'
    RETURNING"""
TARGET_IS_FREE = """AND NOT EXISTS (SELECT FROM child_job AS r WHERE r.target_key = key AND r.status = 'running')"""


@pytest.mark.long
async def test_hosts_that_die_stop_and_are_cut_off_at_random_lose_and_break_nothing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    seen: set[str] = set()
    for seed in range(SEED, SEED + 3):  # now and then no mishap hits a process that works
        directory = tmp_path / f"seed{seed}"
        directory.mkdir()
        aftermath = await rage(SharedStorm(seed=seed, mishaps=15, long_cuts=0), postgres.binaries, directory)
        assert aftermath.findings == [], f"seed {seed}: {aftermath.counts}\n{aftermath.output[-20_000:]}"
        assert "Traceback" not in aftermath.output
        seen |= {what for what, count in aftermath.counts.items() if count}
        if seen >= ALL_THAT_HAPPENS:
            break
    assert seen >= ALL_THAT_HAPPENS


@pytest.fixture
def store_url(postgres: PostgresServer) -> Iterator[str]:
    with copied_store(postgres) as url:
        yield url


def replaced_in(url: str, function: str, old: str, new: str) -> None:
    """Plant a fault in a function of the store."""
    with as_admin(url) as admin:
        admin.execute("SET search_path = dbtend")
        ((source,),) = admin.execute("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = %s", (function,))
        assert old in source
        admin.execute(source.replace(old, new).encode())


async def test_the_checker_sees_two_that_run_on_one_target_at_once(store_url: str, tmp_path: Path) -> None:
    with as_admin(store_url) as admin:
        admin.execute("DROP INDEX dbtend.child_job_one_running_per_target")
        admin.execute(
            """CREATE OR REPLACE VIEW dbtend.claimable AS
            SELECT parent_id, ordinal, target_key, host_key, queue, reserved_by, recovering FROM dbtend.child_job
            WHERE due AND NOT held"""
        )
    replaced_in(store_url, "start_child", TARGET_IS_FREE, "")
    async with PostgresStore.open(store_url, what="the store") as store, store.hosting_workers() as owner:
        await store.submit([new_job("sales", Operation.VACUUM)] * 2, OnDuplicate.ADD)
        claims = [await store.claim(owner) for _ in range(2)]
        for claim in claims:
            assert claim is not None
            await store.finish(claim, COMPLETED, Report())
        found = judge(await record_of(store), ends_told(claims, Trace(tmp_path)))
    assert {finding.kind for finding in found} == {Kind.OVERLAP}


async def test_the_checker_sees_an_end_without_a_fence(store_url: str, tmp_path: Path) -> None:
    replaced_in(store_url, "finish", FENCE, "RETURNING")
    async with PostgresStore.open(store_url, what="the store") as store, store.hosting_workers() as owner:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.ADD)
        zombie = await store.claim(owner)
        assert zombie is not None
        await store.release(zombie, Report())
        second = await store.claim(owner)
        assert second is not None
        for claim in (zombie, second):
            await store.finish(claim, COMPLETED, Report())
        found = judge(await record_of(store), ends_told([zombie, second], Trace(tmp_path)))
    assert {finding.kind for finding in found} == {Kind.FINISH}


async def test_the_checker_knows_a_result_that_the_next_attempt_hands_in(store_url: str, tmp_path: Path) -> None:
    class Telling(PostgresStore): ...

    trace = Trace(tmp_path)
    tell_ends(Telling, trace)
    async with Telling.open(store_url, what="the store") as store, store.hosting_workers() as owner:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.ADD)
        first = await store.claim(owner)
        assert first is not None
        await store.release(first, Report())
        second = await store.claim(owner)
        assert second is not None
        await store.finish(second, replace(COMPLETED, attempt=1), Report())
        record = await record_of(store)
    assert [child.attempt for child in record.children] == [1]
    assert judge(record, trace.told()) == []


def ends_told(claims: Sequence[Claim | None], trace: Trace) -> list[Line]:
    for claim in claims:
        assert claim is not None
        trace.tell(What.FINISHED, job=claim.job, attempt=claim.attempt, status=COMPLETED.status)
    return trace.told()
