"""Files that are moved, replaced or deleted while open: no result is reported for the new file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.domain.errors import TargetUnavailableError
from engine.domain.humanize import NOT_BEGUN
from engine.domain.requests import Operation, Options, Request
from engine.domain.statuses import Reason, Status
from engine.targets import resolve
from engine.targets.plans import PlannedStep
from engine.targets.sqlite.planning.steps import Method
from engine.targets.sqlite.running import methods
from engine.targets.sqlite.running.operation import SqliteOperation
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system.opened_file import NOT_THERE
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.execution.test_worker import carried_out
from tests.engine.targets.sqlite.a_session import commands_of, connected, execute, statuses, when_running
from tests.sqlite_files import content, make_database, make_notes, remove_index_entries

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
        with pytest.raises(TargetUnavailableError, match="moved, replaced"):
            await session.facts(operation)
    return results


@EACH
async def test_a_check_of_what_does_not_lie_there_any_more_has_failed(path: Path, meanwhile: Meanwhile) -> None:
    results = await run_meanwhile(path, Operation.CHECK, meanwhile)
    assert statuses(results) == {Status.FAILED}
    first, *_ = results.values()
    assert "moved, replaced" in str(first.error)
    assert first.effect is None
    assert first.left.endswith("changes nothing")


async def test_what_was_found_in_a_file_that_is_gone_is_told_and_is_not_the_reason(path: Path) -> None:
    remove_index_entries(path, "order")
    first, *_ = (await run_meanwhile(path, Operation.CHECK, moved)).values()
    assert first.findings
    assert "moved, replaced" in str(first.error)


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
    assert "moved, replaced" in str(result.error)
    assert content(path) == before


def moved_after(method: Method, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is moved when the first step of that method is done, and before it is over."""
    do = methods.METHODS[method]

    async def done_and_moved(work: Work) -> StepResult:
        result = await do(work)
        if path.exists():
            moved(path)
        return result

    monkeypatch.setitem(methods.METHODS, method, done_and_moved)


@pytest.mark.parametrize(
    ("operation", "method"),
    [
        (Operation.VACUUM, Method.VACUUM),
        (Operation.REINDEX, Method.TRANSACTION),
        (Operation.ANALYZE, Method.TRANSACTION),
        (Operation.CHECKPOINT, Method.CHECKPOINT),
        (Operation.INCREMENTAL_VACUUM, Method.INCREMENTAL),
    ],
)
@WAL
async def test_what_was_done_in_a_file_that_is_gone_is_no_success_and_has_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, method: Method, journal_mode: str
) -> None:
    if operation is Operation.CHECKPOINT and journal_mode != "wal":
        pytest.skip("there is nothing to do")
    path = make_database(tmp_path / "a.db", rows=400, journal_mode=journal_mode, auto_vacuum="incremental")
    moved_after(method, path, monkeypatch)
    outcome, report = await carried_out(path, operation)
    first, *_ = report.steps
    assert (outcome.status, outcome.after) == (Status.FAILED, None)
    assert (first.status, set(first.effect or {})) == (Status.FAILED, {"left"})
    assert "the opened file" in str(first.effect)
    said = "while it was open: the step changed the opened file, not the one at this path"
    assert said in str(first.error)
    assert said in str(outcome.error)


async def test_after_a_vacuum_of_a_file_that_is_gone_it_is_told_what_has_to_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_notes(tmp_path / "a.db")
    moved_after(Method.VACUUM, path, monkeypatch)
    outcome, _ = await carried_out(path, Operation.VACUUM, force=True)
    assert (outcome.status, outcome.after) == (Status.FAILED, None)
    assert "found: VACUUM is" in str(outcome.error)
    (warning,) = [warning for warning in outcome.warnings if "moved, replaced or deleted" in warning]
    assert "the opened file, " in warning


