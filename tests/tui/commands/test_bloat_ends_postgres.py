"""Bloat that only the pages show is advised and listed; the advised operation removes it, and the advice ends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

INDEXED = "INSERT INTO item SELECT g, ARRAY[md5(g::text), g::text], point(g, g) FROM generate_series(1, 30000) AS g"
FULL = """
INSERT INTO item SELECT g, (SELECT string_agg(md5((g + i)::text), '') FROM generate_series(1, 250) AS i)
FROM generate_series(1, 600) AS g
"""


def advised(dbtend: CommandLine, url: str, operation: str) -> Any:
    (one,) = (one for one in dbtend("advise", url, "--json").json["advice"] if one["operation"] == operation)
    return one


def test_bloated_indexes_of_other_kinds_are_listed_and_rebuilt(dbtend: CommandLine, database: Database) -> None:
    dbtend.configure('[advice]\nindex_bloat = "500kB"')
    database(
        "CREATE TABLE item (id int, words text[], place point)",
        INDEXED,
        "CREATE INDEX item_words ON item USING gin (words)",
        "CREATE INDEX item_place ON item USING gist (place)",
        "DELETE FROM item WHERE id % 10 > 0",
        "VACUUM ANALYZE item",
        "CHECKPOINT",
    )
    before = advised(dbtend, database.url, "reindex")
    assert before["facts"]["causes"] == ["index_bloat"]
    assert {one["object"] for one in before["facts"]["dead_space"]} == {"public.item_words", "public.item_place"}
    listed = dbtend("advise", database.url).out
    assert " MB  public.item_words" in listed
    (job,) = dbtend("run", database.url, "--needed", "--json").json["jobs"]
    commands = {step["command"] for child in job["children"] for step in child["steps"]}
    assert commands == {f'REINDEX INDEX CONCURRENTLY "public"."item_{name}"' for name in ("words", "place")}
    assert "needs nothing" in dbtend("run", database.url, "--needed").out


@pytest.mark.parametrize("by_owner", [False, True])
def test_a_bloated_toast_table_is_told_until_its_table_is_rewritten(
    dbtend: CommandLine, database: Database, by_owner: bool
) -> None:
    dbtend.configure('[advice]\ntable_bloat = "1MB"')
    database(
        "CREATE TABLE item (id int, long text)",
        "ALTER TABLE item ALTER long SET STORAGE EXTERNAL",
        FULL,
        "DELETE FROM item WHERE id % 10 > 0",
        "VACUUM ANALYZE item",
        "CHECKPOINT",
        "CREATE ROLE joe LOGIN",
        "ALTER TABLE item OWNER TO joe",
    )
    url = database.as_user("joe") if by_owner else database.url
    before = advised(dbtend, url, "vacuum-full")
    assert before["reason"].startswith("public.item: " + ("about " if by_owner else ""))
    assert "of the TOAST table's " in before["reason"]
    assert before["facts"]["tables"] == 1
    assert dbtend("run", url, "--op", "vacuum-full", "--object", "item", "--yes").code == 0
    database("VACUUM item")  # which counts the rows of the new TOAST table
    assert advised(dbtend, url, "vacuum-full")["facts"]["tables"] == 0
