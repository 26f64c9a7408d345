"""Every station of docs/explanation/two-walks.md is a function of its file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from docs.generator.files import DOCS

ROOT = DOCS.parent
WALKS = DOCS / "explanation" / "two-walks.md"


def stations() -> Iterator[tuple[str, str]]:
    """Each file with its function, in the order of the page."""
    folder = ""
    for line in WALKS.read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\w+/", line):
            folder = line
        if found := re.match(r"  (\S+\.py):(\w+)", line):
            yield folder + found[1], found[2]


def test_each_station_is_a_function_of_its_file() -> None:
    for file, function in stations():
        tree = ast.parse((ROOT / file).read_bytes())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in names, (file, function)


def test_each_walk_has_twelve_stations() -> None:
    assert len([*stations()]) == 24
