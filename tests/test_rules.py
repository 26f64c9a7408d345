"""Every rule that the engine must hold has at least one test named after it, such as `test_r9_...`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))


@pytest.mark.parametrize("rule", range(1, 29))
def test_each_rule_has_a_test_of_its_name(rule: int) -> None:
    assert re.search(rf"\bdef test_r{rule}_\w+|^test_r{rule}_\w+ =", TESTS, re.MULTILINE)
