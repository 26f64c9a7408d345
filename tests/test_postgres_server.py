"""The servers that the tests of PostgreSQL run on."""

from __future__ import annotations

import os

import psycopg
import pytest

from tests.postgres_server import NO_SERVER, PostgresServer, servers_found


@pytest.mark.skipif(not servers_found(), reason=NO_SERVER)
def test_a_server_starts_stops_and_leaves_nothing_behind() -> None:
    server = PostgresServer(max(servers_found().items())[1])
    try:
        server.start()
        with psycopg.connect(server.url()) as connection:
            assert connection.info.server_version // 10_000 == max(servers_found())
    finally:
        server.discard()
    assert not server.base.exists()


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="only CI insists")
def test_ci_has_a_server_to_test_with() -> None:
    assert servers_found(), NO_SERVER
