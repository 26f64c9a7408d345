"""Batches end to end: real files, real servers that are down or silent, the real engine."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import sys
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine import (
    BatchOptions,
    Engine,
    FailedRequest,
    HistoryFilter,
    JobOutcome,
    OnDuplicate,
    Operation,
    Options,
    ParentJob,
    Reason,
    Request,
    Status,
)
from engine.domain.errors import (
    DuplicateRequestError,
    ServerTimeoutError,
    TargetRefusedError,
    TargetUnavailableError,
    UsageError,
)
from engine.store.protocol import SUBMITTING
from engine.store.sqlite.leadership import role_is_held
from engine.submission import manager
from engine.submission.manager import DatabaseMaintenanceManager
from engine.targets import host_queue, resolve
from engine.targets.host_queue import AT_ONCE, PER_HOST, as_they_end, open_each
from tests.sqlite_files import transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from engine.targets.target import Target


def small(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE item(code)")
    return path


def damaged(path: Path) -> Path:
    """A file that begins as a database does, and is none."""
    small(path)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 8000)
    return path


def request(target: Path | str, *operations: Operation, **options: object) -> Request:
    chosen = Options(**{"lock_timeout": 0.1, **options})  # type: ignore[arg-type]
    return Request(target=str(target), operations=operations or (Operation.ANALYZE,), options=chosen)


def unlisted_pattern(server: str) -> FailedRequest:
    down = TargetUnavailableError("x", "is down")
    return FailedRequest(request(f"postgresql://dba@{server}/*"), down, is_pattern=True)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "state" / "jobs.db") as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [small(tmp_path / f"t{number}.db") for number in range(1, 6)]


def errors(job: ParentJob) -> list[str | None]:
    return [child.error for child in job.children]


async def test_several_requests_make_up_a_batch_and_one_does_not(engine: Engine, files: Sequence[Path]) -> None:
    (alone,) = await engine.submit([request(files[0])], batch=BatchOptions(canary=1))
    several = await engine.submit([request(path) for path in files[1:4]], batch=BatchOptions(max_failures=2))
    assert [job.batch for job in (alone, *several)] == [None, 1, 1, 1]
    batch = await engine.batch(1)
    assert (batch.options, batch.counts) == (BatchOptions(max_failures=2), {JobOutcome.PENDING: 3})
    assert await engine.history(HistoryFilter(batch=1)) == list(reversed(several))


async def test_what_cannot_be_opened_stops_no_other(tmp_path: Path) -> None:
    """Damaged, missing, locked, a directory, no database, not to be read, a server that is down: each is told once."""
    good = [small(tmp_path / f"t{number}.db") for number in range(20)]
    locked = small(tmp_path / "locked.db")
    bad = {
        str(damaged(tmp_path / "damaged.db")): "damaged.db",
        str(tmp_path / "missing.db"): "there is no such file",
        str(tmp_path): "a directory",
        "postgresql://dba@127.0.0.1:1/sales": "no server answers there",
    }
    text = tmp_path / "text.db"
    text.write_text("no database at all, whatever its name says" * 9)
    bad[str(text)] = "text.db"
    targets: list[Path | str] = [*good[:10], locked, *bad, *good[10:]]
    async with Engine.open(tmp_path / "jobs.db", workers=2) as engine:
        with transaction(locked, "EXCLUSIVE"):
            submitted = await engine.submit([request(target) for target in targets])
            jobs = await engine.wait([job.id for job in submitted])
        batch = await engine.batch(1)
    assert batch.counts == {JobOutcome.COMPLETED: 20, JobOutcome.FAILED: 2, JobOutcome.UNREACHABLE: 4}
    assert [job.status for job in jobs[:10] + jobs[16:]] == [Status.COMPLETED] * 20
    assert {child.reason for child in jobs[10].children} == {Reason.TARGET_BUSY}
    for job, part in zip(jobs[11:16], bad.values(), strict=True):
        (child,) = job.children
        reason = Reason.OPERATION_ERROR if part == "damaged.db" else Reason.UNREACHABLE
        assert (child.status, child.reason, child.attempt) == (Status.FAILED, reason, 0)
        assert part in (child.error or "")


async def test_what_is_refused_keeps_its_reason(engine: Engine, files: Sequence[Path]) -> None:
    files[1].chmod(0o444)
    jobs = await engine.submit([request(path) for path in files[:3]])
    assert [job.status for job in jobs] == [Status.PENDING, Status.FAILED, Status.PENDING]
    assert jobs[1].children[0].reason is Reason.REFUSED


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_strict_refuses_all_if_one_cannot_be_opened(
    engine: Engine, files: Sequence[Path], tmp_path: Path, number: int
) -> None:
    targets = [*files[: number - 1], tmp_path / "missing.db", *files[number:3]]
    with pytest.raises(TargetUnavailableError, match=r"missing\.db"):
        await engine.submit([request(target) for target in targets], strict=True)
    files[0].chmod(0o444)
    with pytest.raises(TargetRefusedError):
        await engine.submit([request(path) for path in files], strict=True)
    assert await engine.history() == []


async def test_one_request_alone_is_refused_as_before(engine: Engine, tmp_path: Path) -> None:
    missing = request(tmp_path / "missing.db")
    with pytest.raises(TargetUnavailableError):
        await engine.submit([missing])
    with pytest.raises(TargetUnavailableError):
        await engine.submit([missing, missing])  # one database, named twice
    assert await engine.history() == []


async def test_a_wrong_request_refuses_all(engine: Engine, files: Sequence[Path]) -> None:
    with pytest.raises(UsageError, match="is not possible"):
        await engine.submit([request(files[0]), request(files[1], jobs=1000)])
    with pytest.raises(UsageError, match="no table or"):
        await engine.submit([request(files[0]), request(files[1], objects=("nothing",))])
    for options in (BatchOptions(canary=0), BatchOptions(max_failures=-1), BatchOptions(max_per_host=10**12)):
        with pytest.raises(UsageError, match="is not possible"):
            await engine.submit([request(path) for path in files], batch=options)
    assert await engine.history() == []


async def test_two_names_of_one_database_are_one_target_or_refused_if_strict(
    engine: Engine, files: Sequence[Path], tmp_path: Path
) -> None:
    link = tmp_path / "alias.db"
    link.symlink_to(files[0])
    dropped: list[UsageError] = []
    missing = tmp_path / "missing.db"
    named = [*files[:2], link, missing, files[1], missing]
    jobs = await engine.submit([request(target) for target in named], on_dropped=dropped.append)
    assert [job.target.rpartition("/")[2] for job in jobs] == ["t1.db", "t2.db", "missing.db"]
    assert [error.what.rpartition("/")[2] for error in dropped] == ["t1.db", "t2.db", "missing.db"]
    assert all("the same database" in error.why for error in dropped)
    with pytest.raises(UsageError, match="the same database"):
        await engine.submit([request(files[0]), request(link)], strict=True)
    (alone,) = await engine.submit([request(files[2]), request(files[2])])
    assert alone.batch is None


async def test_the_store_of_jobs_is_left_out(tmp_path: Path, files: Sequence[Path]) -> None:
    dropped: list[UsageError] = []
    store = tmp_path / "jobs.db"
    async with Engine.open(store) as engine:
        named = [request(files[0]), request(store), request(files[1])]
        jobs = await engine.submit(named, on_dropped=dropped.append)
        assert len(jobs) == 2
        assert [error.what for error in dropped] == [f"sqlite://{store}"]
        for requests, strict in ((named, True), ([request(store)], False), ([request(store)] * 2, False)):
            with pytest.raises(UsageError, match="store of jobs"):
                await engine.submit(requests, strict=strict)


async def test_a_pattern_that_cannot_be_listed_is_told_in_the_history(engine: Engine, files: Sequence[Path]) -> None:
    error = TargetUnavailableError("postgresql://dba@db1/*", "no server answers there")
    unlisted = FailedRequest(request("postgresql://dba@db1/*"), error, is_pattern=True)
    jobs = await engine.submit([request(files[0])], failed=[unlisted], batch=BatchOptions(canary=1))
    assert [job.status for job in jobs] == [Status.PENDING, Status.FAILED]
    assert jobs[1].target == "postgresql://dba@db1:5432/*"
    assert (errors(jobs[1]), jobs[1].children[0].reason) == ([str(error)], Reason.UNREACHABLE)
    with pytest.raises(TargetUnavailableError):
        await engine.submit([request(path) for path in files], failed=[unlisted], strict=True)
    assert len(await engine.history()) == 2
    (alone,) = await engine.submit([], failed=[unlisted])
    assert (alone.status, alone.batch) == (Status.FAILED, 2)


async def test_an_unlisted_pattern_of_files_keeps_its_wildcards(
    engine: Engine, files: Sequence[Path], tmp_path: Path
) -> None:
    pattern = str(tmp_path / "none" / "*.[ds]b")
    unlisted = FailedRequest(request(pattern), UsageError(pattern, "matches no file"), is_pattern=True)
    *_, job = await engine.submit([request(files[0])], failed=[unlisted])
    assert job.target == f"sqlite://{pattern}"


async def test_what_is_done_already_is_refused_or_joined(engine: Engine, files: Sequence[Path]) -> None:
    (there,) = await engine.submit([request(files[0])])
    with pytest.raises(DuplicateRequestError):
        await engine.submit([request(path) for path in files])
    joined, *new = await engine.submit([request(path) for path in files], on_duplicate=OnDuplicate.MERGE)
    assert (joined.id, joined.batch) == (there.id, None)
    assert {job.batch for job in new} == {1}


async def test_a_batch_is_cancelled_as_one(engine: Engine, files: Sequence[Path]) -> None:
    await engine.submit([request(path) for path in files], batch=BatchOptions(canary=2))
    assert (await engine.cancel_batch(1)).counts == {JobOutcome.CANCELLED: 5}


async def test_a_retry_of_a_batch_repeats_what_did_not_complete(tmp_path: Path, files: Sequence[Path]) -> None:
    both = (Operation.ANALYZE, Operation.VACUUM)
    missing = tmp_path / "missing.db"
    pattern = unlisted_pattern("127.0.0.1:1")
    async with Engine.open(tmp_path / "jobs.db", workers=2) as engine:
        asked = [request(target, *both) for target in (*files[:2], missing)]
        first = await engine.submit(asked, failed=[pattern], batch=BatchOptions(max_failures=9, max_per_host=3))
        with pytest.raises(UsageError, match="batch b1: "):
            await engine.retry_batch(1)
        await engine.wait([job.id for job in first])
        small(missing)
        again = await engine.wait([job.id for job in await engine.retry_batch(1, only_incomplete=True)])
        assert [(job.target, job.retry_of, job.batch, job.status) for job in again] == [
            (first[2].target, first[2].id, 2, Status.COMPLETED)
        ]
        batch = await engine.batch(2)
        assert (batch.retry_of, batch.options) == (1, BatchOptions(max_failures=9, max_per_host=3))
        with pytest.raises(UsageError, match="batch b2: "):
            await engine.retry_batch(2, only_incomplete=True)
        whole = await engine.retry_batch(1)
        assert [job.retry_of for job in whole] == [job.id for job in first[:3]]
        assert {job.batch for job in whole} == {3}
        await engine.wait([job.id for job in whole])


async def test_a_retry_of_a_batch_that_cannot_be_opened_again_is_told_again(
    engine: Engine, files: Sequence[Path], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.db"
    await engine.submit([request(files[0]), request(missing)])
    await engine.cancel_batch(1)
    jobs = await engine.retry_batch(1)
    assert [job.status for job in jobs] == [Status.PENDING, Status.FAILED]
    await engine.cancel_batch(2)
    missing_only = await engine.submit([request(missing), request(tmp_path / "other.db")])
    (alone, _) = await engine.retry_batch(missing_only[0].batch or 0)
    assert alone.children[0].reason is Reason.UNREACHABLE


async def test_a_retry_of_patterns_alone_says_so(engine: Engine) -> None:
    await engine.submit([], failed=[unlisted_pattern(f"db{n}") for n in (1, 2)])
    with pytest.raises(UsageError, match="but patterns"):
        await engine.retry_batch(1)


async def test_a_retry_of_a_batch_joins_what_is_done_already(engine: Engine, files: Sequence[Path]) -> None:
    first = await engine.submit([request(path) for path in files[:3]])
    await engine.cancel_batch(1)
    (alone,) = await engine.submit([request(files[0])])
    of_another, _ = await engine.submit([request(files[1]), request(files[4])])
    jobs = await engine.retry_batch(1, only_incomplete=True)
    assert [job.id for job in jobs[:2]] == [alone.id, of_another.id]
    assert (jobs[2].batch, jobs[2].retry_of) == (3, first[2].id)
    assert (await engine.batch(3)).counts == {JobOutcome.PENDING: 1}
    assert [job.id for job in await engine.retry_batch(1)] == [job.id for job in jobs]  # by now all three are open
    assert (await engine.history())[0].batch == 3


async def test_a_retry_that_another_has_made_meanwhile_repeats_nothing(tmp_path: Path, files: Sequence[Path]) -> None:
    async with Engine.open(tmp_path / "jobs.db", workers=2) as engine, Engine.open(tmp_path / "jobs.db") as other:
        await engine.wait([job.id for job in await engine.submit([request(path) for path in files])])
        seen_by_other = await other.retries(1)
        made = await engine.wait([job.id for job in await engine.retry_batch(1)])
        again = await other.retry_batch(1, known=seen_by_other)
        assert [job.id for job in again] == [job.id for job in made]
        assert len(await other.history()) == 10
        assert {job.batch for job in await other.retry_batch(1, known=await other.retries(1))} == {3}


async def test_a_database_whose_name_looks_like_a_pattern_is_repeated(engine: Engine, tmp_path: Path) -> None:
    odd = request("postgresql://dba@127.0.0.1:1/a%5B1%5D")
    missing = request(tmp_path / "missing[1].db")
    inspected = FailedRequest(
        request("postgresql://dba@127.0.0.1:1/b%2A"), TargetUnavailableError("b*", "no server answers there")
    )
    jobs = await engine.submit([odd, missing], failed=[inspected, unlisted_pattern("127.0.0.1:1")])
    assert [job.is_pattern for job in jobs] == [False, False, False, True]
    assert [job.target for job in jobs[:3]] == [
        "postgresql://dba@127.0.0.1:1/a%5B1%5D",
        f"sqlite://{tmp_path}/missing[1].db",
        "postgresql://dba@127.0.0.1:1/b%2A",
    ]
    again = await engine.retry_batch(1)
    assert [(job.target, job.retry_of) for job in again] == [(job.target, job.id) for job in jobs[:3]]


async def test_a_failed_request_is_validated_as_any_other(engine: Engine, files: Sequence[Path]) -> None:
    down = TargetUnavailableError("x", "is down")
    for wrong in (
        request(files[1], jobs=1000),
        request(files[1], Operation.CLUSTER),
        Request(target=str(files[1]), operations=()),
    ):
        with pytest.raises(UsageError):
            await engine.submit([request(files[0])], failed=[FailedRequest(wrong, down)])
    assert await engine.history() == []


async def test_a_silent_server_delays_no_other_and_is_waited_for_once(engine: Engine, files: Sequence[Path]) -> None:
    """It accepts connections and says nothing: libpq gives up after `connect_timeout`."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        port = silent.getsockname()[1]
        urls = [f"postgresql://dba@127.0.0.1:{port}/db{n}?connect_timeout=2" for n in range(30)]
        jobs = await engine.submit([*map(request, urls), *map(request, files)])
    assert [job.status for job in jobs] == [Status.FAILED] * 30 + [Status.PENDING] * 5
    assert {child.reason for job in jobs[:30] for child in job.children} == {Reason.UNREACHABLE}
    told = {error for job in jobs[:30] for error in errors(job)}
    assert len(told) == 30  # each names its own database
    assert all("does not answer" in (error or "") for error in told)


