"""The commands on databases of MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.targets.mysql.conftest import server
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.tui.command_line import CommandLine

__all__ = ["server"]

pytestmark = LONG_ON_MYSQL


@pytest.fixture
def shop(server: MySqlServer) -> Iterator[MySqlDatabase]:
    with new_database(server) as made:
        yield made


@pytest.fixture
def blog(server: MySqlServer) -> Iterator[MySqlDatabase]:
    with new_database(server) as made:
        yield made


def needs_analyze(database: MySqlDatabase) -> None:
    database(
        "CREATE TABLE changed (id INT AUTO_INCREMENT PRIMARY KEY) STATS_AUTO_RECALC = 0",
        "ANALYZE TABLE changed",
        "INSERT INTO changed VALUES (NULL)",
        *["INSERT INTO changed SELECT NULL FROM changed"] * 12,
    )


def damage(database: MySqlDatabase) -> None:
    database("CREATE TABLE logs (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO logs VALUES (1)", "FLUSH TABLES")
    (database.server.data / database.name / "logs.MYI").write_bytes(b"noise" * 100)


def test_what_needs_a_yes_is_left_out_where_nobody_is_asked_and_the_rest_runs(
    dbtend: CommandLine, shop: MySqlDatabase, blog: MySqlDatabase
) -> None:
    damage(shop)
    needs_analyze(blog)
    operations = 'operations = ["repair", "analyze"]'
    dbtend.configure("".join(f'[targets.{one.name}]\nurl = "{one.url}"\n{operations}\n' for one in (shop, blog)))
    assert dbtend("run", shop.name, "--op", "check", "--object", "logs").code == 1
    result = dbtend("run", shop.name, blog.name, "--needed")
    assert result.code == 3, (result.out, result.err)
    assert f"{shop.name}: repair is left out, as it needs --yes: it rewrites each table" in result.err
    job, _ = dbtend("history", "--json").json["jobs"]
    assert (job["target"], [child["operation"] for child in job["children"]]) == (blog.url, ["analyze"])
    assert dbtend("run", shop.name, "--needed").code == 3
    plan = dbtend("plan", shop.name, "--needed").out
    assert "REPAIR TABLE" in plan
    assert "because you asked" not in plan
    repaired = dbtend("run", shop.name, "--needed", "--yes", "--json").json["jobs"][0]
    assert [child["operation"] for child in repaired["children"]] == ["repair"]


def test_what_no_operation_puts_right_has_a_line_of_its_own_and_is_no_success(
    dbtend: CommandLine, shop: MySqlDatabase
) -> None:
    shop("CREATE TABLE tiny (id TINYINT AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO tiny VALUES (124)")
    assert dbtend("run", shop.url, "--op", "check", "--op", "analyze").code == 0
    levels = {line.split()[0]: line.split() for line in dbtend("advise", shop.url).out.splitlines()[1:]}
    assert levels["rebuild"][1] == "none"
    assert levels["by"][:7] == ["by", "hand", "critical", "tiny:", "id", "has", "used"]
    result = dbtend("run", shop.url, "--needed")
    assert result.code == 4, (result.out, result.err)
    assert "nothing to run; by hand: tiny: id has used 97% of the values of its type" in result.out
    (seen,) = dbtend("fleet", shop.url, "--refresh", "--json").json["targets"]
    assert (seen["level"], seen["reason"]) == ("critical", "auto-increment 97% used")
    needs_analyze(shop)
    result = dbtend("run", shop.url, "--needed")
    assert (result.code, "by hand: tiny: id has used 97%" in result.err) == (4, True), (result.out, result.err)


def test_a_view_is_told_from_a_table_that_is_missing(dbtend: CommandLine, shop: MySqlDatabase) -> None:
    shop("CREATE VIEW v AS SELECT 1")
    result = dbtend("run", shop.url, "--op", "analyze", "--object", "v")
    assert (result.code, "object v: is a view (name the tables that it reads)" in result.err) == (2, True), result.err
    assert "is no table of the database" in dbtend("run", shop.url, "--op", "analyze", "--object", "w").err


def test_a_check_that_is_narrowed_to_what_is_repaired_is_said_to_stay_due(
    dbtend: CommandLine, shop: MySqlDatabase
) -> None:
    shop("CREATE TABLE well (id INT PRIMARY KEY)")
    damage(shop)
    assert dbtend("run", shop.url, "--op", "check", "--object", "logs").code == 1
    result = dbtend("run", shop.url, "--needed", "--yes")
    assert "only logs now; the check of the others stays due" in result.err, (result.out, result.err)


def test_a_plan_says_that_others_queue_behind_a_rebuild_that_has_to_wait(
    dbtend: CommandLine, shop: MySqlDatabase
) -> None:
    shop("CREATE TABLE item (id INT PRIMARY KEY)")
    with shop.session("INSERT INTO item VALUES (1)"):
        told = dbtend("plan", shop.url, "--op", "rebuild", "--lock-timeout", "3").out
        assert "New statements on the table wait behind it, for 3 s at most; --yield-after" in told, told
        assert "New statements" not in dbtend("plan", shop.url, "--op", "rebuild", "--yield-after", "1").out
