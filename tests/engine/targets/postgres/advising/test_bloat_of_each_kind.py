"""Advice on each kind of index against the effect of a rewrite: `benchmarks.postgres_bloat`, briefly."""

from __future__ import annotations

import pytest

from benchmarks.postgres_bloat import LONG, PLAIN, RICH, Content, cases
from tests.postgres_databases import Database

TREES = Content(PLAIN, 190_000, {
    "B-tree": ("(s)",),
    "B-tree, partial": ("(s) WHERE state = 'open'",),
    "B-tree, correlated": ("(a, b)",),
    "B-tree, expression": ("(upper(s))",),
})  # fmt: skip
OTHERS = Content(RICH, 40_000, {
    "GIN": ("USING gin (words)", "USING gin (list)"), "GiST": ("USING gist (place)",), "hash": ("USING hash (n)",)
})  # fmt: skip
POINTS = 0.08


@pytest.mark.parametrize(
    ("content", "unseen_by_owner"),
    [(TREES, set()), (OTHERS, {"GIN", "GiST"}), (Content(LONG, 700, {}), set())],
    ids=["trees", "others", "toast"],
)
def test_dead_space_of_no_kind_is_overlooked(database: Database, content: Content, unseen_by_owner: set[str]) -> None:
    database("CREATE ROLE joe LOGIN", "GRANT CREATE ON SCHEMA public TO joe")
    found = list(cases(database, content, "60% deleted"))
    assert {case.kind for case in found} - {"table"} == set(content.indexes or ("TOAST",))
    for case in found:
        assert case.said["superuser"] == pytest.approx(case.real, abs=POINTS), case
    assert {case.kind for case in found if case.said["owner"] is None} == unseen_by_owner
