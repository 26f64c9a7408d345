"""Patterns as values: wildcards, names of backups, the order of names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fleet.patterns import is_backup_name, is_wild, matches, matches_any, natural_order


@pytest.mark.parametrize("text", ["*.db", "t?.db", "t[0-9].db", "postgresql://h/*"])
def test_wildcards_make_a_pattern(text: str) -> None:
    assert is_wild(text)


@pytest.mark.parametrize("text", ["sales.db", "postgresql://h/shop", "/srv/{a,b}.db"])
def test_a_plain_name_is_no_pattern(text: str) -> None:
    assert not is_wild(text)


@pytest.mark.parametrize(
    "name",
    [
        "s.backup-2026-11-24.db",
        "s.backup-2026-11-24.2.db",
        "s.backup-2026-11-24",
        "a\nb.backup-2026-11-24.db",
        "a.b.backup-2026-01-01.x",
    ],
)
def test_names_that_dbtend_gives_backups(name: str) -> None:
    assert is_backup_name(name)


def test_a_line_break_in_a_name_is_part_of_it() -> None:
    assert is_backup_name("a\nb.backup-2026-11-24.db")


@pytest.mark.parametrize("name", ["sales.db", "backup-2026-11-24.db", "sales.backup.db", "sales.backup-26-11-24.db"])
def test_other_names_are_no_backups(name: str) -> None:
    assert not is_backup_name(name)


def test_a_pattern_matches_whole_names_with_line_breaks_and_cases() -> None:
    assert matches("a\nb.db", "a*.db")
    assert not matches("A.db", "a*")
    assert not matches("aa.db.old", "a*.db")
    assert matches_any(("x", "test_1"), ("prod", "test_*"))
    assert not matches_any((), ("*",))


def test_numbers_in_names_sort_by_value() -> None:
    names = ["t10", "T2", "t1", "t02b", "a", "", "t2"]
    assert sorted(names, key=natural_order) == ["", "a", "t1", "T2", "t2", "t02b", "t10"]


@given(st.lists(st.text()))
def test_every_name_can_be_sorted(names: list[str]) -> None:
    sorted(names, key=natural_order)
