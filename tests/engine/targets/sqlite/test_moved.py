"""Files that are moved, replaced or deleted while they are open: nothing is said of what lies there then."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import TargetUnavailableError
from engine.jobs import Operation, Options, Status
from engine.targets.base import StepResult
from engine.words import NOT_BEGUN
from tests.engine.targets.sqlite.a_session import commands_of, connected, execute, statuses, when_running
from tests.sqlite_files import content, make_database, remove_index_entries

Meanwhile = Callable[[Path], object]


def moved(path: Path) -> None:
    path.rename(path.with_name("gone.db"))


def replaced(path: Path) -> None:
    path.with_name("other.db").rename(path)


def deleted(path: Path) -> None:
    path.unlink()


def replaced_by_a_copy(path: Path) -> None:
    """As who restores a backup may do it: with the time of writing that it had."""
    times = path.stat()
    path.unlink()
    os.utime(make_database(path, rows=20), ns=(times.st_atime_ns, times.st_mtime_ns))


EACH = pytest.mark.parametrize("meanwhile", [moved, replaced, deleted, replaced_by_a_copy])
WAL = pytest.mark.parametrize("journal_mode", ["delete", "wal"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make_database(tmp_path / "other.db", rows=5)
    return make_database(tmp_path / "a.db", rows=400)


async def run_meanwhile(
    path: Path, operation: Operation, meanwhile: Meanwhile, **options: Any
) -> dict[str, StepResult]:
    """What became of each step, while something was done to the file as the first of them ran; no facts are told."""
    async with connected(path) as (session, connection):
        before = await session.facts(operation)
        assert before["size"]
        steps = (await session.plan(operation, Options(**options))).steps
        await when_running(connection, lambda: meanwhile(path), commands_of(steps[0]))
        results = {step.command: await execute(session, step) for step in steps}
        with pytest.raises(TargetUnavailableError, match="moved, replaced or deleted while it was open"):
            await session.facts(operation)
    return results


@EACH
async def test_a_check_of_what_does_not_lie_there_any_more_has_failed(path: Path, meanwhile: Meanwhile) -> None:
    results = await run_meanwhile(path, Operation.CHECK, meanwhile)
    assert statuses(results) == {Status.FAILED}
    first, *_ = results.values()
    assert first.error == (
        "the file was moved, replaced or deleted while it was open: "
        "what was looked at says nothing of what lies there now"
    )
    assert (first.effect, first.left) == (None, "a check changes nothing")


async def test_what_was_found_in_a_file_that_is_gone_is_told_and_is_not_the_reason(path: Path) -> None:
    remove_index_entries(path, "order")
    first, *_ = (await run_meanwhile(path, Operation.CHECK, moved)).values()
    assert first.findings
    assert str(first.error).startswith("the file was moved, replaced or deleted")


async def test_a_check_of_a_file_that_lies_there_again_is_one_of_that_file(path: Path) -> None:
    def moved_and_back(path: Path) -> None:
        path.rename(path.with_name("gone.db")).rename(path)

    async with connected(path) as (session, connection):
        step, *_ = (await session.plan(Operation.CHECK, Options())).steps
        await when_running(connection, lambda: moved_and_back(path), commands_of(step))
        assert (await execute(session, step)).status is Status.COMPLETED
        assert (await session.facts(Operation.CHECK))["findings"] == 0


async def test_a_step_that_has_not_begun_is_not_begun_on_another_file(path: Path) -> None:
    before = content(path.with_name("other.db"))
    async with connected(path) as (session, _):
        step, *_ = (await session.plan(Operation.VACUUM, Options())).steps
        replaced(path)
        result = await execute(session, step)
    assert (result.status, result.left) == (Status.FAILED, NOT_BEGUN)
    assert result.error == "the file was moved, replaced or deleted while it was open"
    assert content(path) == before
