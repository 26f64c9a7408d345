"""Between steps others get their turn, where there is anybody else."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets.sqlite.running import throttling
from engine.targets.sqlite.running.throttling import Contention, Throttle, contention
from engine.targets.sqlite.system.openers import Openers
from tests.engine.targets.sqlite.a_session import connected, execute
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import make_database, transaction

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who has a file open")


@linux_only
@pytest.mark.parametrize("statements", [(), ("SELECT * FROM item",), ("BEGIN IMMEDIATE",)])
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_whoever_has_the_database_open_counts_as_contention(
    tmp_path: Path, statements: tuple[str, ...], journal_mode: str
) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    with another_process(path, *statements):
        assert contention(str(path)) is Contention.OTHERS
    assert contention(str(path)) in {Contention.ALONE, Contention.UNKNOWN}  # in a container nobody can be sure


@linux_only
def test_this_process_is_no_contention(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with transaction(path, "IMMEDIATE"):
        assert contention(str(path)) is not Contention.OTHERS


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Openers((), complete=True), Contention.ALONE),
        (Openers((), complete=False), Contention.UNKNOWN),
        (Openers((7,), complete=False), Contention.OTHERS),
        (None, Contention.UNKNOWN),
    ],
)
def test_what_cannot_be_seen_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Openers | None, expected: Contention
) -> None:
    monkeypatch.setattr(throttling, "openers", lambda _: found)
    assert contention(str(tmp_path / "a.db")) is expected
    monkeypatch.undo()
    assert contention(str(tmp_path / "nowhere.db")) is Contention.UNKNOWN


def holding(this: Throttle, monkeypatch: pytest.MonkeyPatch, seconds: float, *, writing: bool = True) -> None:
    """The lock is held for so long, by the clock."""
    ticks = iter([100.0, 100.0 + seconds])
    with monkeypatch.context() as patched:
        patched.setattr("time.monotonic", lambda: next(ticks))
        with this.measure(writing):
            pass


async def pauses(this: Throttle, monkeypatch: pytest.MonkeyPatch, who: Contention) -> bool:
    """Whether there is a pause now, which a cancel ends."""
    cancel, asked = asyncio.Event(), asyncio.Event()

    async def first_of(*events: asyncio.Event, timeout: float) -> None:
        asked.set()
        assert events == (cancel,)

    with monkeypatch.context() as patched:
        patched.setattr(throttling, "contention", lambda _: who)
        patched.setattr(throttling, "first_of", first_of)
        await this.pause(cancel)
    return asked.is_set()


@pytest.mark.parametrize(
    ("who", "held", "pause"),
    [
        (Contention.OTHERS, 0.05, False),
        (Contention.OTHERS, 0.11, True),
        (Contention.UNKNOWN, 0.11, False),
        (Contention.UNKNOWN, 3.1, True),
        (Contention.ALONE, 1e6, False),
    ],
)
async def test_a_pause_is_due_when_the_lock_was_held_long_for_the_contention(
    monkeypatch: pytest.MonkeyPatch, who: Contention, held: float, pause: bool
) -> None:
    this = Throttle("/a.db")
    holding(this, monkeypatch, held)
    assert await pauses(this, monkeypatch, who) is pause
    if pause:
        assert not await pauses(this, monkeypatch, who)  # what was held is made good


async def test_short_steps_add_up_and_reading_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    this = Throttle("/a.db")
    holding(this, monkeypatch, 50, writing=False)
    assert not await pauses(this, monkeypatch, Contention.OTHERS)
    for _ in range(3):
        assert not await pauses(this, monkeypatch, Contention.OTHERS)
        holding(this, monkeypatch, 0.04)
    assert await pauses(this, monkeypatch, Contention.OTHERS)


async def test_who_else_has_it_open_is_asked_only_once_the_lock_was_held_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes up to 20 ms for the answer."""
    this, asked = Throttle("/a.db"), list[str]()

    def contention_told(path: str) -> Contention:
        asked.append(path)
        return Contention.UNKNOWN

    monkeypatch.setattr(throttling, "contention", contention_told)
    holding(this, monkeypatch, 0.11)
    for _ in range(5):
        await this.pause(asyncio.Event())
        holding(this, monkeypatch, 0.01)
    assert len(asked) == 1
    holding(this, monkeypatch, 0.06)
    await this.pause(asyncio.Event())
    assert len(asked) == 2


def test_who_was_waited_for_in_vain_is_not_waited_for_again() -> None:
    this = Throttle("/a.db")
    assert this.timeout(5) == 5
    this.has_timed_out = True
    assert this.timeout(5) == 0


async def test_a_cancel_ends_the_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "PAUSE", 600)
    monkeypatch.setattr(throttling, "contention", lambda _: Contention.OTHERS)
    path = make_database(tmp_path / "a.db", rows=20)
    async with connected(path) as (session, _):
        (step, *_) = (await session.plan(Operation.REINDEX, Options())).steps
        session._throttle._held = 1.0
        cancel = asyncio.Event()
        running = asyncio.create_task(execute(session, step, cancel))
        await asyncio.wait({running}, timeout=0)
        cancel.set()
        assert (await running).status is Status.CANCELLED


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine and database are such that a check goes table by table, two at once."""
    monkeypatch.setattr("engine.targets.sqlite.planning.planner.processors", lambda: 2)
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_specs.CHECKED_IN_PARTS", 0)


@linux_only
@pytest.mark.usefixtures("two_at_once")
@pytest.mark.parametrize(
    ("journal_mode", "in_use", "jobs", "at_once"),
    [("delete", True, None, 1), ("delete", True, 2, 2), ("delete", False, None, 2), ("wal", True, None, 2)],
)
async def test_a_check_that_keeps_others_from_writing_goes_table_by_table_where_there_are_any(
    tmp_path: Path, journal_mode: str, in_use: bool, jobs: int | None, at_once: int
) -> None:
    """Of two at once one would always hold the lock."""
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode)
    with ExitStack() as other:
        if in_use:
            other.enter_context(another_process(path, "SELECT count(*) FROM item"))
        async with connected(path) as (session, _):
            planned = await session.plan(Operation.CHECK, Options(jobs=jobs))
    assert len(planned.steps) > 2
    assert planned.parallel == at_once


@pytest.mark.usefixtures("two_at_once")
@pytest.mark.parametrize("in_use", [False, True])
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_checking_table_by_table_counts_where_it_keeps_others_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal_mode: str, in_use: bool
) -> None:
    who = Contention.OTHERS if in_use else Contention.ALONE
    monkeypatch.setattr("engine.targets.sqlite.session.contention", lambda _: who)
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode)
    async with connected(path) as (session, _):
        planned = await session.plan(Operation.CHECK, Options())
        assert (await execute(session, planned.steps[0])).status is Status.COMPLETED
        assert (session._throttle._held > 0) is (journal_mode == "delete" and planned.parallel == 1)
