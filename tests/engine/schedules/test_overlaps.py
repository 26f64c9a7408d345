"""Schedules that are open at the same time on the same targets are found by the config file alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.config.parser import parse_config
from engine.domain.requests import Operation
from engine.schedules.overlaps import due_beside, overlaps
from tests.engine.domain.test_due_times import at, schedule

NOON = at("2026-11-27T12:00")
TARGETS = (
    '[targets.sales]\nurl = "/srv/sales.db"\ngroups = ["eu"]\n[targets.all]\nurl = "/srv/*.db"\nexclude = ["old_*"]\n'
)
NIGHTLY = 'start = "0 22 * * *"\nuntil = "05:00"'


def found(one: str, other: str, *, disabled: tuple[str, ...] = ()) -> list[int]:
    zone = 'timezone = "Europe/Berlin"'
    text = f"{TARGETS}[schedules.a]\n{one}\n{zone}\n[schedules.b]\n{other}\n{zone}\n"
    return [overlap.at for overlap in overlaps(parse_config(text, "f"), NOON, disabled=disabled)]


@pytest.mark.parametrize(
    ("some", "others"),
    [
        ('["sales"]', '["sales"]'),
        ('["sales"]', '["@eu"]'),
        ('["sales"]', '["/srv/sales.db"]'),
        ('["sales"]', '["all"]'),
        ('["all"]', '["/srv/s*.db"]'),
        ('["postgresql://dba@db1/*"]', '["postgresql://dba@db1/shop"]'),
    ],
)
def test_the_same_targets(some: str, others: str) -> None:
    late = 'start = "0 1 * * *"'
    assert found(f"targets = {some}\n{NIGHTLY}", f"targets = {others}\n{late}") == [at("2026-11-28T01:00")]
    assert found(f"targets = {others}\n{NIGHTLY}", f"targets = {some}\n{late}") == [at("2026-11-28T01:00")]


@pytest.mark.parametrize(
    ("some", "others"),
    [
        ('["sales"]', '["/srv/shop.db"]'),
        ('["all"]', '["/srv/old_1.db"]'),
        ('["all"]', '["/other/*.db"]'),
        ('["postgresql://dba@db1/*"]', '["postgresql://dba@db2/shop"]'),
        ('["all"]', '["postgresql://dba@db2/*"]'),
    ],
)
def test_other_targets(some: str, others: str) -> None:
    assert found(f"targets = {some}\n{NIGHTLY}", f"targets = {others}\n{NIGHTLY}") == []


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ('start = "0 22 * * *"', "2026-11-27T22:00"),
        ('start = "59 4 * * *"', "2026-11-28T04:59"),
        ('start = "0 5 * * *"', None),
        ('start = "0 12 * * *"\nuntil = "22:00"', None),
        ('start = "0 12 * * *"\nuntil = "22:01"', "2026-11-28T22:00"),
        ('start = "0 3 1 * *"', "2026-12-01T03:00"),
    ],
)
def test_the_same_time(start: str, first: str | None) -> None:
    expected = [] if first is None else [at(first)]
    assert found(f'targets = ["sales"]\n{NIGHTLY}', f'targets = ["all"]\n{start}') == expected


def test_a_disabled_one_overlaps_with_none() -> None:
    assert found(f'targets = ["sales"]\n{NIGHTLY}', f'targets = ["sales"]\n{NIGHTLY}', disabled=("b",)) == []


@pytest.mark.parametrize(
    ("start", "until", "dues"),
    [
        ("0 22 * * *", "05:00", ["2026-11-27T22:00"]),
        ("0 22 * * *", "01:00", []),
        ("0 3,4 * * *", "06:00", ["2026-11-28T03:00", "2026-11-28T04:00"]),
        ("0 5 * * *", None, ["2026-11-27T05:00"]),
        ("0 5 * * 0", None, []),
    ],
)
def test_what_is_due_beside_a_night(start: str, until: str | None, dues: list[str]) -> None:
    own = replace(schedule("0 1 * * *"), name="own", until="05:00")
    other = replace(schedule(start), name="other", until=until, operations=(Operation.CHECK,))
    found = due_beside(own, at("2026-11-28T01:00"), [own, other])
    assert found == ([(other, [at(due) for due in dues])] if dues else [])
    needed = due_beside(own, at("2026-11-28T01:00"), [own, replace(other, operations=None)])
    assert needed == ([(replace(other, operations=None), [at(dues[0])])] if dues else [])
