"""kill -9 of the console in the middle of a batch: of it alone, with all that works for it, and while it submits."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, JobOutcome, Operation, Request, StoreLocation
from tests.chaos.checker import check
from tests.chaos.console import console
from tests.chaos.processes import processes
from tests.chaos.storm import until_all_is_over
from tests.chaos.test_batch import completions, finished, tenant
from tests.chaos.trace import Trace, What
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.sqlite_files import content, transaction
from tests.waiting import eventually

FILES = 40
CONFIG = """
[targets.tenants]
url = "{}/t*.db"
operations = ["vacuum"]
lock_timeout = 600
"""


@pytest.mark.parametrize(
    "with_workers",
    [pytest.param(False, id="alone"), pytest.param(True, id="with its workers", marks=pytest.mark.long)],
)
async def test_r7_a_batch_is_completed_once_when_its_console_is_killed(tmp_path: Path, with_workers: bool) -> None:
    files = [tenant(tmp_path / f"t{number}.db") for number in range(FILES)]
    contents = {path: content(path) for path in files}
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(tmp_path))
    trace = Trace(tmp_path)
    arguments = ("--store", trace.store, "--config", config)
    with processes(trace) as started:
        with transaction(files[-1], "DEFERRED"):  # which keeps one VACUUM waiting, so that some job is left
            with console(started.environment(), *arguments) as first:
                await first.shows(f"{FILES} targets")
                first.press(b"*")
                await first.shows(f"{FILES} marked")
                first.press(b"\r")
                await first.shows("optimize")
                first.press(b"r")
                await first.shows("run this plan")
                first.press(b"\r")
                await finished(trace, 5)
                started.kill(first.pid)
                await first.ended()
            if with_workers:
                started.kill_all()
        if with_workers:
            left = len(await open_jobs(trace.store))
            assert left > 0
            with console(started.environment(), *arguments) as second:
                await second.shows("from earlier")
                before = sum(line.what is What.FINISHED for line in trace.told())
                second.press(b"y")
                await finished(trace, before + min(left, 5))
                started.kill(second.pid)
                await second.ended()
        await until_all_is_over(trace.store)
        async with Engine.open(trace.store) as engine:
            assert (await engine.batch(1)).counts == {JobOutcome.COMPLETED: FILES}
        with console(started.environment(), *arguments) as last:
            await last.shows(f"{FILES} targets")
            last.press(b"h")
            await last.shows(f"{FILES} completed")
    assert await check(trace.store, trace.told(), contents) == []
    assert completions(trace.store) == dict.fromkeys(range(1, FILES + 1), 1)


MANY = 450
"""More than two portions."""
GATE = 4711
STOP_AT_GATE = f"""CREATE FUNCTION stop_at_gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END $$;
CREATE TRIGGER gate BEFORE INSERT ON dbtend.parent_job FOR EACH ROW WHEN (NEW.retry_of = 250)
EXECUTE FUNCTION stop_at_gate()"""
LOCKS = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {GATE}"


@pytest.fixture
def store_url(postgres: PostgresServer) -> Iterator[str]:
    with copied_store(postgres) as url:
        yield url


async def test_r7_a_retry_is_submitted_once_when_its_console_is_killed_in_a_portion(
    tmp_path: Path, store_url: str
) -> None:
    one = tenant(tmp_path / "one.db")
    files = [shutil.copy(one, tmp_path / f"t{number}.db") for number in range(MANY)]
    with as_admin(store_url) as admin, processes(Trace(tmp_path)) as started:
        async with Engine.open(StoreLocation.parse(store_url)) as engine:
            await engine.pause("a test")
            await engine.submit([Request(target=str(path), operations=(Operation.ANALYZE,)) for path in files])
            await engine.cancel_batch(1)
            admin.execute(STOP_AT_GATE)
            admin.execute(f"SELECT pg_advisory_lock({GATE})")
            with console(started.environment(), "--store", store_url) as first:
                await first.shows(f"b1  {MANY} targets")
                first.press(b"3t")
                await first.shows(f"{MANY} jobs of b1")
                first.press(b"y")
                await eventually(lambda: admin.execute(LOCKS).fetchone() == (2,))
                started.kill(first.pid)
                await first.ended()
            batch = await engine.batch(2)
            assert (batch.total, batch.unsubmitted) == (200, MANY - 200)
            admin.execute(f"SELECT pg_advisory_unlock({GATE})")
            await eventually(lambda: admin.execute(LOCKS).fetchone() == (0,))
            batch = await engine.batch(2)
            assert (batch.total, batch.unsubmitted) == (400, MANY - 400)  # the server has gone on with it
            with console(started.environment(), "--store", store_url) as second:
                await second.shows(f"{batch.total} of {MANY} targets")
                second.press(b"3Gt")
                await second.shows(f"{batch.unsubmitted} jobs of b1 that the last retry did not submit")
                second.press(b"y")
                await second.shows(f"b3  {batch.unsubmitted} targets")
            repeated = Counter(job.retry_of for job in await engine.history(limit=3 * MANY) if job.batch != 1)
            assert repeated == dict.fromkeys(range(1, MANY + 1), 1)
            assert (await engine.batch(3)).unsubmitted == 0


async def open_jobs(store: Path) -> list[int]:
    async with Engine.open(store) as engine:
        return [job.id for job in await engine.open_jobs()]
