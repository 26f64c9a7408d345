"""A session keeps nothing that one call leaves for another: each planned operation knows its own plan and results."""

from __future__ import annotations

from pathlib import Path

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.step_execution import StepContext
from tests.sqlite_files import make_database, remove_index_entries


async def test_operations_of_one_session_know_nothing_of_each_other(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    remove_index_entries(path, "order")
    async with resolve(str(path)).connect(lock_timeout=1) as session:
        check, analyze = [await session.plan(name, Options()) for name in (Operation.CHECK, Operation.ANALYZE)]
        assert "findings" not in await check.facts()
        for step in check.plan.steps:
            await check.execute(step, StepContext())
        assert (await check.facts())["findings"]
        assert "findings" not in {**await analyze.facts(), **await session.facts()}
        results = [await analyze.execute(step, StepContext()) for step in analyze.plan.steps]
        assert {result.status for result in results} == {Status.COMPLETED}
        assert (await analyze.facts())["changed_stat_rows"]
        assert "changed_stat_rows" not in await check.facts()
