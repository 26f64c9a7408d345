"""The commands on a PostgreSQL database in which a check finds damage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.domain.damage import NO_CHECK_ON_RECORD
from tests import postgres_damage as harm
from tests.postgres_damage import do_damage, make_table
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer, every_server, running_server
from tests.tui.command_line import CommandLine


@pytest.fixture
def shop(postgres: PostgresServer) -> Iterator[Database]:
    """Of three tables, each with dead rows: one is damaged, one has a damaged index, one is well."""
    server = PostgresServer(postgres.binaries, checksums=False)
    try:
        server.start()
        with new_database(server) as database:
            database("CREATE EXTENSION amcheck")
            for name in ("broken", "doubtful", "well"):
                make_table(database, name)
            do_damage(database, {"'broken'": harm.in_page(3, 4000), "'doubtful_pkey'": harm.in_page(1, 5000)})
            for name in ("doubtful", "well"):  # a server that was stopped knows its counters; these are new
                database(f"DELETE FROM {name} WHERE id > 1500")
            yield database
    finally:
        server.discard()


def test_what_a_check_found_is_told_and_left_alone_but_for_what_can_be_rebuilt(
    dbtend: CommandLine, shop: Database
) -> None:
    checked = dbtend("run", shop.url, "--op", "check", "--json")
    assert checked.code == 1
    (child,) = checked.json["jobs"][0]["children"]
    assert child["after"]["damaged_tables"] == ["public.broken"]
    assert child["after"]["damaged_indexes"] == ["public.doubtful_pkey"]
    assert all("::oid" not in step["command"] for step in child["steps"])
    findings = {finding.partition(":")[0] for finding in child["findings"]}
    assert findings == {"public.broken", "public.doubtful_pkey"}

    advice = {one["operation"]: one for one in dbtend("advise", shop.url, "--json").json["advice"]}
    check, reindex = advice["check"], advice["reindex"]
    assert (check["level"], check["facts"]["severity"], check["facts"]["by_hand"]) == ("now", "critical", True)
    assert check["facts"]["damaged_tables"] == ["public.broken"]
    assert all(word in check["reason"] for word in ("public.broken", "restore", "pg_surgery"))
    assert (reindex["level"], reindex["facts"]["severity"]) == ("now", "critical")
    assert "not checked yet" not in check["reason"]
    shown = {line.split()[0]: line.split()[1] for line in dbtend("advise", shop.url).out.splitlines()[1:]}
    assert (shown["check"], shown["reindex"], shown["vacuum"]) == ("critical", "critical", "small")

    (forced,) = dbtend("plan", shop.url, "--needed", "--force", "--json").json["jobs"][0]["children"]
    assert "--force" not in "".join(forced["warnings"])  # it chooses nothing that is damaged
    (forced,) = dbtend("plan", shop.url, "--op", "vacuum", "--force", "--json").json["jobs"][0]["children"]
    assert "--force writes to what is damaged: " in "".join(forced["warnings"])
    plan = dbtend("plan", shop.url, "--op", "optimize", "--json").json["jobs"][0]["children"][0]
    ran = dbtend("run", shop.url, "--needed", "--json")
    assert ran.code == 4, ran.out  # a person must put the table right
    (optimize,) = ran.json["jobs"][0]["children"]
    done = {(step["command"].split()[0], step["object"]) for step in optimize["steps"]}
    assert done == {(step["command"].split()[0], step["object"]) for step in plan["steps"]}
    assert ("REINDEX", "public.doubtful_pkey") in done
    of_doubtful = [step for step in optimize["steps"] if step["object"].startswith("public.doubtful")]
    assert of_doubtful[0]["command"].startswith("REINDEX")
    assert {step["status"] for step in of_doubtful} == {"completed"}
    assert {("VACUUM", "public.doubtful"), ("VACUUM", "public.well")} <= done
    assert not {name for _, name in done if name.startswith("public.broken")}
    assert any("public.broken" in warning for warning in optimize["warnings"])

    after = {one["operation"]: one for one in dbtend("advise", shop.url, "--json").json["advice"]}
    assert after["reindex"]["level"] == "none"
    assert after["check"]["facts"]["damaged_tables"] == ["public.broken"]
    said = dbtend("run", shop.url, "--needed")
    assert (said.code, said.out) == (4, "")
    assert "damaged: " in said.err
    assert "public.broken" in said.err


def test_a_damaged_table_is_left_out_whatever_operations_are_usual(dbtend: CommandLine, shop: Database) -> None:
    assert dbtend("run", shop.url, "--op", "check").code == 1
    dbtend.configure(f'[targets.shop]\nurl = "{shop.url}"\noperations = ["vacuum", "analyze"]\n')
    ran = dbtend("run", "shop", "--needed", "--json")
    steps = [step for child in ran.json["jobs"][0]["children"] for step in child["steps"]]
    assert steps
    assert not [step for step in steps if step["object"] == "public.broken"]
    (vacuum,) = dbtend("plan", shop.url, "--op", "vacuum", "--json").json["jobs"][0]["children"]
    assert is_left_out([vacuum])
    assert not [step for step in vacuum["steps"] if step["object"] == "public.broken"]
    assert is_left_out(dbtend("run", shop.url, "--op", "vacuum", "--json").json["jobs"][0]["children"])


def is_left_out(those: list[dict[str, Any]]) -> bool:
    return any("is left out, as" in warning for one in those for warning in one["warnings"])


def test_a_table_that_was_put_right_is_known_by_a_check_of_it_alone(dbtend: CommandLine, shop: Database) -> None:
    assert dbtend("run", shop.url, "--op", "check").code == 1
    shop("DROP TABLE broken")
    make_table(shop, "broken")
    assert dbtend("advise", shop.url, "--json").json["advice"][5]["level"] == "now"
    assert dbtend("run", shop.url, "--op", "check", "--object", "broken").code == 0
    check = dbtend("advise", shop.url, "--json").json["advice"][5]
    assert (check["operation"], check["level"]) == ("check", "none")


@pytest.fixture
def counted() -> Iterator[Database]:
    """A table that has lost its end since its pages were counted, and one that is well."""
    with (
        running_server(every_server()[max(every_server())], checksums=False) as server,
        new_database(server) as database,
    ):
        database("CREATE EXTENSION amcheck")
        for name in ("cut", "well"):
            make_table(database, name)
            database(f"VACUUM ANALYZE {name}")
        do_damage(database, {"'cut'": harm.cut_off(5)})
        yield database


def test_r31_lost_rows_keep_a_table_from_being_written_until_a_person_takes_note(
    dbtend: CommandLine, counted: Database
) -> None:
    ran = dbtend("run", counted.url, "--op", "vacuum", "--json").json["jobs"][0]["children"]
    assert is_left_out(ran)
    assert "public.cut" not in {step["object"] for step in ran[0]["steps"]}
    pages = counted.value("SELECT relpages FROM pg_class WHERE relname = 'cut'")
    plan = dbtend("run", counted.url, "--op", "vacuum", "--object", "cut")
    assert "--accept-damage" in plan.out + plan.err
    assert counted.value("SELECT relpages FROM pg_class WHERE relname = 'cut'") == pages
    assert dbtend("fleet", "--accept-damage").code == 2
    taken = dbtend("fleet", "--accept-damage", counted.url)
    assert taken.code == 0
    assert "public.cut" in taken.out
    assert dbtend("fleet", "--accept-damage", counted.url).code == 2
    (check,) = dbtend("run", counted.url, "--op", "check", "--json").json["jobs"][0]["children"]
    assert (check["status"], check["findings"]) == ("completed", [])
    assert any("public.cut" in warning for warning in check["warnings"])
    assert dbtend("fleet", counted.url, "--json").json["targets"][0]["level"] != "critical"
    do_damage(counted, {"'cut'": harm.cut_off(4)})
    (check,) = dbtend("run", counted.url, "--op", "check", "--json").json["jobs"][0]["children"]
    assert check["after"]["damaged_tables"] == ["public.cut"]
    assert is_left_out(dbtend("run", counted.url, "--op", "vacuum", "--json").json["jobs"][0]["children"])
    (taken_again,) = dbtend("fleet", "--accept-damage", counted.url, "--json").json["accepted"]
    assert taken_again["target"] == counted.url
    assert "public.cut" in taken_again["damage"]
    (vacuum,) = dbtend("run", counted.url, "--op", "vacuum", "--json").json["jobs"][0]["children"]
    assert "public.cut" in {step["object"] for step in vacuum["steps"]}
    assert any("took note of" in warning for warning in vacuum["warnings"])
    do_damage(counted, {"'cut'": harm.cut_off(3)})  # another loss is one more to take note of
    assert is_left_out(dbtend("run", counted.url, "--op", "vacuum", "--json").json["jobs"][0]["children"])


def indexes_of_cut(database: Database) -> list[Any]:
    """The numbers of their files: a rebuild gives a new one."""
    files = "SELECT pg_relation_filenode(indexrelid) FROM pg_index WHERE indrelid = 'cut'::regclass"
    return [number for (number,) in database(files)]


def test_r31_to_take_note_of_lost_rows_lets_no_index_be_rebuilt_that_still_tells_of_them(
    dbtend: CommandLine, counted: Database
) -> None:
    before = indexes_of_cut(counted)
    fleet, asked = dbtend("fleet", counted.url), dbtend("run", counted.url, "--needed")
    assert (fleet.code, "rows are lost" in fleet.out, "rows are lost" in asked.err) == (1, True, True)
    assert "check found" not in fleet.out + asked.err  # none ran
    assert dbtend("fleet", "--accept-damage", counted.url).code == 0
    for operation in ("reindex", "vacuum", "vacuum-full", "reindex", "optimize"):
        ran = dbtend("run", counted.url, "--op", operation, "--yes", "--json").json["jobs"][0]["children"]
        if operation in {"reindex", "vacuum-full"}:
            assert is_left_out(ran) or ran[0]["reason"] == "damaged"
        assert indexes_of_cut(counted) == before
        assert dbtend("fleet", counted.url, "--json").json["targets"][0]["level"] == "unchecked"
    refused = dbtend("run", counted.url, "--op", "reindex", "--object", "cut", "--yes")
    assert (refused.code, "--accept-damage" in refused.out + refused.err) == (4, False)
    assert "--force" in refused.out + refused.err

    by_index = dbtend("run", counted.url, "--op", "reindex", "--object", "cut_pkey", "--yes", "--force", "--json")
    assert any("--force writes" in one for one in by_index.json["jobs"][0]["children"][0]["warnings"])
    other = dbtend("run", counted.url, "--op", "reindex", "--object", "cut", "--yes")
    assert other.code == 4  # the index of its TOAST table may still tell
    assert dbtend("run", counted.url, "--op", "reindex", "--object", "cut", "--yes", "--force").code == 0
    assert dbtend("fleet", counted.url, "--json").json["targets"][0]["level"] == "unchecked"
    assert dbtend("run", counted.url, "--op", "reindex", "--object", "cut", "--yes").code == 0
    vacuum, advised = dbtend("run", counted.url, "--op", "vacuum", "--json"), dbtend("advise", counted.url, "--json")
    assert any("took note of" in one for one in vacuum.json["jobs"][0]["children"][0]["warnings"])
    assert "accepted_damage" not in str(advised.json)


def test_r31_what_nothing_can_check_is_told_before_it_is_written_to_though_it_is_needed(
    dbtend: CommandLine, database: Database
) -> None:
    make_table(database, "item")  # without amcheck
    database("DELETE FROM item WHERE id > 500")
    ran = dbtend("run", database.url, "--needed")
    assert ran.code == 0
    assert "#1" in ran.out
    said = [line for line in ran.err.splitlines() if "no check of this database" in line]
    assert [line.partition(": ")[2] for line in said] == [f"{database.name}: {NO_CHECK_ON_RECORD}"]
