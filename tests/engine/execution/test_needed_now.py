"""Jobs on a target that who submitted them could not look at: what is needed is decided when they begin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine import CheckLevel, Engine, Operation, Options, ParentJob, Reason, Request, Status
from engine.domain.advice import if_needed, needed
from engine.domain.errors import UsageError
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from tests.building import SQLITE_OPERATIONS
from tests.sqlite_files import make_database, remove_index_entries

EVERY_TIME = replace(DEFAULT_THRESHOLDS, full_check_every=0.0)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db")


def everything(path: Path, **options: object) -> Request:
    return Request(target=str(path), operations=SQLITE_OPERATIONS, options=Options(**options))  # type: ignore[arg-type]


async def carried_out(engine: Engine, request: Request) -> ParentJob:
    (job,) = await engine.submit([request])
    (done,) = await engine.wait([job.id])
    return await engine.job(done.id)


async def tended(engine: Engine, path: Path, limits: Thresholds = DEFAULT_THRESHOLDS, **options: object) -> ParentJob:
    return await carried_out(engine, if_needed(everything(path, **options), limits))


def begun(job: ParentJob) -> set[Operation]:
    """Its operations that were needed."""
    assert all(child.reason is Reason.NOT_NEEDED for child in job.children if child.status is Status.SKIPPED)
    return {child.operation for child in job.children if child.status is not Status.SKIPPED}


def keep_sound(path: Path) -> None:
    """Leave it as it is."""


@pytest.mark.parametrize("harm", [keep_sound, lambda path: remove_index_entries(path, "order")])
async def test_what_is_done_is_what_the_advice_calls_for_then(
    engine: Engine, path: Path, harm: Callable[[Path], None]
) -> None:
    harm(path)
    await carried_out(engine, Request(target=str(path), operations=(Operation.CHECK,)))
    wanted = needed(everything(path), await engine.advise(str(path), budget=None))
    assert wanted is not None
    done = await tended(engine, path)
    assert begun(done) == set(wanted.operations)
    assert done.status is Status.COMPLETED
    again = await tended(engine, path)
    assert begun(again) == set()
    assert again.status is Status.COMPLETED


async def test_a_check_that_finds_damage_keeps_all_else_from_beginning(engine: Engine, path: Path) -> None:
    remove_index_entries(path, "order")
    before = path.read_bytes()
    done = await tended(engine, path, check=CheckLevel.FULL)
    assert done.status is Status.FAILED
    ends = {child.operation: (child.status, child.reason) for child in done.children}
    assert ends[Operation.CHECK][0] is Status.FAILED
    assert ends[Operation.ANALYZE] == (Status.SKIPPED, Reason.PREVIOUS_FAILED)
    assert path.read_bytes() == before
    repaired = await tended(engine, path)
    assert Operation.REINDEX in begun(repaired)
    assert repaired.status is Status.COMPLETED


async def test_thresholds_are_those_of_who_asked(engine: Engine, path: Path) -> None:
    await carried_out(engine, Request(target=str(path), operations=(Operation.CHECK, Operation.ANALYZE)))
    assert Operation.CHECK not in begun(await tended(engine, path))
    assert Operation.CHECK in begun(await tended(engine, path, EVERY_TIME))


async def test_checks_around_the_operations_always_run(engine: Engine, path: Path) -> None:
    done = await tended(engine, path, verify=True)
    first, *others, last = done.children
    assert [first.operation, last.operation] == [Operation.CHECK, Operation.CHECK]
    assert [first.status, last.status] == [Status.COMPLETED, Status.COMPLETED]
    assert Operation.CHECK not in {child.operation for child in others}


async def test_a_target_that_a_person_must_repair_first_is_refused(engine: Engine, path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    await carried_out(engine, Request(target=str(path), operations=(Operation.CHECK,)))
    done = await tended(engine, path)
    assert done.status is Status.FAILED
    assert {child.reason for child in done.children} <= {Reason.REFUSED, Reason.PREVIOUS_FAILED}


async def test_what_was_not_needed_is_not_left_to_repeat(engine: Engine, path: Path) -> None:
    done = await tended(engine, path)
    with pytest.raises(UsageError, match="every operation completed"):
        await engine.retry(done.id, only_incomplete=True)
    remove_index_entries(path, "order")
    failed = await carried_out(engine, if_needed(everything(path, check=CheckLevel.FULL), EVERY_TIME))
    left = await engine.retry(failed.id, only_incomplete=True)
    assert left.request == failed.request, "what was not needed may be needed now"
