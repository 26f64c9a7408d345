"""`dbtend schedules`: what it tells of schedules and their nights, and what it does with them."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine import Engine
from engine.config.reader import load_config
from engine.domain.schedules import Firing, FiringReason, FiringStatus, ScheduleState
from engine.store.sqlite.store import SqliteStore
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tests.waiting import wait_until

DAY = 86_400_000_000
NIGHTFALL = 22 * 3_600_000_000


@pytest.fixture
def nightly(dbtend: CommandLine, tmp_path: Path) -> CommandLine:
    for name in ("a", "b"):
        make_database(tmp_path / f"{name}.db", rows=50)
    dbtend.configure(
        f'[targets.tenants]\nurl = "{tmp_path}/*.db"\n\n'
        '[schedules.nightly]\ntargets = ["tenants"]\noperations = ["vacuum", "analyze"]\nstart = "0 22 * * *"\n'
        'timezone = "UTC"\nuntil = "05:00"\n\n'
        '[schedules.monthly]\ntargets = ["tenants"]\nexclude = ["b"]\nstart = "0 4 1 * *"\ntimezone = "UTC"\n'
    )
    return dbtend


def record(dbtend: CommandLine, *firings: Firing) -> None:
    async def write() -> None:
        async with SqliteStore.open(dbtend.store) as store:
            await store.record_firings(firings)

    asyncio.run(write())


def missed(days_ago: int, reason: FiringReason = FiringReason.NO_WORKER, error: str | None = None) -> Firing:
    """A night that began at 22:00 UTC, the last one for 1."""
    now = time.time_ns() // 1000
    at = (now - NIGHTFALL) // DAY * DAY + NIGHTFALL - (days_ago - 1) * DAY
    status = FiringStatus.SKIPPED if reason is FiringReason.STILL_RUNNING else FiringStatus.MISSED
    return Firing(schedule="nightly", due_at=at, status=status, reason=reason, error=error, recorded_at=now)


def test_a_window_that_cannot_hold_its_work_is_told(nightly: CommandLine, tmp_path: Path) -> None:
    def told() -> list[bool]:
        lines = [*nightly("schedules").err.splitlines(), *nightly("doctor").out.splitlines()]
        return ["nightly" in line for line in lines if "will not fit into the window" in line]

    assert nightly("run", tmp_path / "a.db", tmp_path / "b.db", "--op", "vacuum").code == 0
    assert told() == []
    with closing(sqlite3.connect(nightly.store, timeout=30)) as db, db:  # as if it had taken a night
        db.execute("UPDATE child_job SET started_at = started_at - 8 * 3600 * 1000000")
    assert told() == [True, True]


def test_one_of_what_is_needed_that_still_runs_when_it_is_due_again_is_told(
    nightly: CommandLine, tmp_path: Path
) -> None:
    def told() -> list[str]:
        lines = [*nightly("schedules").err.splitlines(), *nightly("doctor").out.splitlines()]
        return [line for line in lines if "will not be done when it is due again" in line]

    with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:  # so much is free that VACUUM is needed
        db.execute("CREATE TABLE waste AS SELECT zeroblob(100000000)")
    nightly.configure(f'[schedules.nightly]\ntargets = ["{tmp_path}/*.db"]\nstart = "0 * * * *"\ntimezone = "UTC"\n')
    assert nightly("run", tmp_path / "a.db", "--op", "vacuum").code == 0
    with closing(sqlite3.connect(nightly.store, timeout=30)) as db, db:  # as if it had taken a night
        db.execute("UPDATE child_job SET started_at = started_at - 8 * 3600 * 1000000")
    assert told() == []
    with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
        db.execute("DROP TABLE waste")
    assert nightly("fleet", tmp_path / "a.db", "--json").json["targets"][0]["level"] in {"now", "soon"}
    assert len(told()) == 2
    assert nightly("run", tmp_path / "a.db", "--op", "vacuum").code == 0
    assert told() == []


def test_schedules_are_listed_without_a_store(nightly: CommandLine) -> None:
    said = nightly("schedules")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].split() == ["SCHEDULE", "NEXT", "DUE", "WINDOW", "LAST", "RESULT", "TOOK", "TREND"]
    assert [line.split()[0] for line in lines[1:]] == ["nightly", "monthly"]
    assert " until 05:00 " in lines[1]
    assert "no permanent worker fires them" in said.err
    assert not nightly.store.exists()


def test_without_schedules_it_says_so(dbtend: CommandLine) -> None:
    dbtend.configure("")
    said = dbtend("schedules")
    assert (said.code, said.out) == (0, "")
    assert "has no schedules: add a section [schedules.NAME]" in said.err
    assert dbtend("schedules", "--json").json == {"schedules": [], "is_served": False}
    assert dbtend("schedules", "nightly").code == 2


def test_one_is_run_now_and_its_night_is_shown(nightly: CommandLine) -> None:
    said = nightly("schedules", "--run", "nightly", "--yes")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("2 completed in ")
    listed = nightly("schedules").out
    assert "✓ b1: 2 completed (by hand)" in listed
    shown = nightly("schedules", "nightly").out
    assert "nightly: next due " in shown
    assert "  window      until 05:00" in shown
    assert "\nLast night, " in shown
    assert "\n✓ a" in shown
    assert "\nNext night, " in shown
    assert "\n· a" in shown
    assert [job["schedule"] for job in nightly("history", "schedule:nightly", "--json").json["jobs"]] == ["nightly"] * 2
    assert nightly("history", "schedule:other", "--json").json == {"jobs": [], "firings": []}


def test_one_that_runs_is_not_run_beside(nightly: CommandLine) -> None:
    async def fire() -> None:
        async with Engine.open(nightly.store) as engine:
            config = load_config(nightly.home / "config-home" / "dbtend" / "config.toml", required=True)
            await engine.fire(config.schedules[0], config)

    asyncio.run(fire())
    said = nightly("schedules", "--run", "nightly", "--yes")
    assert said.code == 2
    assert "schedule nightly: some of its jobs are open: batch b1 (wait for them, or cancel them first)" in said.err


def test_one_that_needs_nothing_is_run_and_says_so(nightly: CommandLine, tmp_path: Path) -> None:
    assert nightly("schedules", "--run", "monthly").code == 0
    assert nightly("schedules", "--run", "monthly").code == 0
    said = nightly("schedules", "--run", "monthly")
    assert (said.code, said.out) == (0, "")
    assert "monthly: nothing was needed" in said.err


def test_what_only_a_person_can_put_right_is_told_as_run_does(nightly: CommandLine, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.executescript(
            "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (1)"
        )
        db.execute("ANALYZE")
    for _ in ("quick check", "full check"):
        assert nightly("schedules", "--run", "monthly").code == 1
    said = nightly("schedules", "--run", "monthly")
    assert (said.code, said.out) == (4, "")
    assert "monthly: nothing to run; by hand: " in said.err
    assert "found 1 orphan" in said.err
    assert "nothing to run; by hand: " in nightly("schedules", "monthly").out


def test_a_damaged_database_is_told_each_night_and_has_no_failed_job(nightly: CommandLine, tmp_path: Path) -> None:
    nightly.configure(
        f'[targets.tenants]\nurl = "{tmp_path}/*.db"\n'
        '[schedules.nightly]\ntargets = ["tenants"]\nstart = "0 4 * * *"\ntimezone = "UTC"\n'
    )
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        query = "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'group'"
        ((root, size),) = db.execute(query)
    with (tmp_path / "a.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(bytes(size))
    assert nightly("run", tmp_path / "a.db", "--op", "check").code == 1
    jobs = nightly("history", "--json").json["jobs"]
    for _ in range(2):
        said = nightly("schedules", "--run", "nightly")
        assert said.code == 4
        assert re.search(r"^dbtend: nightly: .*by hand: \S+/a.db: found damage ", said.err)
    ended = [job for job in nightly("history", "--json").json["jobs"] if job not in jobs]
    assert {(job["target"], job["status"]) for job in ended} == {(f"sqlite://{tmp_path}/b.db", "completed")}
    nights = [line for line in nightly("schedules", "nightly").out.splitlines() if "by hand: " in line]
    assert ["b1  1 completed; by hand: " in line for line in nights] == [False, True]
    assert all(line.startswith("×") for line in nights)


def test_missed_and_skipped_nights_are_listed_with_the_reason(nightly: CommandLine) -> None:
    record(
        nightly,
        missed(3),
        missed(2, FiringReason.NOT_STARTED, "/srv/x*: matches no \x1b[31mfile"),
        missed(1, FiringReason.STILL_RUNNING),
    )
    shown = nightly("schedules", "nightly").out
    assert "missed: no worker was there" in shown
    assert "missed: /srv/x*: matches no \\x1b[31mfile" in shown
    assert "skipped (still running)" in shown
    form = nightly("schedules", "nightly", "--json").json["schedules"][0]
    assert [one["status"] for one in form["firings"]] == ["skipped", "missed", "missed"]
    assert [one["reason"] for one in form["firings"]] == ["still_running", "not_started", "no_worker"]


def test_the_history_tells_which_nights_did_not_happen(nightly: CommandLine) -> None:
    record(nightly, missed(2), missed(1, FiringReason.STILL_RUNNING))
    said = nightly("history")
    assert "Schedules that did not run:" in said.out
    assert "  nightly  missed: no worker was there" in said.out
    assert "  nightly  skipped (still running)" in said.out
    assert [one["status"] for one in nightly("history", "--json").json["firings"]] == ["skipped", "missed"]
    assert nightly("history", "schedule:monthly", "--json").json["firings"] == []
    assert len(nightly("history", "schedule:nightly", "--since", "24h", "--json").json["firings"]) == 1
    assert nightly("history", "--status", "failed", "--json").json["firings"] == []


def test_one_is_disabled_and_enabled(nightly: CommandLine) -> None:
    said = nightly("schedules", "--disable", "nightly")
    assert said.code == 0
    assert "disabled by " in said.out
    form = nightly("schedules", "--json").json["schedules"]
    assert [one["next_due"] is None for one in form] == [True, False]
    assert "disabled" not in nightly("schedules", "--enable", "nightly").out
    assert nightly("schedules", "--json").json["schedules"][0]["next_due"].endswith("T22:00:00.000000Z")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nigthly",), "'nigthly': is no schedule of the config file (did you mean nightly?)"),
        (("--run", "weekly"), "'weekly': is no schedule of the config file (there is nightly, monthly)"),
        (("nightly", "monthly"), "schedules: takes one SCHEDULE (name one schedule, or none for all)"),
        (("--run", "nightly", "--disable", "nightly"), "--disable: does not go with --run"),
        (("--as-due",), "--as-due: goes with --run"),
        (("nightly", "--yes"), "--yes: goes with --run"),
        (("--run", "nightly", "--as-due", "--yes"), "--yes: does not go with --as-due"),
        (("--systemd", "--cron"), "--cron: does not go with --systemd"),
    ],
)
def test_wrong_usage(nightly: CommandLine, argv: tuple[str, ...], said: str) -> None:
    result = nightly("schedules", *argv)
    assert result.code == 2
    assert said in result.err


def test_while_read_only_nothing_is_run_or_disabled(nightly: CommandLine) -> None:
    assert nightly("schedules", "--read-only").code == 0
    for option in ("--run", "--disable", "--enable"):
        said = nightly("schedules", option, "nightly", "--read-only")
        assert said.code == 2
        assert "read-only" in said.err
    assert not nightly.store.exists()


def test_units_and_lines_run_a_schedule(nightly: CommandLine) -> None:
    units = nightly("schedules", "--systemd").out
    assert "# ~/.config/systemd/user/dbtend-nightly.timer\n" in units
    assert "OnCalendar=*-*-* 22:00:00 UTC\n" in units
    assert "--as-due --run nightly\n" in units
    assert nightly("schedules", "monthly", "--cron").out.splitlines()[-1].startswith("0 4 1 * * ")


def test_a_schedule_of_another_config_file_is_told(nightly: CommandLine) -> None:
    async def observe() -> None:
        async with SqliteStore.open(nightly.store) as store:
            await store.observe_schedules(
                [
                    ScheduleState(name=name, start="0 1 * * *", config="/etc/other.toml", since=0)
                    for name in ("nightly", "weekly")
                ]
            )

    asyncio.run(observe())
    said = nightly("schedules")
    assert "in another config file, too" in said.out
    assert "nightly is in /etc/other.toml, too, which fires it: rename one" in said.err
    assert said.out.splitlines()[-1] == "weekly: in /etc/other.toml"
    assert nightly("schedules", "--disable", "weekly").out == "weekly: disabled\n"
    assert "  disabled by " in nightly("schedules", "--disable", "nightly").out
    nightly.configure("")
    assert nightly("schedules").out.splitlines()[1].startswith("weekly: in /etc/other.toml, disabled by ")


def test_the_fleet_tells_when_each_target_is_due(nightly: CommandLine) -> None:
    found = {one["name"]: one["next_due"] for one in nightly("fleet", "--json").json["targets"]}
    assert {name: due is not None for name, due in found.items()} == {"a": True, "b": True}
    nightly("schedules", "--disable", "nightly")
    found = {one["name"]: one["next_due"] for one in nightly("fleet", "--json").json["targets"]}
    assert {name: due is not None for name, due in found.items()} == {"a": True, "b": False}


def test_a_broken_config_is_told_and_that_the_worker_goes_on(
    nightly: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nightly.configure("[schedules.nightly]\n")
    said = nightly("schedules")
    assert said.code == 2
    assert "schedules.nightly.targets is missing" in said.err
    assert "the worker goes on" not in said.err
    nightly.store.parent.mkdir()
    asyncio.run(_open(nightly.store))
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "fires_schedules", _yes)
        assert "the worker goes on with the schedules that it read before" in nightly("schedules").err
        assert "a worker goes on with those that it read before" in nightly("doctor").out


async def _yes(*_: object) -> bool:
    return True


async def _open(store: Path) -> None:
    async with Engine.open(store):
        pass


def test_the_doctor_tells_that_nobody_fires_schedules_and_what_was_missed(nightly: CommandLine) -> None:
    assert "2 schedules, and no permanent worker fires them" in nightly("doctor").out
    record(nightly, missed(1))
    said = nightly("doctor").out
    assert " 22:00: missed: no worker was there" in said


def test_the_table_of_the_fleet_has_a_column_for_what_is_due_only_with_schedules(
    nightly: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    heading, *rows = nightly("fleet").out.splitlines()[2:5]
    assert "  next" in heading
    assert [bool(re.search(r"\d\d:\d\d", row)) for row in rows[:2]] == [True, True]
    nightly.configure(f'[targets.tenants]\nurl = "{tmp_path}/*.db"\n')
    assert "next" not in nightly("fleet").out.splitlines()[2]


def test_the_plan_tells_what_of_it_does_not_run(nightly: CommandLine, tmp_path: Path) -> None:
    operations = '["vacuum", "cluster"]'
    nightly.configure(
        f'[schedules.nightly]\ntargets = ["{tmp_path}/*.db"]\noperations = {operations}\nstart = "0 22 * * *"\n'
    )
    plan = nightly("schedules", "nightly", "--json").json["plan"]
    assert [[one["operation"] for one in target["left_out"]] for target in plan["targets"]] == [["cluster"]] * 2
    assert "\nnot cluster on 2 targets: does not apply to a SQLite file\n" in nightly("schedules", "nightly").out


def test_two_that_run_at_once_on_the_same_targets_are_told(nightly: CommandLine, tmp_path: Path) -> None:
    said = "nightly and monthly run at the same time on the same targets, first "
    assert said in nightly("schedules").err
    assert said not in nightly("schedules", "monthly").err
    assert said in nightly("doctor").out
    nightly("schedules", "--disable", "monthly")
    assert said not in nightly("schedules").err
    assert said not in nightly("doctor").out


def test_a_config_file_that_does_not_exist_is_told(dbtend: CommandLine) -> None:
    said = dbtend("schedules")
    assert said.code == 0
    assert "there is no config file " in said.err


def test_while_the_config_is_broken_one_that_the_store_knows_can_be_disabled(nightly: CommandLine) -> None:
    nightly("schedules", "--disable", "nightly")
    nightly("schedules", "--enable", "nightly")
    nightly.configure("[schedules.nightly]\n")
    said = nightly("schedules", "--disable", "nightly")
    assert (said.code, said.out) == (0, "nightly: disabled\n")
    assert "schedules.nightly.targets is missing" in said.err
    assert states(nightly)["nightly"].disabled_at is not None
    assert nightly("schedules", "--enable", "nightly").code == 0
    assert states(nightly)["nightly"].disabled_at is None
    assert nightly("schedules", "--disable", "weekly").code == 2
    assert nightly("schedules", "--disable", "nightly", "--read-only").code == 2
    assert states(nightly)["nightly"].disabled_at is None


def states(dbtend: CommandLine) -> Mapping[str, ScheduleState]:
    async def read() -> Mapping[str, ScheduleState]:
        async with SqliteStore.open(dbtend.store) as store:
            return await store.schedule_states()

    return asyncio.run(read())


def closed_window(dbtend: CommandLine, directory: Path, more: str = "") -> None:
    """A schedule that was due two hours ago, and whose window closed one hour ago."""
    opened, closed = (datetime.now(UTC) - timedelta(hours=hours) for hours in (2, 1))
    dbtend.configure(
        f'[schedules.nightly]\ntargets = ["{directory}/*.db"]\noperations = ["analyze"]\ntimezone = "UTC"\n'
        f'start = "0 {opened.hour} * * *"\nuntil = "{closed.hour:02}:00"\n{more}'
    )


def test_while_its_window_is_closed_it_runs_only_if_that_is_confirmed(nightly: CommandLine, tmp_path: Path) -> None:
    closed_window(nightly, tmp_path)
    said = nightly("schedules", "--run", "nightly")
    assert said.code == 2
    assert "schedule nightly: its window is closed until " in said.err
    assert "give --yes to run it now" in said.err
    assert not nightly.store.exists()
    said = nightly("schedules", "--run", "nightly", "--yes")
    assert said.code == 0
    assert "run now, it has no time limit" in said.err
    assert [job["deadline_at"] for job in nightly("history", "--json").json["jobs"]] == [None, None]


def test_as_due_it_does_not_run_while_its_window_is_closed(nightly: CommandLine, tmp_path: Path) -> None:
    closed_window(nightly, tmp_path, 'catch_up = "8h"\n')
    said = nightly("schedules", "--run", "nightly", "--as-due")
    assert said.code == 1
    assert "missed: the window had closed before a worker was there" in said.err
    assert nightly("history", "--json").json["jobs"] == []
    said = nightly("schedules", "--run", "nightly", "--as-due")
    assert said.code == 0
    assert said.err == ""


def test_as_due_it_runs_to_its_end_also_if_its_targets_are_spread(nightly: CommandLine, tmp_path: Path) -> None:
    nightly.configure(
        f'[schedules.nightly]\ntargets = ["{tmp_path}/*.db"]\noperations = ["analyze"]\ntimezone = "UTC"\n'
        'start = "* * * * *"\nstagger = "2s"\n'
    )
    said = nightly("schedules", "--as-due", "--run", "nightly")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("2 completed in ")
    (firing,) = nightly("schedules", "--json").json["schedules"][0]["firings"]
    assert (firing["status"], firing["reason"], firing["counts"]["completed"]) == ("fired", None, 2)


def test_one_without_targets_is_told_in_the_list_and_by_the_doctor(nightly: CommandLine, tmp_path: Path) -> None:
    nightly.configure(f'[schedules.nightly]\ntargets = ["{tmp_path}/nothing*.db"]\nstart = "0 22 * * *"\n')
    said = nightly("schedules")
    assert (said.code, "nightly has no targets: " in said.err) == (0, True)
    assert "nightly has no targets: " in nightly("doctor").out
    assert "the next night cannot be planned: " in nightly("schedules", "nightly").err


def test_a_window_that_goes_on_to_the_next_day_is_told(nightly: CommandLine, tmp_path: Path) -> None:
    nightly.configure(
        f'[schedules.nightly]\ntargets = ["{tmp_path}/*.db"]\nstart = "50,53 20 * * *"\nuntil = "20:51"\n'
    )
    warning = "nightly starts at 20:53, too, after until (20:51): that window is open for 23h58m, to the next day"
    assert warning in nightly("schedules").err
    assert warning in nightly("schedules", "nightly").err
    assert warning in nightly("doctor").out


def test_the_doctor_tells_of_another_config_file_with_the_same_schedule(nightly: CommandLine, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(f'[schedules.nightly]\ntargets = ["{tmp_path}/*.db"]\nstart = "0 1 * * *"\n')

    async def observe() -> None:
        async with SqliteStore.open(nightly.store) as store:
            seen = ScheduleState(name="nightly", start="0 1 * * *", config=str(other), since=0)
            await store.observe_schedules([seen])

    asyncio.run(observe())
    assert f"schedule nightly is in {other}, too, which fires it  (rename one)" in nightly("doctor").out
    other.unlink()
    assert "which fires it" not in nightly("doctor").out


def test_while_a_night_is_planned_a_terminal_shows_how_far_that_is_and_the_last_night_first(
    nightly: CommandLine, tmp_path: Path
) -> None:
    for number in range(8):
        make_database(tmp_path / f"t{number}.db", rows=5)
    nightly("schedules", "--run", "nightly", "--yes")
    ours, theirs = pty.openpty()
    with nightly.start("schedules", "nightly", stderr=theirs, environment={"TERM": "xterm"}) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=60)
        shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert re.search(r"inspected \d+ of 10 targets", shown)
    text = out
    assert text.index("Last night, ") < text.index("Next night, ")


def test_a_plan_goes_by_the_workers_that_run_and_the_doctor_tells_that_the_config_says_another_number(
    nightly: CommandLine, tmp_path: Path
) -> None:
    nightly.configure(
        f'[defaults]\nworkers = 1\n[schedules.nightly]\ntargets = ["{tmp_path}/*.db"]\nstart = "0 22 * * *"\n'
    )
    assert nightly("schedules", "nightly", "--json").json["plan"]["workers"] == 1
    with nightly.start("worker", "--workers", "2", stderr=subprocess.DEVNULL) as worker:
        try:
            wait_until(lambda: nightly.store.exists() and asyncio.run(_pool_size(nightly.store)) == 2)
            wait_until(lambda: nightly("schedules", "--json").json["is_served"])
            told = (
                "2 worker processes run, and the config file says 1  (restart dbtend worker, unless it has --workers)"
            )
            assert told in nightly("doctor").out
            assert nightly("schedules", "nightly", "--json").json["plan"]["workers"] == 2
        finally:
            worker.terminate()
            worker.communicate(timeout=60)


async def _pool_size(store: Path) -> int:
    async with Engine.open(store) as engine:
        return await engine.pool_size()
