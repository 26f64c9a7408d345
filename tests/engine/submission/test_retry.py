"""Retry: the same request as a new job, or only its incomplete operations, with the checks around them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, Request, Status
from engine.domain.claims import Report
from engine.domain.errors import UsageError
from engine.domain.requests import CheckLevel
from engine.inspection import inspector
from engine.store.sqlite.store import SqliteStore
from engine.submission.retry import retry_request
from tests.building import COMPLETED, FAILED
from tests.sqlite_files import make_database
from tests.tui.jobs import child, parent

if TYPE_CHECKING:
    from pathlib import Path

    from engine.domain.jobs import ParentJob

VACUUM, ANALYZE, CHECK, BACKUP = Operation.VACUUM, Operation.ANALYZE, Operation.CHECK, Operation.BACKUP


async def retried(
    tmp_path: Path, operations: tuple[Operation, ...], options: Options, *, failed: set[int]
) -> ParentJob:
    """The job that repeats what did not complete of one of which the children at these places failed."""
    path = make_database(tmp_path / "sales.db", rows=20)
    async with SqliteStore.open(tmp_path / "jobs.db") as store, Engine.open(store.path) as engine:
        (parent,) = await engine.submit([Request(target=str(path), operations=operations, options=options)])
        async with store.hosting_workers(serves_all=True) as owner:  # one that is alive, or others would take its jobs
            while claim := await store.claim(owner):
                await store.finish(claim, FAILED if claim.job.ordinal in failed else COMPLETED, Report())
        again = await engine.retry(parent.id, only_incomplete=True)
        assert again.retry_of == parent.id
        return again


async def test_what_failed_is_repeated_between_two_checks_again(tmp_path: Path) -> None:
    again = await retried(tmp_path, (VACUUM, ANALYZE), Options(verify=True), failed={3})
    assert [child.operation for child in again.children] == [CHECK, ANALYZE, CHECK]
    assert again.request.options == Options(verify=True)


async def test_a_first_check_that_failed_leaves_all_of_it_to_be_repeated(tmp_path: Path) -> None:
    again = await retried(tmp_path, (VACUUM, ANALYZE), Options(verify=True), failed={1})
    assert [child.operation for child in again.children] == [CHECK, VACUUM, ANALYZE, CHECK]


@pytest.mark.parametrize("level", [None, CheckLevel.QUICK, CheckLevel.FULL])
async def test_where_only_the_last_check_failed_it_is_the_check_that_is_repeated(
    tmp_path: Path, level: CheckLevel | None
) -> None:
    again = await retried(tmp_path, (VACUUM,), Options(verify=True, check=level, jobs=2), failed={3})
    assert [child.operation for child in again.children] == [CHECK]
    assert again.request.options == Options(check=level or CheckLevel.QUICK, jobs=2)


async def test_a_check_that_was_an_operation_itself_is_repeated_as_one(tmp_path: Path) -> None:
    again = await retried(tmp_path, (CHECK, VACUUM), Options(verify=True), failed={2})
    assert [child.operation for child in again.children] == [CHECK, CHECK, CHECK]
    assert again.request.operations == (CHECK,)


async def test_where_a_backup_was_made_it_is_not_asked_for_again(tmp_path: Path) -> None:
    asked = Options(backup_to="/backups", verify=True)
    again = await retried(tmp_path, (BACKUP, VACUUM), asked, failed={3})
    assert (again.request.operations, again.request.options) == ((VACUUM,), Options(verify=True))


async def test_where_all_of_it_completed_there_is_nothing_to_repeat(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every operation completed"):
        await retried(tmp_path, (VACUUM,), Options(verify=True), failed=set())
    async with Engine.open(tmp_path / "jobs.db") as engine:
        assert [job.status for job in await engine.history()] == [Status.COMPLETED]


def test_a_pattern_that_could_not_be_listed_is_run_again_and_not_repeated() -> None:
    unlisted = replace(parent(child(status=Status.FAILED)), status=Status.FAILED, is_pattern=True)
    with pytest.raises(UsageError, match="could not be listed"):
        retry_request(unlisted)


def test_a_yes_that_was_said_to_a_job_does_not_cover_its_repetition() -> None:
    url = "postgresql://127.0.0.1:1/none"
    asked = Request(target=url, operations=(Operation.VACUUM_FULL,), options=Options(confirmed=True))
    earlier = replace(parent(child(operation=Operation.VACUUM_FULL, status=Status.FAILED)), request=asked)
    assert not retry_request(earlier).options.confirmed
    assert inspector.needs_confirmation(retry_request(earlier)) == [
        (Operation.VACUUM_FULL, inspector.needs_confirmation(asked)[0][1])
    ]
    assert retry_request(earlier, confirmed=True) == asked


def test_the_force_of_a_job_is_not_that_of_its_repetition() -> None:
    asked = Request(target="/x/a.db", operations=(Operation.VACUUM,), options=Options(force=True))
    earlier = replace(parent(child(status=Status.FAILED)), request=asked)
    assert not retry_request(earlier).options.force
    assert retry_request(earlier, changes={"force": True}).options.force
