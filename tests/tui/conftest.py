from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain import typed_passwords
from engine.inspection import demo_database
from tests.postgres_databases import SECRET, Database, new_database
from tests.postgres_server import PostgresServer
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine


@pytest.fixture
def dbtend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command, with a store and a config of its own."""
    return CommandLine(tmp_path / "home", monkeypatch)


@pytest.fixture(autouse=True)
def _small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of `dbtend demo`, where it is made in this process."""
    monkeypatch.setattr(demo_database, "EVENTS", 20_000)


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A healthy database that has something to give back."""
    return make_database(tmp_path / "sales.db", rows=400)


@pytest.fixture(scope="module")
def guarded(postgres: PostgresServer) -> Iterator[Database]:
    """A database of `ann`, of whom its server wants a password."""
    server = PostgresServer(postgres.binaries)
    try:
        server.start()
        with new_database(server) as database:
            database(f"CREATE ROLE ann SUPERUSER LOGIN PASSWORD '{SECRET}'", "CREATE TABLE item (id int)")
            server.ask_for_a_password("ann")
            database.reconnect()
            yield database
    finally:
        server.discard()


@pytest.fixture
def no_password_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    yield
    typed_passwords.forget()