async def test_few_are_opened_at_once_and_fewer_on_one_server() -> None:
    running, most = Counter[str | None](), Counter[str | None]()
    all_taken, release = asyncio.Event(), asyncio.Event()

    async def preflight(host: str | None) -> None:
        for key in (host, "all"):
            running[key] += 1
            most[key] = max(most[key], running[key])
        if running["all"] == AT_ONCE:
            all_taken.set()
        await release.wait()
        for key in (host, "all"):
            running[key] -= 1

    async def work() -> int:
        hosts = ["one"] * 30 + ["two"] * 30 + [None] * 30
        return sum([len(ended) async for ended in as_they_end(hosts, lambda host: host, preflight)])

    working = asyncio.create_task(work())
    await all_taken.wait()
    assert running["one"] == running["two"] == PER_HOST
    release.set()
    assert await working == 90
    assert (most["all"], most["one"], most["two"]) == (AT_ONCE, PER_HOST, PER_HOST)


async def test_another_begins_only_where_none_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_queue, "MOMENT", 60.0)
    running, most = 0, 0

    async def short(n: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    ended = [n async for group in as_they_end(range(30), lambda n: None, short) for n, _ in group]
    assert ended == [*range(30)]
    assert most == 1


async def test_a_server_that_keeps_one_waiting_is_not_asked_again() -> None:
    urls = [f"postgresql://dba@one:5432/db{n}" for n in range(30)] + ["postgresql://dba@two:5432/other"]
    asked = []

    async def no_answer(place: int) -> None:
        asked.append(place)
        await asyncio.sleep(0)
        raise ServerTimeoutError(urls[place], "the server does not answer", "check host and network")

    errors = await open_each([resolve(url) for url in urls], no_answer)
    assert {type(error) for error in errors} == {ServerTimeoutError}
    assert [error.what for error in errors if isinstance(error, ServerTimeoutError)] == urls
    assert {0, 30} <= {*asked} <= {0, 1, 30}


async def test_what_runs_for_others_ends_where_one_cannot_go_on() -> None:
    begun, ended = set[int](), set[int]()

    async def fail_on_last(n: int) -> None:
        begun.add(n)
        try:
            if n == 5:
                raise UsageError("request", "is wrong")
            await asyncio.Event().wait()
        finally:
            ended.add(n)

    with pytest.raises(UsageError):
        async for _ in as_they_end(range(30), lambda n: None, fail_on_last):
            pass
    assert begun == ended
    assert len(begun) <= AT_ONCE


async def test_a_cancelled_submit_of_many_stores_nothing(
    engine: Engine, files: Sequence[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, reached, goes_on = [], threading.Event(), threading.Event()
    look = DatabaseMaintenanceManager._key_at_once

    def look_slowly(manager: DatabaseMaintenanceManager, asked: Request, target: Target) -> str | None:
        looked.append(target)
        if len(looked) == 3:
            reached.set()
            assert goes_on.wait(60)
        return look(manager, asked, target)

    monkeypatch.setattr(DatabaseMaintenanceManager, "_key_at_once", look_slowly)
    submitting = asyncio.create_task(engine.submit([request(path) for path in files]))
    assert await asyncio.to_thread(reached.wait, 60)
    submitting.cancel()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    assert await engine.open_jobs() == []


async def test_who_submits_in_portions_says_so_until_the_last_is_in(
    tmp_path: Path, files: Sequence[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "PORTION", 2)
    store, held = tmp_path / "jobs.db", list[bool]()
    async with Engine.open(store) as engine:
        asked = [request(path) for path in files]
        await engine.submit(asked, on_portion=lambda *done: held.append(role_is_held(store, SUBMITTING)))
        assert held == [True] * 3
        assert not role_is_held(store, SUBMITTING)


_KILLED_IN_A_RETRY = """
import asyncio, os, pathlib, signal, sys
from engine import Engine
from engine.submission import manager

manager.PORTION = 2

async def main():
    async with Engine.open(pathlib.Path(sys.argv[1])) as engine:
        await engine.retry_batch(1, on_portion=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))

asyncio.run(main())
"""


async def test_a_retry_that_was_killed_is_gone_on_with_and_repeats_nothing_twice(
    tmp_path: Path, files: Sequence[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "PORTION", 2)
    told: list[tuple[int, int]] = []
    async with Engine.open(tmp_path / "jobs.db") as engine:
        first = await engine.submit([request(path) for path in files], on_portion=lambda *done: told.append(done))
        assert told == [(2, 5), (4, 5), (5, 5)]
        await engine.cancel_batch(1)
        command = [sys.executable, "-c", _KILLED_IN_A_RETRY, str(tmp_path / "jobs.db")]
        killed = await asyncio.create_subprocess_exec(*command)
        assert await killed.wait() == -signal.SIGKILL
        kept = await engine.batch(2)
        assert (kept.counts, kept.unsubmitted) == ({JobOutcome.PENDING: 2}, 3)
        await engine.cancel_batch(2)
        rest = await engine.retry_batch(1, on_portion=lambda *done: None)
        assert [job.retry_of for job in rest] == [job.id for job in first[2:]]
        whole = await engine.batch(3)
        assert (whole.total, whole.unsubmitted, whole.retry_of) == (3, 0, 1)
        await engine.cancel_batch(3)
        assert [job.retry_of for job in await engine.retry_batch(1)] == [job.id for job in first]
