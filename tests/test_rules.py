"""Every rule that the engine must hold has at least one test named after it, such as `test_r9_...`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# R5-R7, R14, R16 and R21 come with worker processes, limits and retention.
RULES = [1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 17, 18, 19, 20, 22, 23, 24, 25, 26, 27, 28]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_test_of_its_name(rule: int) -> None:
    assert re.search(rf"\btest_r{rule}_\w+", TESTS)
