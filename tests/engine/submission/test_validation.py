"""R11: an invalid request is refused as a whole, in words, before anything is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, Request
from engine.domain.errors import UsageError
from engine.domain.requests import CheckLevel
from tests.building import SQLITE_OPERATIONS
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ANALYZE, CHECK, BACKUP, VACUUM = Operation.ANALYZE, Operation.CHECK, Operation.BACKUP, Operation.VACUUM


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "state" / "jobs.db") as opened:
        yield opened


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db", rows=20)


@pytest.mark.parametrize(
    ("operations", "options", "why"),
    [
        ((CHECK,), {"jobs": 0}, "jobs 0: is not possible"),
        ((CHECK,), {"jobs": 65}, "from 1 to 64"),
        ((ANALYZE,), {"analysis_limit": 0}, "analysis limit 0: is not possible"),
        ((ANALYZE,), {"analysis_limit": -5}, "analysis limit -5: is not possible"),
        ((VACUUM,), {"objects": ("item",)}, "operation vacuum: is always for the whole database"),
        ((ANALYZE, Operation.OPTIMIZE), {"objects": ("item",)}, "operation optimize: is always for the whole"),
        ((ANALYZE,), {"objects": ("item", "item")}, "object item: is named twice"),
        ((Operation.REINDEX,), {"rebuild": ("by price", "by price")}, "index by price: is named twice"),
        ((VACUUM,), {"backup_to": "/backups"}, "--backup-to: does not apply to vacuum, only to backup"),
        ((VACUUM,), {"jobs": 4}, "--jobs: does not apply to vacuum, only to check"),
        ((ANALYZE,), {"objects": ("",)}, "object '': is no name"),
        ((BACKUP,), {"backup_to": "backups"}, "is no absolute path"),
        ((BACKUP,), {"backup_to": ""}, "is no absolute path"),
        ((BACKUP,), {"backup_to": "/backups/\0"}, "is no absolute path"),
        ((CHECK,), {"check": "deep"}, "check 'deep': is unknown .choose from quick, full."),
        ((CHECK,), {"on_failure": "panic"}, "on failure 'panic': is unknown .choose from continue, stop."),
    ],
)
async def test_r11_what_is_not_possible_is_refused(
    engine: Engine, sales: Path, operations: tuple[Operation, ...], options: dict[str, object], why: str
) -> None:
    wrong = Request(target=str(sales), operations=operations, options=Options(**options))  # type: ignore[arg-type]
    for refuse in (engine.submit([wrong]), engine.plan(wrong)):
        with pytest.raises(UsageError, match=why):
            await refuse
    assert await engine.history() == []


@pytest.mark.parametrize(
    ("operations", "options"),
    [
        ((CHECK,), Options(jobs=64)),
        ((ANALYZE,), Options(analysis_limit=1)),
        ((ANALYZE, Operation.REINDEX, CHECK), Options(objects=("item", "order"))),
        ((CHECK,), Options(verify=True, check=CheckLevel.QUICK)),
        ((VACUUM,), Options(force=True, verify=True)),
        (SQLITE_OPERATIONS, Options(backup_to="/backups")),
    ],
)
async def test_what_is_possible_is_stored_as_it_was_asked(
    engine: Engine, sales: Path, operations: tuple[Operation, ...], options: Options
) -> None:
    (parent,) = await engine.submit([Request(target=str(sales), operations=operations, options=options)])
    stored = (await engine.job(parent.id)).request
    assert (stored.operations, stored.options) == (operations, options)


async def test_a_check_that_is_asked_for_is_full_although_those_around_are_quick(engine: Engine, sales: Path) -> None:
    asked = Request(target=str(sales), operations=(CHECK, VACUUM), options=Options(verify=True))
    (parent,) = await engine.submit([asked])
    assert (await engine.job(parent.id)).request.options.check is CheckLevel.FULL
    planned = [one.steps for one in (await engine.plan(asked)).operations if one.operation is CHECK]
    assert ["integrity_check" in steps[0].command for steps in planned] == [True, True, True]
    quick = Request(target=str(sales), operations=(VACUUM,), options=Options(verify=True))
    assert "quick_check" in (await engine.plan(quick)).operations[0].steps[0].command


async def test_all_operations_are_offered_and_more_than_run_by_default(engine: Engine, sales: Path) -> None:
    (parent,) = await engine.submit([Request(target=str(sales), operations=SQLITE_OPERATIONS)])
    assert [child.operation for child in parent.children] == list(SQLITE_OPERATIONS)


async def test_what_only_reads_may_be_asked_of_a_database_that_cannot_be_written(engine: Engine, sales: Path) -> None:
    sales.chmod(0o444)
    (parent,) = await engine.submit([Request(target=str(sales), operations=(CHECK,))])
    assert [child.operation for child in parent.children] == [CHECK]
