"""Schedules in the config file, and the errors of wrong ones."""

from __future__ import annotations

from dataclasses import fields

import pytest

from engine.config.editor import with_target
from engine.config.keys import SCHEDULE_KEYS
from engine.config.model import TargetEntry
from engine.config.parser import parse_config
from engine.domain.batches import BatchOptions, Order
from engine.domain.errors import ConfigError
from engine.domain.requests import OnFailure, Operation
from engine.domain.schedules import Schedule

TARGETS = '[targets.sales]\nurl = "/srv/sales.db"\ngroups = ["eu"]\n'
EVERYTHING = (
    TARGETS
    + """
[schedules.nightly]
targets = ["@eu", "sales", "/srv/tenants/*.db", "postgresql://dba@db1/*"]
exclude = ["test_*"]
operations = ["check", "vacuum"]
start = "0 22 * *  mon-fri"
timezone = "Europe/Berlin"
until = "05:00"
stagger = "20m"
order = "urgent"
max_failures = 3
canary = 2
max_per_host = 4
catch_up = "2h"
notify = ["ops"]
on_failure = "stop"

[schedules.checks]
targets = ["sales"]
operations = "needed"
start = "0 4 1 * *"

[notify.ops]
command = ["page"]
"""
)


@pytest.mark.parametrize("word", ["sal*", "@e?", "@sal*"])
def test_patterns_of_names_and_groups(word: str) -> None:
    text = f'{TARGETS}[schedules.a]\ntargets = ["{word}"]\nstart = "0 4 * * *"\n'
    assert parse_config(text, "f").schedules[0].targets == (word,)


def test_everything_that_can_be_said() -> None:
    nightly, checks = parse_config(EVERYTHING, "f").schedules
    assert nightly == Schedule(
        name="nightly",
        targets=("@eu", "sales", "/srv/tenants/*.db", "postgresql://dba@db1/*"),
        exclude=("test_*",),
        operations=(Operation.CHECK, Operation.VACUUM),
        start="0 22 * * mon-fri",
        timezone="Europe/Berlin",
        until="05:00",
        stagger=1200.0,
        order=Order.URGENT,
        max_failures=3,
        canary=2,
        max_per_host=4,
        catch_up=7200.0,
        notify=("ops",),
        settings={"on_failure": OnFailure.STOP},
    )
    assert nightly.batch == BatchOptions(max_failures=3, canary=2, max_per_host=4)
    assert checks == Schedule(name="checks", targets=("sales",), start="0 4 1 * *")


def test_every_key_is_a_field_and_every_field_is_a_key() -> None:
    assert SCHEDULE_KEYS.keys() | {"name", "settings"} == {field.name for field in fields(Schedule)}


def test_a_home_directory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/dba")
    (found,) = parse_config('[schedules.a]\ntargets = ["~/*.db"]\nstart = "0 1 * * *"', "f").schedules
    assert found.targets == ("/home/dba/*.db",)


