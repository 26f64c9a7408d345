"""A second cancel offers to end by force what does not stop; only the id, typed, is a yes."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from textual.app import App

from engine import ForceCancel, JobId, OnDuplicate, Operation, Progress, Status
from engine.domain.claims import Report
from engine.domain.steps import FINISHING, WRITING_BACK
from engine.store.ending_texts import NOT_RECOVERED
from engine.store.sqlite.store import SqliteStore
from tests.building import CANCELLED, new_job
from tests.engine.processes import Process, python
from tests.tui.console.harness import Clock, Console, entry, open_console
from tui.console.screens.typed_questions import TypedConfirmScreen
from tui.presentation.force_kill import consequences, question

HANGS = """
    from engine.store.sqlite.store import SqliteStore

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers() as owner:
            await store.claim(owner)
            print("running", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""
CHILD = JobId(1, 1)


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    """With #1 VACUUM and ANALYZE."""
    async with SqliteStore.open(tmp_path / "jobs.db", clock=clock) as opened:
        await opened.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
        yield opened


@pytest.fixture
async def hung(store: SqliteStore) -> AsyncIterator[Process]:
    """A process that runs #1.1 and does nothing else any more."""
    with python(HANGS, store.path) as process:
        assert await process.says() == "running"
        yield process


async def ask_to_stop(console: Console) -> None:
    """And leave the cursor on #1.1."""
    await console.press("3", "down", "c", "y")
    await console.until(lambda: "cancelling" in console.tree.line_at(1).text)


async def test_what_hangs_is_ended_and_then_looked_after(
    sales: Path, store: SqliteStore, hung: Process, clock: Clock
) -> None:
    served: list[str] = []
    async with open_console(store.path, entry(), clock=clock, ensure_worker=lambda: served.append("worker")) as console:
        await ask_to_stop(console)
        assert "Press c again to kill its process." in " ".join(console.lines("#detail"))
        await console.press("c")
        assert console.lines("#text")[0] == "Kill the process of #1.1 vacuum on sales.db?"
        assert f"Its process {hung.pid} is killed" in " ".join(console.lines("#text"))
        await console.press(*"1.1", "enter")
        assert await hung.ended() == -signal.SIGKILL
        assert served
        await console.until(lambda: "worker died" in console.tree.line_at(1).text)
        assert "The next worker checks the database" in " ".join(console.lines("#detail"))
        async with store.hosting_workers() as owner:
            claim = await store.claim(owner)
            assert claim is not None
            assert claim.forced
            await console.until(lambda: "crash recovery" in console.tree.line_at(1).text)
            assert "the database is checked for damage" in " ".join(console.lines("#detail"))
            await store.finish(claim, CANCELLED, Report())


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "q1.1\n", "1\n"])
async def test_everything_but_the_id_leaves_it_as_it_is(
    sales: Path, store: SqliteStore, hung: Process, clock: Clock, typed: str
) -> None:
    async with open_console(store.path, entry(), clock=clock) as console:
        await ask_to_stop(console)
        await console.press("c")
        assert isinstance(console.app.screen, TypedConfirmScreen)
        await console.press(*("enter" if key == "\n" else key for key in typed))
        assert console.lines("#error") == ["That is not 1.1. Nothing was done." if typed.strip() else ""]
        await console.press("escape")
        assert console.screen_name == "MainScreen"
        assert (await store.job(1)).children[0].force_requested_at is None
        assert [worker.alive for worker in await store.workers()] == [True]


async def test_nothing_typed_is_no_answer(sales: Path, store: SqliteStore, hung: Process, clock: Clock) -> None:
    async with open_console(store.path, entry(), clock=clock) as console:
        await ask_to_stop(console)
        await console.press("c", "enter", "space", "enter")
        assert isinstance(console.app.screen, TypedConfirmScreen)


async def test_where_it_ended_while_it_was_asked_for_that_is_said(
    sales: Path, store: SqliteStore, hung: Process, clock: Clock
) -> None:
    async with open_console(store.path, entry(), clock=clock) as console:
        await ask_to_stop(console)
        await console.press("c")
        hung.kill()
        await console.until(lambda: "worker died" in console.tree.line_at(1).text)
        await console.press(*"1.1", "enter")
        assert console.message.startswith("job 1.1: does not run")


async def test_what_waits_to_be_looked_after_need_not_wait(
    sales: Path, store: SqliteStore, hung: Process, clock: Clock
) -> None:
    async with open_console(store.path, entry(), clock=clock) as console:
        await ask_to_stop(console)
        hung.kill()
        await console.until(lambda: "worker died" in console.tree.line_at(1).text)
        await console.press("c")
        assert console.lines("#text")[0] == "End #1.1 without cleanup of its database?"
        await console.press("enter")
        assert (await store.job(1)).children[0].status is Status.PENDING
        await console.press("c", "y")
        child = (await store.job(1)).children[0]
        assert (child.status, child.error) == (Status.CANCELLED, NOT_RECOVERED)


async def test_what_runs_elsewhere_is_not_ended_from_here(sales: Path, store: SqliteStore, clock: Clock) -> None:
    async with store.hosting_workers() as owner:
        claim = await store.claim(owner)
        assert claim is not None
        async with open_console(store.path, entry(), clock=clock) as console:
            await ask_to_stop(console)
            await console.press("c")
            assert console.message == (
                "Cancel of #1.1 was already requested: it ends as soon as that is safe for the data."
                " Its process cannot be killed from here: job 1.1 is run by this very process (end it from another"
                " one)."
            )
            await store.finish(claim, CANCELLED, Report())


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (WRITING_BACK, "it is writing back, which cannot be interrupted: it will complete, about 0:10 left."),
        (FINISHING, "it is finishing, which cannot be interrupted: it will probably complete, about 0:10 left."),
    ],
)
async def test_of_what_can_neither_stop_nor_be_ended_from_here_it_is_said_how_it_goes_on(
    sales: Path, store: SqliteStore, clock: Clock, phase: str, words: str
) -> None:
    async with store.hosting_workers() as owner:
        claim = await store.claim(owner)
        assert claim is not None
        clock.forward(30)
        async with open_console(store.path, entry(), clock=clock) as console:
            await ask_to_stop(console)
            await store.report(claim, Report(progress=Progress(fraction=0.75, steps_total=1, phase=phase)))
            await console.until(lambda: phase in _phases(console))
            await console.press("c")
            assert console.message.startswith(f"Cancel of #1.1 was already requested: {words}")
            assert " Its process cannot be killed from here: " in console.message
            await store.finish(claim, CANCELLED, Report())


both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


@both_sizes
async def test_question_before_something_is_ended_by_force(
    size: tuple[int, int], clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    found = ForceCancel(
        job=JobId(42, 1),
        operation=Operation.VACUUM,
        target="sqlite:///srv/sales.db",
        pid=4711,
        owner="x",
        is_replaced=False,
        others=(JobId(43, 1),),
    )
    async with open_console(Path("jobs.db"), clock=clock, size=size) as console:
        console.app.push_screen(TypedConfirmScreen(question(found), consequences(found, JobId(42)), "42.1"))
        await console.press(*"42")
        assert looks_right(console.app)


def _phases(console: Console) -> list[str | None]:
    """Those of the operations of the selected job."""
    selected = console.tree.selected_job
    return [child.progress.phase for child in selected[0].children] if selected is not None else []
