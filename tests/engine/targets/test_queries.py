"""The queries in files: all are there, each says what it gives, and each is used with all that it asks for."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

import engine.targets
from engine.targets.queries import queries_in
from tests.engine.test_waits import SQL_WAITS

ENGINES = [path.parent for path in sorted(Path(engine.targets.__file__).parent.glob("*/queries"))]
each_engine = pytest.mark.parametrize("folder", ENGINES, ids=lambda folder: folder.name)


def texts(folder: Path) -> Mapping[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.sql")}


def asked_for(text: str, parts: Mapping[str, str]) -> set[str]:
    """The values that a query or a part asks for, also by its parts."""
    names = set(re.findall(r"\{([a-z]\w*)", text))
    asked = {*re.findall(r"^ *-- if (\w+)$", text, re.MULTILINE), *(names - set(parts))}
    return asked.union(*(asked_for(parts[name], parts) for name in names & set(parts)))


@cache
def nodes(folder: Path) -> Sequence[tuple[str, ast.AST]]:
    """All nodes of the modules, each with its file."""
    trees = [(path.name, ast.parse(path.read_text(encoding="utf-8"))) for path in folder.rglob("*.py")]
    return [(name, node) for name, tree in trees for node in ast.walk(tree)]


def calls(folder: Path) -> Iterator[tuple[str, str | None, set[str]]]:
    """Where it is called, the name of the query if it is a constant, and the names of the values."""
    for file, node in nodes(folder):
        match node:
            case ast.Call(ast.Name("query"), [name], keywords):
                constant = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else None
                yield f"{file}:{node.lineno}", constant, {word.arg or "" for word in keywords}


def words(folder: Path) -> set[str]:
    """All constant strings of the modules."""
    return {node.value for _, node in nodes(folder) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@each_engine
def test_a_first_comment_of_each_file_says_what_it_gives(folder: Path) -> None:
    for path in folder.rglob("queries/**/*.sql"):
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        assert re.fullmatch(r"-- [A-Z`].{10,}\w.*[.:,\w]", first), path
        assert max(map(len, [first, *lines])) <= 120, path


@each_engine
def test_each_file_is_used_and_each_that_is_used_is_there(folder: Path) -> None:
    there, parts = texts(folder / "queries"), texts(folder / "queries/parts")
    named = {name for _, name, _ in calls(folder) if name is not None}
    assert named - set(there) == set()
    assert set(there) - words(folder) == set()
    in_places = {name for text in (*there.values(), *parts.values()) for name in re.findall(r"\{([a-z]\w*)", text)}
    assert set(parts) - in_places == set()


@each_engine
def test_each_query_is_given_what_it_asks_for(folder: Path) -> None:
    there, parts = texts(folder / "queries"), texts(folder / "queries/parts")
    wrong = defaultdict[str, set[str]](set)
    for where, name, given in calls(folder):
        if name is not None and "" not in given:
            wrong[where] |= given ^ asked_for(there[name], parts)
    assert {where: names for where, names in wrong.items() if names} == {}


@each_engine
def test_no_query_waits(folder: Path) -> None:
    for path in folder.rglob("queries/**/*.sql"):
        assert not SQL_WAITS.search(path.read_text(encoding="utf-8")), path


def test_no_comment_is_sent_and_places_and_choices_are_filled(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/pages.sql").write_text("-- The pages.\n{1}.{column} * {2}\n")
    (tmp_path / "rows.sql").write_text(
        "-- The rows of a table.\n-- Why so.\nSELECT {pages c; 8 % 3}, '{Not, 1}', '-- kept',\n"
        "    -- if before_14\n    -1\n    -- else\n    rows\n    -- end\n"
        "    -- if some\n    , oid\n    -- end\nFROM t\n"
    )
    query = queries_in(tmp_path)
    old = query("rows", column="relpages", before_14=True, some=False)
    assert old == "SELECT c.relpages * 8 % 3, '{Not, 1}', '-- kept',\n    -1\nFROM t"
    new = query("rows", column="{n}", before_14=False, some=True)
    assert new == "SELECT c.{n} * 8 % 3, '{Not, 1}', '-- kept',\n    rows\n    , oid\nFROM t"
    with pytest.raises(KeyError):
        query("rows", some=True)


def test_what_is_changed_later_is_nothing_to_a_process_that_runs(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "rows.sql").write_text("-- The rows.\nSELECT 1\n")
    query = queries_in(tmp_path)
    (tmp_path / "rows.sql").unlink()
    assert query("rows") == "SELECT 1"