@pytest.mark.parametrize(
    ("said", "line", "why"),
    [
        ('start = "0 0 31 2 *"', 6, "schedules.a.start '0 0 31 2 *' never comes: its months have no such day"),
        ('start = "0 0 30 2 *"', 6, "schedules.a.start '0 0 30 2 *' never comes: its months have no such day"),
        ('start = "0 0 31 2,4 *"', 6, "schedules.a.start '0 0 31 2,4 *' never comes: its months have no such day"),
        ('start = "0 0 32 2 *"', 6, "schedules.a.start '0 0 32 2 *' is no cron expression (bad day-of-month)"),
        ('start = "hourly"', 6, "schedules.a.start 'hourly' has 1 field, and cron expressions have 5"),
        ('start = "0 22 * *"', 6, "schedules.a.start '0 22 * *' has 4 fields, and cron expressions have 5"),
        ('start = "61 22 * * *"', 6, "schedules.a.start '61 22 * * *' is no cron expression (bad minute)"),
        ("start = 22", 6, "schedules.a.start must be text"),
        ('start = "0 22 * * *"\ntimezone = "Europe/Nowhere"', 7, "schedules.a.timezone must be a time zone that this"),
        ('start = "0 22 * * *"\ntimezone = "../../etc/passwd"', 7, "schedules.a.timezone must be a time zone that"),
        ('start = "0 22 * * *"\nuntil = "22:00"', 7, "schedules.a.until is also a time at which it starts: the window"),
        ('start = "0 5,22 * * *"\nuntil = "05:00"', 7, "schedules.a.until is also a time at which it starts"),
        ('start = "0 22 * * *"\nuntil = "25:00"', 7, "schedules.a.until must be a time of day"),
        ('start = "0 22 * * *"\nuntil = "23:00"\nstagger = "1h"', 8, "schedules.a.stagger is as long as the window"),
        ('start = "0 22 * * *"\ncatch_up = 5', 7, "schedules.a.catch_up must be text"),
        ('start = "0 22 * * *"\noperations = "all"', 7, "schedules.a.operations cannot be 'all' (give \"needed\","),
        (
            'start = "0 22 * * *"\noperations = ["needed"]',
            7,
            'schedules.a.operations cannot have "needed" in a list (write operations = "needed")',
        ),
        (
            'start = "0 22 * * *"\nexclude = [""]',
            7,
            'schedules.a.exclude must be a list of names (such as exclude = ["test_*"])',
        ),
        (
            'start = "0 22 * * *"\nexclude = ["postgresql://dba:s3cret@db1/a"]',
            7,
            "schedules.a.exclude must not hold a ",
        ),
        ('start = "0 22 * * *"\noperations = []', 7, 'schedules.a.operations must be "needed", or a list of'),
        ('start = "0 22 * * *"\norder = "random"', 7, "schedules.a.order cannot be 'random'"),
        ('start = "0 22 * * *"\nmax_failures = 0', 7, "schedules.a.max_failures must be a whole number from 1"),
        ('start = "0 22 * * *"\nwhen = "now"', 7, "schedules.a.when is an unknown key"),
        ("", 4, "schedules.a.start is missing"),
    ],
)
def test_a_wrong_schedule_is_told_with_its_line(said: str, line: int, why: str) -> None:
    with pytest.raises(ConfigError) as problem:
        parse_config(f'{TARGETS}[schedules.a]\ntargets = ["sales"]\n{said}', "f")
    assert str(problem.value).startswith(f"f, line {line}: {why}")


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        ('["@us"]', "schedules.a.targets names @us, which is no group of the file (there is @eu)"),
        ('["sale"]', "schedules.a.targets names sale, which is no target of the file (did you mean sales?)"),
        ('["tenants/*.db"]', "schedules.a.targets names tenants/*.db, which is no target of the file (give the name"),
        ("[]", 'schedules.a.targets must be a list of names (such as targets = ["@eu", "/srv/*.db"])'),
        ('["postgresql://dba:s3cret@db1/*"]', "schedules.a.targets must not hold a password (put it into ~/.pgpass"),
        ('["sales", "host=db1 user=dba password=s3cret"]', "schedules.a.targets must not hold a password"),
        ('["postgresql://dba@db1/shop?password=s3cret"]', "schedules.a.targets must not hold a password"),
        ('["postgresql:/dba:s3cret@db1"]', "schedules.a.targets must not hold a password"),
    ],
)
def test_targets_that_are_not_there(targets: str, why: str) -> None:
    with pytest.raises(ConfigError) as problem:
        parse_config(f'{TARGETS}[schedules.a]\ntargets = {targets}\nstart = "0 1 * * *"', "f")
    assert str(problem.value).startswith(f"f, line 5: {why}")


@pytest.mark.parametrize("name", ['"a b"', '"../a"', '"é"', '""', '"' + "a" * 65 + '"'])
def test_a_name_that_cannot_be_used_everywhere(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be its name"):
        parse_config(f'{TARGETS}[schedules.{name}]\ntargets = ["sales"]\nstart = "0 1 * * *"', "f")


def test_a_schedule_without_targets() -> None:
    with pytest.raises(ConfigError, match=r"line 1: schedules.a.targets is missing"):
        parse_config('[schedules.a]\nstart = "0 1 * * *"', "f")


def test_a_change_of_a_target_keeps_the_schedules() -> None:
    text = with_target(EVERYTHING, TargetEntry(name="more", url="/srv/more.db"), file="f")
    assert parse_config(text, "f").schedules == parse_config(EVERYTHING, "f").schedules
