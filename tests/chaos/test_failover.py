"""Hosts with one shared store while a standby takes over from its server, and workers are killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.store.postgres.store import PostgresStore
from tests.chaos.checker import Kind, judge, record_of
from tests.chaos.shared_storm import Place, Workers, a_database, changed_content, gaps, submit, until_all_is_over
from tests.chaos.trace import Trace, What
from tests.failover import Pair, streaming_pair
from tests.postgres_server import PostgresServer, running_server
from tests.sqlite_files import content, make_database
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.checker import Record

pytestmark = pytest.mark.long
HOSTS = ("h0", "h1", "h2")
JOBS = 10
"""That end before something happens, and after it."""
DECLARED_DEAD = 70


@pytest.fixture
def pair(postgres: PostgresServer) -> Iterator[Pair]:
    with streaming_pair(postgres.binaries) as both:
        yield both


class Night:
    def __init__(self, pair: Pair, workers: Workers, trace: Trace, stop_submitting: Callable[[], object]) -> None:
        self.pair, self.workers, self.trace, self.stop_submitting = pair, workers, trace, stop_submitting

    def finished(self) -> int:
        return sum(line.what is What.FINISHED for line in self.trace.told())

    async def goes_on(self) -> None:
        """Until some more jobs have ended."""
        enough = self.finished() + JOBS

        def is_so() -> bool:
            self.workers.replace_ended()
            return self.finished() >= enough

        await eventually(is_so)

    async def record(self) -> Record:
        """Once all jobs have ended."""
        async with PostgresStore.open(self.pair.url, what="the store", host="judge") as store:
            await until_all_is_over(store, self.workers)
            return await record_of(store)


@asynccontextmanager
async def a_night(pair: Pair, directory: Path) -> AsyncIterator[Night]:
    """Jobs are submitted and run while inside; in the end no database has another content than before."""
    trace = Trace(directory)
    files = {host: [make_database(directory / f"{host}-{at}.db", rows=500) for at in range(2)] for host in HOSTS}
    contents = {path: content(path) for paths in files.values() for path in paths}
    with running_server(pair.primary.binaries) as other, ExitStack() as stack:
        workers = Workers([Place(host, pair.url) for host in (*HOSTS, HOSTS[0])], trace)
        stack.callback(workers.kill_all)
        databases = [a_database(other, f"d{number}") for number in range(2)]
        submitting = asyncio.create_task(submit(pair.url, files, databases, trace, seed=1))
        stack.callback(submitting.cancel)
        night = Night(pair, workers, trace, submitting.cancel)
        await night.goes_on()
        yield night
        assert list(changed_content(contents)) == []
        assert "Traceback" not in (directory / "output").read_text()


async def test_r35_a_synchronous_standby_that_takes_over_loses_nothing_and_repeats_nothing(
    pair: Pair, tmp_path: Path
) -> None:
    async with a_night(pair, tmp_path) as night:
        await asyncio.to_thread(pair.synchronize)
        await night.goes_on()
        night.workers.kill(night.workers.running[0])
        await asyncio.to_thread(pair.fail_over)
        await night.goes_on()
        night.stop_submitting()
        record = await night.record()
        assert [*judge(record, night.trace.told()), *gaps(record)] == []
        assert not night.workers.ended[DECLARED_DEAD]


async def test_r35_what_a_standby_behind_has_lost_is_told_and_the_rest_comes_to_its_end(
    pair: Pair, tmp_path: Path
) -> None:
    async with a_night(pair, tmp_path) as night:
        await asyncio.to_thread(pair.fall_behind)
        await night.goes_on()
        await asyncio.to_thread(pair.fail_over)
        await night.goes_on()
        night.stop_submitting()
        record = await night.record()
        findings = [*judge(record, night.trace.told()), *gaps(record)]
        # The trace also has the jobs and ends that are lost.
        assert [finding for finding in findings if finding.kind not in {Kind.LOST, Kind.FINISH}] == []
        assert night.workers.ended[DECLARED_DEAD] == len(night.workers.running)
        assert "lacks the newest changes that were stored" in (tmp_path / "output").read_text()
