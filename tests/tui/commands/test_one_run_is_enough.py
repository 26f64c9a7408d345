"""What a run does is all that is needed: its VACUUM does not call for a rebuild in another run."""

from __future__ import annotations

import pytest

from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

ROWS = "INSERT INTO item SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, 250000) AS g"


@pytest.mark.parametrize(
    "changes",
    [
        ("DELETE FROM item WHERE id % 5 <> 0",),
        ("UPDATE item SET name = upper(name)", "UPDATE item SET name = lower(name)"),
    ],
)
def test_an_index_that_is_bloated_after_vacuum_is_rebuilt_in_the_same_run(
    dbtend: CommandLine, database: Database, changes: tuple[str, ...]
) -> None:
    """Whether rows are gone, or newer ones have come in their place."""
    database("CREATE TABLE item (id int, name text)", "CREATE INDEX item_name ON item (name)", ROWS)
    database("VACUUM ANALYZE item", *changes)
    database.reconnect()
    database.wait_for("SELECT n_dead_tup > 100000 FROM pg_stat_user_tables WHERE relname = 'item'")
    (job,) = dbtend("run", database.url, "--needed", "--json").json["jobs"]
    commands = [step["command"] for step in job["children"][0]["steps"]]
    assert any(command.startswith("VACUUM") for command in commands), commands
    assert 'REINDEX INDEX CONCURRENTLY "public"."item_name"' in commands
    assert "needs nothing" in dbtend("run", database.url, "--needed").out
