"""The commands on a PostgreSQL database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

ITEMS = (
    "CREATE TABLE item (id int PRIMARY KEY, name text)",
    "INSERT INTO item SELECT g, 'name ' || g FROM generate_series(1, 5000) AS g",
    "CREATE INDEX item_name ON item (name)",
    "VACUUM ANALYZE item",
    "DELETE FROM item WHERE id > 1000",
)


@pytest.fixture
def shop(database: Database) -> Database:
    database(*ITEMS)
    database.wait_for("SELECT n_dead_tup = 4000 FROM pg_stat_user_tables")
    return database


def test_plan_shows_what_would_run_and_changes_nothing(dbtend: CommandLine, shop: Database) -> None:
    result = dbtend("plan", shop.url, "--op", "vacuum", "--op", "reindex", "--schema", "public", "--json")
    assert result.code == 0
    vacuum, reindex = result.json["jobs"][0]["children"]
    assert vacuum["steps"][0]["object"] == "public.item"
    assert (vacuum["steps"][0]["lock_impact"], vacuum["steps"][0]["lock_momentary"]) == ("maintenance", "everyone")
    assert reindex["steps"][0]["command"] == 'REINDEX INDEX CONCURRENTLY "public"."item_name"'
    assert shop.value("SELECT n_dead_tup FROM pg_stat_user_tables") == 4000
    text = dbtend("plan", shop.url, "--op", "vacuum", "--object", "item").out
    assert '"public"."item"' in text
    assert "4,000 dead rows" in text, text


def test_run_tells_what_was_done_and_show_tells_it_again(dbtend: CommandLine, shop: Database) -> None:
    result = dbtend("run", shop.url, "--op", "vacuum", "--op", "reindex", "--object", "item", "--jobs", "2", "--json")
    assert result.code == 0
    vacuum, reindex = result.json["jobs"][0]["children"]
    assert vacuum["after"]["rows_removed"] == 4000
    assert vacuum["steps"][0]["effect"]["rows_removed"] == 4000
    assert {child["status"] for child in (vacuum, reindex)} == {"completed"}
    assert result.json["jobs"][0]["engine"] == "postgresql"
    shown = dbtend("show", "1").out
    assert "4,000 dead rows" in shown
    assert "3 indexes rebuilt" in shown
    assert f"{shop.name}" in dbtend("history").out


def test_show_names_all_tables_that_were_left_out_for_lack_of_a_right(dbtend: CommandLine, database: Database) -> None:
    names = [f"public.t{number}" for number in range(9)]
    database(*(f"CREATE TABLE {name} (id int)" for name in names), "CREATE ROLE left_out LOGIN")
    database("CREATE TABLE mine (id int)", "ALTER TABLE mine OWNER TO left_out")
    assert dbtend("run", database.as_user("left_out"), "--op", "analyze").code == 3
    assert f"left out for lack of a right: {', '.join(names)}\n" in dbtend("show", "1").out


def test_run_needed_does_what_advise_calls_for(dbtend: CommandLine, shop: Database) -> None:
    advice = {one["operation"]: one for one in dbtend("advise", shop.url, "--json").json["advice"]}
    assert advice["vacuum"]["level"] == "small"
    assert advice["vacuum"]["reason"].startswith("public.item: 4,000 ")
    result = dbtend("run", shop.url, "--needed", "--json")
    assert result.code == 0
    (child,) = result.json["jobs"][0]["children"]
    assert child["operation"] == "optimize"
    shop.wait_for("SELECT n_dead_tup = 0 FROM pg_stat_user_tables")
    assert "needs nothing" in dbtend("run", shop.url, "--needed").out


def test_what_is_analyzed_in_stages_counts_once(dbtend: CommandLine, shop: Database) -> None:
    result = dbtend("run", shop.url, "--op", "analyze", "--in-stages", "--object", "item")
    assert "completed" in result.out
    assert "1 table analyzed" in result.out, result.out


def test_needed_tells_by_its_exit_code_of_databases_near_the_wraparound(dbtend: CommandLine, shop: Database) -> None:
    """Nothing that is done in this database helps."""
    dbtend.configure("[advice]\nage_critical = '0%'")
    result = dbtend("run", shop.url, "--needed")
    assert (result.code, "near the wraparound" in result.err) == (4, True), result.err


def test_what_locks_everybody_out_needs_a_yes(dbtend: CommandLine, shop: Database) -> None:
    result = dbtend("run", shop.url, "--op", "vacuum-full", "--object", "item")
    assert result.code == 2
    assert "needs confirmation: vacuum-full" in result.err
    assert "--yes" in result.err
    assert "give --yes" in dbtend("plan", shop.url, "--op", "vacuum-full").out
    assert dbtend("run", shop.url, "--op", "vacuum-full", "--object", "item", "--yes").code == 0
    again = dbtend("retry", "1")
    assert (again.code, again.out) == (2, "")
    assert again.err == result.err
    assert dbtend("retry", "1", "--yes").code == 0
    assert dbtend("run", shop.url, "--op", "reindex", "--offline").code == 2


def test_options_are_stored_shown_and_refused_where_they_mean_nothing(
    dbtend: CommandLine, shop: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    options = ("--freeze", "--no-truncate", "--index-cleanup", "off", "--speed", "gentle", "--schema", "public")
    result = dbtend("run", shop.url, "--op", "vacuum", *options, "--json")
    assert result.code == 0
    stored = result.json["jobs"][0]["options"]["server"]
    assert (stored["freeze"], stored["truncate"], stored["schemas"]) == (True, False, ["public"])
    shown = dbtend("show", "1").out
    assert all(option in shown for option in ("freeze, ", "index cleanup off", "no truncate", "speed gentle"))
    sqlite = tmp_path_factory.mktemp("sqlite") / "a.db"
    sqlite.touch()
    refused = dbtend("run", sqlite, "--freeze")
    assert (refused.code, "no database server" in refused.err) == (2, True)
    for wrong in (("--speed", "warp"), ("--index-cleanup", "maybe"), ("--buffer-usage-limit", "2 bananas")):
        assert dbtend("run", shop.url, *wrong).code == 2


def test_no_limit_of_the_buffers_is_sent_as_0_from_wherever_it_comes(
    dbtend: CommandLine, shop: Database, tmp_path: Path
) -> None:
    zero = "buffer_usage_limit = 0\n"
    config = tmp_path / "config.toml"
    config.write_text(
        f'[targets.shop]\nurl = "{shop.url}"\n{zero}[schedules.night]\ntargets = ["{shop.url}"]\n'
        f'operations = ["vacuum"]\nstart = "0 22 * * *"\n{zero}'
    )
    from_config = ("--config", config)
    vacuum = ("--op", "vacuum", "--buffer-usage-limit", "0")
    planned = [
        dbtend("plan", shop.url, *vacuum, "--json"),
        dbtend("plan", "shop", "--op", "vacuum", *from_config, "--json"),
    ]
    if shop.major < 16:
        assert all("--buffer-usage-limit needs PostgreSQL 16" in plan.out + plan.err for plan in planned)
        return
    for line in (("run", shop.url, *vacuum), ("schedules", "--run", "night", "--yes", *from_config), ("retry", "1")):
        assert dbtend(*line).code == 0
    for document in (*planned, *(dbtend("show", str(number), "--json") for number in (1, 2, 3))):
        (job,) = document.json["jobs"]
        assert job["options"]["server"]["buffer_usage_limit"] == 0
        assert "BUFFER_USAGE_LIMIT '0 kB'" in job["children"][0]["steps"][0]["command"]


def test_the_plan_shows_what_the_config_file_says_of_a_server(
    dbtend: CommandLine, shop: Database, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[targets.shop]\nurl = "{shop.url}"\nspeed = "gentle"\nmax_lag = "64MB"\njobs = 2\n')
    options = ("--config", config, "--op", "vacuum", "--on-step-failure", "stop")
    text = dbtend("plan", "shop", *options).out
    (line,) = (line for line in text.splitlines() if line.startswith("options: "))
    assert {"lock timeout 5 s", "2 at once", "speed gentle", "max lag 64MB"} < set(
        line.removeprefix("options: ").split(", ")
    )
    (job,) = dbtend("plan", "shop", *options, "--json").json["jobs"]
    assert (job["options"]["on_step_failure"], job["options"]["jobs"]) == ("stop", 2)
    assert job["options"]["server"] == {"speed": "gentle", "max_lag": 67_108_864}
    assert "\noptions: lock timeout 5 s\n" in dbtend("plan", shop.url, "--op", "vacuum").out
    (job,) = dbtend("run", "shop", *options, "--json").json["jobs"]
    assert job["options"]["server"] == {"speed": "gentle", "max_lag": 67_108_864}
    config.write_text(f'[targets.shop]\nurl = "{shop.url}"\nspede = "gentle"\n')
    refused = dbtend("plan", "shop", "--config", config)
    assert refused.code == 2
    assert "line 3: targets.shop.spede " in refused.err
    assert "mean speed?" in refused.err


def test_what_could_not_be_had_is_a_sentence_and_an_exit_code(dbtend: CommandLine, shop: Database) -> None:
    with shop.session("LOCK TABLE item IN ACCESS SHARE MODE") as other:
        pid = other.info.backend_pid
        result = dbtend("run", shop.url, "--op", "vacuum-full", "--object", "item", "--yes", "--lock-timeout", "1")
    assert result.code == 1
    assert f"for its lock: pid {pid} " in result.out
    shop("CREATE ROLE joe LOGIN")
    result = dbtend("run", shop.as_user("joe"), "--op", "analyze", "--object", "item")
    assert result.code == 4
    assert "maintain public.item" in result.out


def test_doctor_says_what_is_wrong_with_a_target(dbtend: CommandLine, shop: Database) -> None:
    checks = {check["what"]: check for check in dbtend("doctor", shop.url, "--json").json["checks"]}
    assert checks[shop.name]["found"].startswith("postgresql ")
    shop("CREATE ROLE joe LOGIN")
    found = dbtend("doctor", shop.as_user("joe")).out
    assert "not maintain public.item" in found
    assert ("GRANT MAINTAIN ON" in found) == (shop.major >= 17)
    result = dbtend("doctor", shop.server.url("nowhere"))
    assert result.code == 1
    assert "does not exist" in result.out


def test_no_secret_gets_anywhere(dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch, shop: Database) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    result = dbtend("run", shop.url, "--op", "analyze", "--object", "item", "--json")
    assert result.code == 0
    refused = dbtend("run", "postgresql://ann:s3cret@h/db", "--json")
    assert refused.code == 2
    assert "s3cret" not in refused.out + refused.err
    assert "hunter2" not in json.dumps(result.json) + result.err
    assert b"hunter2" not in dbtend.store.read_bytes()


def test_a_check_that_found_damage_is_remembered_by_advice(dbtend: CommandLine, shop: Database) -> None:
    shop(
        "CREATE EXTENSION amcheck",
        "CREATE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
        "CREATE INDEX item_upside ON item (public.upside(id))",
        "CREATE OR REPLACE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'",
    )
    result = dbtend("run", shop.url, "--op", "check", "--schema", "public")
    assert result.code == 1
    assert "1 finding" in result.out
    advice = {one["operation"]: one for one in dbtend("advise", shop.url, "--json").json["advice"]}
    assert advice["reindex"]["level"] == "now"
    assert advice["reindex"]["reason"].startswith("public.item_upside: ")
    assert dbtend("run", shop.url, "--op", "reindex", "--object", "item_upside").code == 0
    assert "no findings" in dbtend("run", shop.url, "--op", "check", "--schema", "public").out
    assert dbtend("advise", shop.url, "--json").json["advice"][2]["level"] == "none"


@pytest.mark.parametrize("operation", ["checkpoint", "backup", "fts-optimize", "incremental-vacuum"])
def test_an_operation_of_sqlite_is_a_usage_error(dbtend: CommandLine, shop: Database, operation: str) -> None:
    for command in ("plan", "run"):
        result = dbtend(command, shop.url, "--op", operation)
        assert result.code == 2
        assert "not offered for" in result.err


def test_the_doctor_says_whether_autovacuum_keeps_up(dbtend: CommandLine, shop: Database) -> None:
    (check,) = (one for one in dbtend("doctor", shop.url, "--json").json["checks"] if one["what"] == "autovacuum")
    assert check["level"] == "warn"
    assert check["found"] == f"{shop.name}: nothing is vacuumed or analyzed by the server itself"
    assert check["fix"] == "autovacuum is off: set autovacuum to on"
