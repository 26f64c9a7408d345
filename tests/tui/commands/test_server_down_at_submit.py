"""A server that is down or full when a run is asked for is waited for where --server-wait says for how long."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.postgres_databases import Database
from tests.postgres_server import PostgresServer, running_server
from tests.tui.command_line import CommandLine, err_line

WAITING = "postgres: waiting up to {}: server is down; next try in 1 s\n"


@pytest.fixture(scope="module")
def own(postgres: PostgresServer) -> Iterator[PostgresServer]:
    with running_server(postgres.binaries) as server:
        yield server


@pytest.fixture
def down(own: PostgresServer) -> PostgresServer:
    """A server of which nobody has seen yet that it is down."""
    own.stop()
    return own


@pytest.mark.parametrize("what", [("--op", "analyze"), ("--needed",)], ids=["operation", "needed"])
def test_the_run_goes_on_once_it_is_there(dbtend: CommandLine, down: PostgresServer, what: tuple[str, ...]) -> None:
    with dbtend.start("run", down.url(), *what, "--schema", "public", "--server-wait", "10m") as run:
        assert err_line(run).endswith(WAITING.format("10m"))
        down.start()
        out, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (0, ""), out


def test_the_config_may_say_for_how_long_too(dbtend: CommandLine, down: PostgresServer) -> None:
    dbtend.configure(f'[targets.shop]\nurl = "{down.url()}"\nserver_wait = "5m"')
    with dbtend.start("run", "shop", "--op", "analyze", "--schema", "public", "--json") as run:
        assert err_line(run) == "dbtend: shop: waiting up to 5m: server is down; next try in 1 s\n"
        down.start()
        run.communicate(timeout=60)
    assert run.returncode == 0


def test_after_that_it_is_refused(dbtend: CommandLine, down: PostgresServer) -> None:
    result = dbtend.process("run", down.url(), "--op", "analyze", "--server-wait", "1s")
    assert result.code == 2
    first, second = result.err.splitlines()
    assert first.endswith("waiting up to 1s: server is down; next try in 1 s")
    assert "server is down, for 1s by now: no server answers there" in second
    assert not dbtend.store.exists()


def test_the_time_limit_ends_it_before(dbtend: CommandLine, down: PostgresServer) -> None:
    result = dbtend.process("run", down.url(), "--op", "analyze", "--server-wait", "10m", "--time-limit", "1s")
    assert result.code == 2
    assert "server is down, for " in result.err


@pytest.mark.parametrize("words", [(), ("--server-wait", "0s")], ids=["not asked for", "none"])
def test_where_nobody_asks_for_it_nothing_is_waited_for(
    dbtend: CommandLine, down: PostgresServer, words: tuple[str, ...]
) -> None:
    result = dbtend.process("run", down.url(), "--op", "analyze", *words)
    assert result.code == 2
    assert "no server answers there" in result.err
    assert "waiting" not in result.err


def test_ctrl_c_ends_it_at_once(dbtend: CommandLine, down: PostgresServer) -> None:
    with dbtend.start("run", down.url(), "--op", "analyze", "--server-wait", "10m") as run:
        err_line(run)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=30)
    assert (run.returncode, out, err) == (130, "", "")


def test_a_retry_waits_as_its_request_says(dbtend: CommandLine, down: PostgresServer) -> None:
    down.start()
    assert dbtend.process("run", down.url(), "--op", "analyze", "--schema", "public", "--server-wait", "5m").code == 0
    down.stop()
    with dbtend.start("retry", "1") as run:
        assert err_line(run).endswith(WAITING.format("5m"))
        down.start()
        run.communicate(timeout=60)
    assert run.returncode == 0


def test_what_a_full_server_refuses_names_the_option_that_waits(dbtend: CommandLine, database: Database) -> None:
    database("CREATE ROLE joe LOGIN CONNECTION LIMIT 0", "CREATE TABLE item (a int)")
    full, what = database.as_user("joe"), ("--op", "analyze", "--schema", "public")
    alone = dbtend("run", full, *what)
    assert (alone.code, "--server-wait" in alone.err) == (4, True), alone.err
    others = (("advise", full), ("plan", full, *what), ("run", full, *what, "--server-wait", "1s"))
    assert {dbtend(*words).code for words in others} == {alone.code}
    dbtend("run", full, database.url, *what)
    refused, done = (dbtend("show", number, "--json").json["jobs"][0]["children"][0] for number in ("1", "2"))
    assert (refused["reason"], done["status"]) == ("unreachable", "completed")
    shown = dbtend("show", "1").out
    assert "--server-wait" in shown
    assert "--lock-timeout" not in shown
