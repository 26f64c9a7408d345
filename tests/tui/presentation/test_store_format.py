"""What `dbtend store` and `dbtend doctor` say of rights."""

from __future__ import annotations

from dataclasses import replace

from engine.config.model import WorkerConfig
from engine.domain.option_spec import Lent
from engine.domain.store_reports import Foreign, ForeignObject, StoreCheck, StoreMade
from tui.presentation import store_format
from tui.presentation.health_check import Check, Level

SOUND = StoreCheck(
    standbys=0, synchronous_standbys="",
    server_version="18.1", database="dbtend", size=9_000_000, user="ann", owner="dba", owner_is_superuser=False,
    roles=("dbtend_operator",), missing_roles=(), roles_sql="", version=17, keepalives=True, round_trip=0.001,
    clock_offset=0.0, jobs=1, open_jobs=0, events=3, workers=1, dead_workers=0, unfinished_copy="",
    host="db1", has_namesake=False, broken={},
)  # fmt: skip


def of(found: StoreCheck, what: str) -> list[Check]:
    return [check for check in store_format.store_checks(found, "the store") if check.what == what]


def test_an_owner_that_is_superuser_is_warned_of() -> None:
    assert of(SOUND, "owner") == []
    (check,) = of(replace(SOUND, owner="postgres", owner_is_superuser=True), "owner")
    assert check.level is Level.WARN
    assert check.found == "the store belongs to postgres, a superuser, with whose rights its functions run"
    made = StoreMade(17, 16, owner="postgres", owner_is_superuser=True)
    assert any(line.startswith("warning: the store belongs to postgres") for line in store_format.made_lines(made, ""))


def test_what_others_have_added_is_a_problem_each_and_of_very_many_the_number_is_told() -> None:
    assert [check.level for check in of(SOUND, "rights")] == [Level.OK]
    added = ForeignObject(Foreign.TRIGGER, "aha\x1b[31m on dbtend.pause")
    (check,) = of(replace(SOUND, foreign=(added,)), "rights")
    assert check.level is Level.PROBLEM
    assert check.found.startswith("trigger: aha")
    assert "\x1b" not in check.found
    assert len(of(replace(SOUND, foreign=(added,) * 500), "rights")) == 11


def test_what_workers_do_for_other_logins_is_told() -> None:
    assert store_format.lent(WorkerConfig()).found == (
        "workers with this config file take from them: no --pause-while, no --backup-to; no file that [targets] does"
        " not name"
    )
    some = WorkerConfig(allow=(Lent.BACKUP_TO,), directories=("/srv", "/backups"))
    assert store_format.lent(some).found.endswith(": --backup-to; files below /srv, /backups")
