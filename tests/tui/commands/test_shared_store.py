"""The commands on a store that many hosts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.tui.command_line import CommandLine


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty shared store."""
    with copied_store(postgres) as url:
        yield url


def test_a_run_is_in_the_history_of_the_shared_store(dbtend: CommandLine, shared: str, sales: Path) -> None:
    done = dbtend("--store", shared, "run", str(sales), "--op", "vacuum", "--json")
    assert done.code == 0, done.err
    assert [child["status"] for child in done.json["jobs"][0]["children"]] == ["completed"]
    assert "sales.db" in dbtend("--store", shared, "history").out
    assert not dbtend.store.exists()
