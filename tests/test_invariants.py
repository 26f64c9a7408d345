"""docs/invariants.md names the code and tests of each rule, and every name in docs/ exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "invariants.md"
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*(/|\.(py|sql|md|toml|tcss))")


def sections() -> dict[int, str]:
    """The text of each rule, by its number, in the order of the page."""
    text = PAGE.read_text(encoding="utf-8")
    starts = [(int(found[1]), found.start()) for found in re.finditer(r"^## R(\d+)\. ", text, re.MULTILINE)]
    return {number: text[start:end] for (number, start), (_, end) in pairwise([*starts, (0, len(text))])}


def named_tests(section: str) -> Iterator[tuple[str, str]]:
    """Each test that a list item names, after the file that it is in."""
    for item in re.findall(r"^- (`.+?)(?=\n- |\n\n|\Z)", section, re.MULTILINE | re.DOTALL):
        file, *tests = re.findall(r"`([^`]+)`", item)
        assert tests, item
        yield from ((file, test) for test in tests)


@cache
def definitions(file: str) -> frozenset[str]:
    """The names that a module defines."""
    names = set()
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


@cache
def long_ones(file: str) -> frozenset[str]:
    """The tests of a module that only `make long` runs."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    marked = [one for one in functions if "pytest.mark.long" in map(ast.unparse, one.decorator_list)]
    return frozenset(function.name for function in marked)


def test_the_page_has_every_rule_once_and_in_order() -> None:
    headings = [int(number) for number in re.findall(r"^## R(\d+)\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)]
    assert headings == sorted(set(headings))
    assert set(range(1, 31)) < set(headings)


@pytest.mark.parametrize("number", sections())
def test_each_rule_says_why_and_names_its_code_and_its_tests(number: int) -> None:
    section = sections()[number]
    assert re.search(r"^Why: ", section, re.MULTILINE)
    assert re.search(r"^Code: `", section, re.MULTILINE)
    tests = list(named_tests(section))
    assert any(test.startswith(f"test_r{number}_") and test not in long_ones(file) for file, test in tests)
    assert {(file, test) for file, test in tests if test not in definitions(file)} == set()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    paths = {name for name in re.findall(r"`([^`\s]+)`", text) if "/" in name and PATH.fullmatch(name)}
    assert {name for name in paths if not (ROOT / name).exists()} == set()
    links = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)} - {""}
    assert {link for link in links if not (page.parent / link).exists()} == set()