@EACH
async def test_a_backup_of_what_does_not_lie_there_any_more_is_kept_and_says_of_what_it_is(
    path: Path, meanwhile: Meanwhile
) -> None:
    before, copy = content(path), path.with_name("copy.db")
    path.chmod(0o640)
    results = await run_meanwhile(path, Operation.BACKUP, meanwhile, backup_to=str(copy))
    *first, last = results.values()
    assert {one.status for one in first} == {Status.COMPLETED}
    assert last.status is Status.FAILED
    assert "moved, replaced" in str(last.error)
    assert f": {copy} is a copy " in str(last.error)
    assert content(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("operations", "options", "method"),
    [
        ([Operation.BACKUP], {"verify": True}, Method.COPY),
        ([Operation.VACUUM, Operation.REINDEX], {}, Method.VACUUM),
        ([Operation.CHECK, Operation.VACUUM], {}, Method.CHECK),
    ],
)
async def test_no_further_operation_of_a_job_takes_the_new_file_for_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, operations: list[Operation], options: dict[str, Any], method: Method
) -> None:
    do, before, new = methods.METHODS[method], content(path), content(path.with_name("other.db"))

    async def done_and_replaced(work: Work) -> StepResult:
        result = await do(work)
        if path.with_name("other.db").exists():
            replaced(path)
        return result

    monkeypatch.setitem(methods.METHODS, method, done_and_replaced)
    copy = path.with_name("copy.db")
    to: dict[str, Any] = {"backup_to": str(copy)} if Operation.BACKUP in operations else {}
    request = Request(target=str(path), operations=tuple(operations), options=Options(**options, **to))
    async with Engine.open(path.with_name("jobs.db"), workers=1) as engine:
        (job,) = await engine.submit([request])
        (job,) = await engine.wait([job.id])
    *_, failed, last = job.children
    assert {failed.status, last.status} == {Status.FAILED}
    assert "while it was open" in str(failed.error)
    assert "while the job ran" in str(last.error)
    assert last.after is None
    assert content(path) == new
    assert not to or content(copy) == before


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_an_exchange_in_a_directory_that_is_renamed_says_that_the_file_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal_mode: str
) -> None:
    (tmp_path / "before").mkdir()
    path = make_database(tmp_path / "before" / "a.db", rows=3000, journal_mode=journal_mode)
    before, after = content(path), tmp_path / "after"
    copy = Work.run_vacuum

    async def renamed(work: Work) -> list[Any]:
        path.parent.rename(after)
        return await copy(work)

    monkeypatch.setattr(Work, "run_vacuum", renamed)
    outcome, _ = await carried_out(path, Operation.VACUUM, swap=True)
    assert (outcome.status, outcome.error) == (Status.FAILED, NOT_THERE)
    assert {file.name for file in after.iterdir()} <= {"a.db", "a.db-wal", "a.db-shm"}
    assert content(after / "a.db") == before


@WAL
@EACH
async def test_an_exchange_of_a_file_that_is_gone_meanwhile_is_not_to_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile, journal_mode: str
) -> None:
    make_database(tmp_path / "other.db", rows=5)
    path = make_database(tmp_path / "a.db", rows=400, journal_mode=journal_mode)
    copy = Work.run_vacuum

    async def gone_meanwhile(work: Work) -> list[Any]:
        rows = await copy(work)
        meanwhile(path)
        return rows

    monkeypatch.setattr(Work, "run_vacuum", gone_meanwhile)
    outcome, _ = await carried_out(path, Operation.VACUUM, swap=True)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.OPERATION_ERROR)
    assert str(outcome.error).startswith(NOT_THERE)


async def test_facts_say_which_file_they_are_of(path: Path) -> None:
    old, new = [await resolve(str(file)).identify() for file in (path, path.with_name("other.db"))]
    for operation in (Operation.BACKUP, Operation.CHECK):
        options: dict[str, Any] = {"backup_to": str(path.with_name("copy.db"))} if operation is Operation.BACKUP else {}
        outcome, _ = await carried_out(path, operation, **options)
        assert {(outcome.before or {})["file"], (outcome.after or {})["file"]} == {old}
    replaced(path)
    outcome, _ = await carried_out(path, Operation.CHECK)
    assert {(outcome.before or {})["file"], (outcome.after or {})["file"]} == {new}


async def test_a_file_that_is_gone_when_its_vacuum_is_over_is_warned_of(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = SqliteOperation.execute

    async def moved_afterwards(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        result = await execute(self, step, context)
        moved(path)
        return result

    monkeypatch.setattr(SqliteOperation, "execute", moved_afterwards)
    outcome, report = await carried_out(path, Operation.VACUUM)
    assert (outcome.status, outcome.after) == (Status.COMPLETED, None)
    (warning,) = outcome.warnings
    assert warning.startswith(f"{path}: ")
    assert "moved, replaced" in warning
    assert outcome.warnings[0] in [line.message for line in report.log]
