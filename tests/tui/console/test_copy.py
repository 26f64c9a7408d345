"""What goes to the clipboard, and how."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import stat
from pathlib import Path

import pytest

from engine import EngineName, OnDuplicate, Operation, OperationPlan, Plan, PlannedStep, Status
from engine.domain.claims import Outcome, Report
from engine.targets.lock_impact import NO_LOCK
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, add_completed_job, add_failed_job, entry, open_console
from tui.console.clipboard import MOST, into_file, is_reachable, osc52, through_tmux
from tui.console.views.copied import copied_plan


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TMUX", raising=False)


def written(console: Console, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    driver = console.app._driver
    assert driver is not None
    original = driver.write

    def write(data: str) -> None:
        sent.append(data)
        original(data)

    monkeypatch.setattr(driver, "write", write)
    return sent


def copied(sent: list[str]) -> str:
    (sequence,) = [data for data in sent if data.startswith("\x1b]52;c;")]
    return base64.b64decode(sequence.removeprefix("\x1b]52;c;").removesuffix("\a")).decode()


def test_the_sequence_is_what_terminals_take() -> None:
    assert osc52("é") == "\x1b]52;c;" + base64.b64encode("é".encode()).decode() + "\a"
    assert osc52("x" * MOST) is None
    assert len(osc52("x" * 56_000) or "") <= MOST


def test_some_terminals_have_no_clipboard() -> None:
    assert is_reachable({"TERM": "tmux-256color"})
    assert not is_reachable({"TERM": "linux"})
    assert not is_reachable({"TERM": "dumb"})


async def test_the_error_of_a_job_that_failed(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        await console.press("3", "y")
        assert copied(sent) == "broken: UNIQUE constraint failed: item.note; 1 of 2 steps failed"
        assert console.message == "Copied the error (64 B)."


async def test_the_sql_of_an_operation(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        await console.press("3", "l", "down", "down", "down", "y")
        assert copied(sent) == 'REINDEX main."my-index";'


async def test_a_row_and_where_a_database_is(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        await console.press("1", "y")
        assert copied(sent) == "sales.db"
        sent.clear()
        await console.press("3", "y")
        assert console.message == "Nothing to copy here."


async def test_the_detail_of_a_job_without_steps(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seeded.store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        await console.press("3", "4", "y")
        assert copied(sent).startswith("#1 sales")
        assert console.message.startswith("Copied this detail (")


async def test_an_operation_that_is_offered_is_the_sql_that_would_run(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        await console.press("2", "g", "down", "y")
        assert copied(sent).splitlines()[-1] == 'ANALYZE main."orders";'
        assert console.message.startswith("Copied the SQL of analyze (")


async def test_an_operation_whose_sql_is_not_known_is_its_name_and_why(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        await console.press("2", "g")
        sales.rename("away.db")
        await console.press("y")
        assert copied(sent).startswith("vacuum: ")
        assert console.message.startswith("Copied vacuum and why (")


async def test_of_a_job_that_was_cancelled_what_the_cancel_left(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = "stopped before the copy took the place of the database, which is as it was"
    (parent_id,) = await seeded.store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await seeded.store.claim(seeded.owner, [parent_id])
    assert claim is not None
    await seeded.store.finish(claim, Outcome(status=Status.CANCELLED, error=left), Report())
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        await console.press("3", "y")
        assert copied(sent) == left
        assert console.message == f"Copied the effect of the cancel ({len(left)} B)."


async def test_what_is_too_long_goes_into_a_file_for_its_user_only(
    sales: Path, seeded: Seeded, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        sent = written(console, monkeypatch)
        file = tmp_path / "copied.txt"
        console.app.context._copies = file
        said = await console.app.context.copy("this page", "long " * 20_000)
        assert said == f"Written to {file}: this page (100 kB). Reason: it is too long for a clipboard."
        assert file.read_text() == "long " * 20_000
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not [data for data in sent if "\x1b]52" in data]
        monkeypatch.setenv("TERM", "linux")
        assert "this terminal has no clipboard" in await console.app.context.copy("this row", "x")
        assert file.read_text() == "x"
        console.app.context._copies = tmp_path / "nowhere" / "copied.txt"
        assert "cannot be written" in await console.app.context.copy("this row", "x")


def test_a_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("as it was")
    (tmp_path / "copied.txt").symlink_to(kept)
    into_file(tmp_path / "copied.txt", "new")
    assert kept.read_text() == "as it was"
    assert (tmp_path / "copied.txt").read_text() == "new"


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
async def test_tmux_passes_it_on(tmp_path: Path) -> None:
    socket = tmp_path / "tmux"
    await _tmux(socket, "new-session", "-d", "cat")
    try:
        where = f"{socket},0,0"
        environ = {"TMUX": where}
        before = os.environ.get("TMUX")
        os.environ["TMUX"] = where
        try:
            assert await through_tmux('REINDEX main."ä"', environ)
        finally:
            os.environ.pop("TMUX") if before is None else os.environ.update(TMUX=before)
        assert await _tmux(socket, "show-buffer") == 'REINDEX main."ä"'
    finally:
        await _tmux(socket, "kill-server")
    assert not await through_tmux("x", {})


async def _tmux(socket: Path, *words: str) -> str:
    process = await asyncio.create_subprocess_exec("tmux", "-S", socket, *words, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


def test_a_plan_is_a_script_and_no_name_ends_a_comment() -> None:
    step = PlannedStep(object="t", command='ANALYZE main."t"', reason="", lock=NO_LOCK)
    operations = (
        OperationPlan(operation=Operation.ANALYZE, steps=(step,), settings=("PRAGMA threads = 2",)),
        OperationPlan(operation=Operation.VACUUM, refused="no room\nDROP TABLE t;"),
    )
    plan = Plan(target="sqlite:///a\nDROP TABLE t", engine=EngineName.SQLITE, before={}, operations=operations)
    assert copied_plan([plan]).splitlines() == [
        "-- sqlite:///a DROP TABLE t",
        "-- analyze",
        "PRAGMA threads = 2;",
        'ANALYZE main."t";',
        "-- vacuum",
        "-- refused: no room DROP TABLE t;",
    ]
