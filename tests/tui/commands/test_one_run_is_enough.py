"""What a run does is all that is needed: what its VACUUM and ANALYZE show to be needed, it does as well."""

from __future__ import annotations

import pytest

from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

ROWS = "INSERT INTO item SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, {}) AS g"


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (250_000, ("DELETE FROM item WHERE id % 5 <> 0",)),
        (120_000, ("UPDATE item SET name = upper(name)", "UPDATE item SET name = lower(name)")),
    ],
)
def test_an_index_that_is_bloated_after_vacuum_is_rebuilt_in_the_same_run(
    dbtend: CommandLine, database: Database, rows: int, changes: tuple[str, ...]
) -> None:
    """Whether rows are gone, or newer ones have come in their place."""
    database("CREATE TABLE item (id int, name text)", "CREATE INDEX item_name ON item (name)", ROWS.format(rows))
    database("VACUUM ANALYZE item", *changes)
    database.reconnect()
    database.wait_for("SELECT n_dead_tup > 100000 FROM pg_stat_user_tables WHERE relname = 'item'")
    (job,) = dbtend("run", database.url, "--needed", "--json").json["jobs"]
    commands = [step["command"] for step in job["children"][0]["steps"]]
    assert any(command.startswith("VACUUM") for command in commands), commands
    assert 'REINDEX INDEX CONCURRENTLY "public"."item_name"' in commands
    assert "needs nothing" in dbtend("run", database.url, "--needed").out


def test_what_only_new_statistics_show_is_done_in_the_same_run(dbtend: CommandLine, database: Database) -> None:
    """Even from a table that was never analyzed, of which the server has lost count."""
    database("CREATE TABLE item (id int, name text)", "CREATE INDEX item_name ON item (name)", ROWS.format(250_000))
    database("DELETE FROM item WHERE id % 5 <> 0")
    database.reconnect()
    database.wait_for("SELECT n_dead_tup > 100000 FROM pg_stat_user_tables WHERE relname = 'item'")
    database("SELECT pg_stat_reset()")
    database.wait_for("SELECT n_dead_tup = 0 FROM pg_stat_user_tables WHERE relname = 'item'")
    (plan,) = dbtend("plan", database.url, "--needed", "--json").json["jobs"]
    assert [step["command"].split()[0] for step in plan["children"][0]["steps"]] == ["ANALYZE"]
    (job,) = dbtend("run", database.url, "--needed", "--json").json["jobs"]
    assert [(step["command"].split()[0], step["object"], step["status"]) for step in job["children"][0]["steps"]] == [
        ("ANALYZE", "public.item", "completed"),
        ("VACUUM", "public.item", "completed"),
        ("REINDEX", "public.item_name", "completed"),
    ]
    assert "needs nothing" in dbtend("run", database.url, "--needed").out
