"""A worker process is killed while its server goes on: what a later run of the same says, and what its job shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.targets.mysql.a_session import filled, runs
from tests.engine.targets.mysql.conftest import server
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.postgres_databases import SLEEPS, Database
from tests.tui.command_line import CommandLine, but_unchecked, out_line, workers_of
from tests.waiting import wait_until

__all__ = ["server"]


@pytest.fixture
def shop(server: MySqlServer) -> Iterator[MySqlDatabase]:
    with new_database(server) as made:
        yield made


def killed_in(dbtend: CommandLine, database: Database | MySqlDatabase, is_running: str, *words: str) -> None:
    """Run it until this is true on the server, and kill it: its workers die just after it."""
    with dbtend.start("run", database.url, *words) as process:
        out_line(process)
        database.wait_for(is_running)
        process.kill()
        process.wait(timeout=30)
        wait_until(lambda: not workers_of(dbtend.store))


def ends(dbtend: CommandLine) -> tuple[str, str | None, str]:
    """The status and the reason of the only operation of job 1, and its outcome."""
    (first,) = dbtend("show", "1", "--json").json["jobs"]
    (child,) = first["children"]
    return child["status"], child["reason"], first["outcome"]


def test_a_reindex_of_postgresql_that_a_later_job_has_done_is_ended_and_what_it_left_is_told(
    dbtend: CommandLine, database: Database
) -> None:
    database.make_slow()
    killed_in(dbtend, database, SLEEPS, "--op", "reindex")
    database.set_fast()
    other = dbtend("run", database.url, "--op", "analyze")
    assert (other.code, "was interrupted: run the same again" in other.err) == (0, True), other.err
    assert ends(dbtend) == ("pending", None, "interrupted")
    again = dbtend("run", database.url, "--op", "reindex", "--lock-timeout", "77")
    assert again.code == 0, again.err
    assert "is ended: job #3 has done the same. An index or a copy that is not complete may be left" in again.err
    assert ends(dbtend) == ("cancelled", "not_needed", "cancelled")
    assert database.invalid_indexes() == ["slow_number_ccnew"]
    assert dbtend("run", database.url, "--op", "clean-leftovers").code == 0
    assert database.invalid_indexes() == []
    assert "may be left" not in dbtend("show", "1").out
    assert "interrupted" not in dbtend("advise", database.url).err


def test_the_same_reindex_goes_on_with_the_job_and_drops_what_it_had_left(
    dbtend: CommandLine, database: Database
) -> None:
    database.make_slow()
    killed_in(dbtend, database, SLEEPS, "--op", "reindex")
    database.set_fast()
    assert dbtend("run", database.url, "--op", "reindex").code == 0
    assert ends(dbtend) == ("completed", None, "completed")
    assert "the unfinished copy public.slow_number_ccnew was dropped" in dbtend("show", "1").out
    assert database.invalid_indexes() == []


def test_what_a_later_job_has_rewritten_is_not_told_as_the_work_of_the_interrupted_one(
    dbtend: CommandLine, database: Database
) -> None:
    database.make_slow()
    words = ("--op", "vacuum-full", "--object", "slow", "--yes")
    killed_in(dbtend, database, SLEEPS, *words)
    database.set_fast()
    again = dbtend("run", database.url, *words, "--lock-timeout", "77")
    assert (again.code, "start dbtend worker to check its database" in again.err) == (0, True), again.err
    assert dbtend("run", database.url, *words).code == 1
    assert ends(dbtend) == ("failed", "owner_lost", "failed")
    assert "public.slow has been rewritten since, by its VACUUM FULL or by another command" in dbtend("show", "1").out


@LONG_ON_MYSQL
def test_a_rebuild_that_a_later_job_has_done_is_ended_and_nothing_of_it_is_left(
    dbtend: CommandLine, shop: MySqlDatabase
) -> None:
    filled(shop, "item", 80_000)
    words = ("--op", "rebuild", "--object", "item", "--yes")
    killed_in(dbtend, shop, runs("ALTER", "altering table"), *words)
    again = dbtend("run", shop.url, *words, "--lock-timeout", "77")
    assert again.code == 0, again.err
    assert but_unchecked(again.err).endswith("is ended: job #2 has done the same\n"), again.err
    assert ends(dbtend) == ("cancelled", "not_needed", "cancelled")
    assert not list((shop.server.data / shop.name).glob("#sql*"))
