"""A pooler that shares server connections among clients: each command refuses it with one error."""

from __future__ import annotations

import pytest

from tests.pgbouncer import pgbouncer
from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine


@pytest.mark.parametrize("command", ["advise", "plan", "run", "run --needed", "run --detach", "run --op vacuum"])
def test_every_command_refuses_it_and_leaves_no_trace(dbtend: CommandLine, database: Database, command: str) -> None:
    database("CREATE TABLE item (id int)")
    with pgbouncer(database, "transaction", pool_size=1) as pool:
        name, *options = command.split()
        result = dbtend(name, pool.url, *options)
        assert result.code == 2
        assert result.err.endswith(" session mode)\n")
        assert len(result.err.splitlines()) == 1
        with pool.application() as application:
            assert application.execute("SELECT count(*) FROM item").fetchall() == [(0,)]
            assert application.execute("SHOW statement_timeout").fetchall() == [("0",)]
