"""Records of what operations did: what they make of facts in the store, which may be damaged, and what they keep."""

from __future__ import annotations

from typing import Any

import pytest

from engine.domain.effects import CheckResult
from engine.domain.requests import CheckLevel


@pytest.mark.parametrize("facts", [None, {}, {"size": 5}, {"findings": "2"}, {"findings": True}, {"findings": None}])
def test_without_its_findings_there_is_no_result_of_a_check(facts: Any) -> None:
    assert CheckResult.of(facts) is None


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("level", "full", CheckLevel.FULL),
        ("level", "thorough", CheckLevel.QUICK),
        ("level", ["full"], CheckLevel.QUICK),
        ("complete", True, True),
        ("complete", 1, False),
        ("damage", "page 3 is lost", "page 3 is lost"),
        ("damage", 3, None),
        ("damage", None, None),
        ("damaged_indexes", ["a", 5, "b"], ("a", "b")),
        ("damaged_indexes", "ab", ()),
        ("damaged_pages", [1, True, "2", 3], (1, 3)),
        ("damaged_tables", [], ()),
        ("damaged_tables", None, None),
        ("orphans", 7, 7),
        ("orphans", 7.5, None),
        ("unknown", 1, None),
    ],
)
def test_a_value_of_another_type_counts_as_missing(name: str, value: Any, read: object) -> None:
    check = CheckResult.of({"findings": 2, name: value})
    assert check is not None
    assert getattr(check, name, None) == read


def test_what_is_kept_is_read_again_and_what_only_some_checks_find_is_left_out() -> None:
    few = {"findings", "level", "complete", "damage", "broken_rule", "remedy", "damaged_indexes"}
    assert CheckResult(findings=0).facts().keys() == few
    check = CheckResult(findings=1, damaged_tables=(), damaged_pages=(3,), orphans=0, only_indexes=True)
    assert check.facts().keys() == {*few, "damaged_tables", "damaged_pages", "orphans", "only_indexes"}
    assert CheckResult.of(check.facts()) == check
