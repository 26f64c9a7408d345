"""The plan of a night inspects only the targets whose fresh survey does not say that they need nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Operation, Options, Request, Status
from engine.config.model import TargetEntry
from engine.config.parser import parse_config
from engine.domain.requests import CheckLevel
from engine.fleet.target_words import configured_entries
from engine.inspection import inspector
from engine.system.clock import now
from tests.sqlite_files import make_database

NIGHTLY = """
[targets.tenants]
url = "{directory}/t*.db"

[schedules.nightly]
targets = ["tenants"]
operations = "needed"
start = "0 22 * * *"
"""


async def test_a_target_that_needs_nothing_is_inspected_again_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config(NIGHTLY.format(directory=tmp_path), "config.toml")
    files = [make_database(tmp_path / f"t{n}.db") for n in range(3)]
    everything = (Operation.VACUUM, Operation.ANALYZE, Operation.CHECK)
    inspected: list[str] = []
    inspect = inspector.inspect_and_advise

    async def noted(target: str, *args: object, **more: object) -> object:
        inspected.append(Path(target).name)
        return await inspect(target, *args, **more)  # type: ignore[arg-type]

    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        requests = [
            Request(target=str(file), operations=everything, options=Options(check=CheckLevel.FULL))
            for file in files[:2]
        ]
        await engine.wait([job.id for job in await engine.submit(requests)])
        async for _ in engine.survey([TargetEntry(name=file.stem, url=str(file)) for file in files]):
            pass
        monkeypatch.setattr(inspector, "inspect_and_advise", noted)
        plan = await engine.planned_night(config.schedules[0], config, now())
        assert (inspected, plan.idle) == (["t2.db"], 2)
        assert [Path(one.target.target).name for one in plan.targets] == ["t2.db"]
        with closing(sqlite3.connect(files[0], isolation_level=None)) as db:
            db.execute("CREATE TABLE another(a)")
        inspected.clear()
        await engine.planned_night(config.schedules[0], config, now())
        assert sorted(inspected) == ["t0.db", "t2.db"]


async def test_a_night_is_planned_beside_the_other_schedules_of_its_workers(tmp_path: Path) -> None:
    text = NIGHTLY.format(directory=tmp_path) + (
        f'[targets.other]\nurl = "{tmp_path}/other.db"\n'
        '[schedules.others]\ntargets = ["other"]\noperations = ["check"]\nstart = "0 22 * * *"\n'
        f'[schedules.none]\ntargets = ["{tmp_path}/none/*.db"]\noperations = ["check"]\nstart = "0 22 * * *"\n'
    )
    make_database(tmp_path / "t.db")
    make_database(tmp_path / "other.db")
    config = parse_config(text, "config.toml")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        nightly = config.schedules[0]
        plan = await engine.planned_night(nightly, config, now())
        assert plan.beside == ["others"]
        assert [Path(one.target.target).name for one in plan.targets] == ["t.db"]
        await engine.disable_schedule("others", "me")
        assert (await engine.planned_night(nightly, config, now())).beside == []


async def test_a_night_is_planned_beside_the_jobs_that_wait_for_its_workers(tmp_path: Path) -> None:
    text = (
        f'[defaults]\nworkers = 1\n[schedules.checks]\ntargets = ["{tmp_path}/t.db"]\n'
        'operations = ["check"]\nstart = "0 22 * * *"\n'
    )
    make_database(tmp_path / "t.db")
    other = make_database(tmp_path / "other.db")
    config = parse_config(text, "config.toml")
    (schedule,) = config.schedules
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        done = await engine.submit([Request(target=str(other), operations=(Operation.CHECK,))])
        await engine.wait([job.id for job in done])
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db, db:  # as if it had taken an hour
        db.execute("UPDATE child_job SET started_at = started_at - 3600 * 1000000")
        db.execute("UPDATE step SET started_at = started_at - 3600 * 1000000")
    async with Engine.open(tmp_path / "jobs.db", workers=0) as engine:
        assert (await engine.planned_night(schedule, config, now())).open_jobs == 0
        await engine.submit([Request(target=str(other), operations=(Operation.CHECK,))])
        due = now() + 600 * 1_000_000
        plan = await engine.planned_night(schedule, config, due)
        (target,) = plan.targets
        assert plan.open_jobs == 1
        assert target.runs[0].begins_at - due > 2_000 * 1_000_000
        assert (await engine.planned_night(schedule, config, due + 2 * 3_600 * 1_000_000)).open_jobs == 0


async def test_an_empty_file_that_a_schedule_names_is_a_target_of_its_nights_and_of_the_fleet(tmp_path: Path) -> None:
    make_database(tmp_path / "full.db")
    (empty := tmp_path / "empty.db").touch()
    (tmp_path / "of_pattern.db").touch()
    text = (
        f'[schedules.nightly]\ntargets = ["{empty}", "{tmp_path}/*.db"]\n'
        'operations = ["analyze"]\nstart = "0 22 * * *"\n'
    )
    config = parse_config(text, "config.toml")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        _, fired = await engine.fire(config.schedules[0], config)
        jobs = await engine.wait([job.id for job in fired])
        ends = {Path(job.request.target).name: job.status for job in jobs}
        assert ends == {"empty.db": Status.FAILED, "full.db": Status.COMPLETED}
    (entry, _) = configured_entries(config)
    assert (entry.url, entry.is_word) == (str(empty), False)
