"""Pending lists of GIN indexes, and what BRIN indexes do not cover: advised, done without a VACUUM, and then done."""

from __future__ import annotations

import pytest

from engine.domain.thresholds import Thresholds
from engine.targets.postgres.reading.index_upkeep import index_upkeep
from tests.engine.targets.server_session import connected
from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

GIN = (
    "CREATE TABLE item (id int, words text[]) WITH (autovacuum_vacuum_insert_threshold = 1000000)",
    "CREATE INDEX item_words ON item USING gin (words) WITH (gin_pending_list_limit = 65536)",
    "INSERT INTO item SELECT g, ARRAY[g::text, md5(g::text)] FROM generate_series(1, 30000) AS g",
    "ANALYZE item",
    "CHECKPOINT",
)
BRIN = (
    "CREATE TABLE item (id int, filler text) WITH (autovacuum_vacuum_insert_threshold = 1000000)",
    "INSERT INTO item SELECT g, repeat('x', 900) FROM generate_series(1, 8000) AS g",
    "CREATE INDEX item_id ON item USING brin (id) WITH (pages_per_range = 16)",
    "VACUUM ANALYZE item",
    "INSERT INTO item SELECT g, repeat('x', 900) FROM generate_series(8001, 12000) AS g",
    "ANALYZE item",
)


def steps(result: object) -> list[str]:
    (job,) = result.json["jobs"]  # type: ignore[attr-defined]
    return [step["command"] for child in job["children"] for step in child["steps"]]


@pytest.mark.parametrize("extension", [False, True])
def test_a_long_pending_list_is_cleaned_and_told_no_more(
    dbtend: CommandLine, database: Database, extension: bool
) -> None:
    database(*GIN, *(["CREATE EXTENSION pgstattuple"] if extension else []))
    (vacuum,) = (one for one in dbtend("advise", database.url, "--json").json["advice"] if one["operation"] == "vacuum")
    assert (vacuum["level"], vacuum["facts"]["causes"]) == ("small", ["pending_list"])
    assert "wait in the pending list of public.item_words" in vacuum["reason"]
    command = """SELECT pg_catalog.gin_clean_pending_list('"public"."item_words"'::pg_catalog.regclass)"""
    assert steps(dbtend("run", database.url, "--needed", "--json")) == [command]
    assert database.value("SELECT gin_clean_pending_list('item_words')") == 0
    assert "needs nothing" in dbtend("run", database.url, "--needed").out


def test_what_a_brin_index_does_not_cover_is_summarized_and_told_no_more(
    dbtend: CommandLine, database: Database
) -> None:
    dbtend.configure('[advice]\nuncovered = "2MB"')
    database(*BRIN)
    (vacuum,) = (one for one in dbtend("advise", database.url, "--json").json["advice"] if one["operation"] == "vacuum")
    assert (vacuum["level"], vacuum["facts"]["causes"]) == ("small", ["uncovered_pages"])
    command = """SELECT pg_catalog.brin_summarize_new_values('"public"."item_id"'::pg_catalog.regclass)"""
    assert steps(dbtend("run", database.url, "--needed", "--json")) == [command]
    assert database.value("SELECT brin_summarize_new_values('item_id')") <= 1  # the last range is not full
    assert "needs nothing" in dbtend("run", database.url, "--needed").out
    database("INSERT INTO item SELECT g, repeat('x', 900) FROM generate_series(12001, 16000) AS g", "ANALYZE item")
    assert steps(dbtend("run", database.url, "--needed", "--json")) == [command]


async def test_how_much_a_brin_index_does_not_cover_is_known_from_statistics(database: Database) -> None:
    database(*BRIN)
    async with connected(database.url) as session:
        (one,) = await index_upkeep(session._reader)
    real = database.value("SELECT brin_summarize_new_values('item_id')") * 16 * 8192
    assert one.waiting == pytest.approx(real, rel=0.05)
    assert one.waiting < Thresholds().uncovered
