"""A lazy module is imported at the first use of an attribute, and gives its reason."""

from __future__ import annotations

import subprocess
import sys

from engine.domain.lazy_import import lazy


def test_a_lazy_module_is_imported_at_its_first_use() -> None:
    program = """
import sys
from engine.domain.lazy_import import lazy
parser = lazy("engine.config.parser", "only a config file needs it")
before = "engine.config.parser" in sys.modules
parser.parse_config
print(before, "engine.config.parser" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_lazy_module_says_why_it_is_lazy() -> None:
    assert repr(lazy("json", "few need it")) == "<module json, imported at its first use: few need it>"
