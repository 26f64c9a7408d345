"""After `run --needed` on PostgreSQL `advise` no longer asks for it, or says why it does not help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import pytest

from engine.domain.advice import CheckCause
from engine.targets.postgres.advising.findings import Cause
from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

Situation = Callable[[Database], AbstractContextManager[object] | None]
NO_ICU = "this server is built without ICU"
XIDS = "DO $$ BEGIN FOR i IN 1..100000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
MULTIXACTS = """
DO $$ BEGIN FOR i IN 1..10000 LOOP PERFORM FROM item WHERE id = 1 FOR KEY SHARE; COMMIT; END LOOP; END $$
"""
READING = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM item")


def a_table(database: Database) -> None:
    """That needs nothing."""
    database(
        "CREATE TABLE item (id int PRIMARY KEY, name text)",
        "INSERT INTO item SELECT g, 'name ' || g FROM generate_series(1, 5000) AS g",
    )
    database("VACUUM ANALYZE item")


def sql(*statements: str) -> Situation:
    def make(database: Database) -> None:
        a_table(database)
        database(*statements)

    return make


def make_xids(database: Database) -> None:
    a_table(database)
    database("ALTER TABLE item SET (autovacuum_freeze_max_age = 100000)", XIDS)


@contextmanager
def make_xids_that_are_held(database: Database) -> Iterator[None]:
    a_table(database)
    database("ALTER TABLE item SET (autovacuum_freeze_max_age = 100000)")
    with database.session("SELECT pg_current_xact_id()"):
        database(XIDS)
        yield


def make_multixacts(database: Database) -> None:
    a_table(database)
    database("ALTER TABLE item SET (autovacuum_multixact_freeze_max_age = 10000)")
    with database.session("SELECT FROM item WHERE id = 1 FOR KEY SHARE"):
        database(MULTIXACTS)


@contextmanager
def make_dead_rows_that_are_held(database: Database) -> Iterator[None]:
    a_table(database)
    with database.session(*READING):
        database("DELETE FROM item WHERE id > 1000")
        database.wait_for("SELECT n_dead_tup = 4000 FROM pg_stat_user_tables")
        yield


def make_dead_rows_in_the_catalog(database: Database) -> None:
    create = "EXECUTE format('CREATE TABLE public.t%s (a int); DROP TABLE public.t%s', i, i)"
    database(f"DO $$ BEGIN FOR i IN 1..1000 LOOP {create}; END LOOP; END $$")


def make_partitions_elsewhere(database: Database) -> None:
    database(
        "CREATE EXTENSION postgres_fdw",
        f"CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'postgres',"
        f" host '{database.server.base}', port '5432')",
        "CREATE USER MAPPING FOR postgres SERVER elsewhere OPTIONS (user 'postgres')",
        "CREATE TABLE whole (oid oid) PARTITION BY RANGE (oid)",
        "CREATE FOREIGN TABLE part PARTITION OF whole FOR VALUES FROM (1) TO (9) SERVER elsewhere"
        " OPTIONS (schema_name 'pg_catalog', table_name 'pg_am')",
    )


def make_lost_count(database: Database) -> None:
    a_table(database)
    database("INSERT INTO item SELECT g, repeat('x', 500) FROM generate_series(5001, 9000) AS g")
    database("VACUUM ANALYZE item")
    database("SELECT pg_stat_reset()")


def make_disorder(database: Database) -> None:
    a_table(database)
    database(
        "CREATE EXTENSION amcheck",
        "CREATE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
        "CREATE INDEX item_upside ON item (public.upside(id))",
        "CREATE OR REPLACE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'",
    )


def make_damage(database: Database) -> None:
    """Rows that are older than their table says that any can be."""
    a_table(database)
    database("CREATE EXTENSION amcheck")
    database("UPDATE item SET name = 'x' WHERE id = 1", "SELECT pg_current_xact_id()")
    database("UPDATE pg_class SET relfrozenxid = pg_current_xact_id()::xid WHERE relname = 'item'")


def a_collation(database: Database) -> str:
    """One that has a version on this server; CREATE COLLATION makes a copy, so that nobody else's is touched."""
    found = database("SELECT collname FROM pg_collation WHERE collversion = pg_collation_actual_version(oid) LIMIT 1")
    if not found:
        pytest.skip(NO_ICU)
    database(f'CREATE COLLATION public.ours FROM pg_catalog."{found[0][0]}"')
    return "public.ours"


OLD = "UPDATE pg_collation SET collversion = 'old' WHERE collname = 'ours'"


def make_drift(database: Database) -> None:
    a_table(database)
    database(
        f"CREATE INDEX item_name ON item (name COLLATE {a_collation(database)})",
        "CREATE INDEX item_some ON item (id) WHERE name < 'n' COLLATE public.ours",
        OLD,
    )


def make_drift_of_partitions(database: Database) -> None:
    database(
        f"CREATE TABLE whole (a text COLLATE {a_collation(database)}) PARTITION BY RANGE (a)",
        "CREATE TABLE part PARTITION OF whole FOR VALUES FROM ('a') TO ('z')",
        "CREATE INDEX whole_a ON whole (a)",
        OLD,
    )


def make_drift_of_an_exclusion(database: Database) -> None:
    database(
        "CREATE EXTENSION btree_gist",
        f"CREATE TABLE item (name text COLLATE {a_collation(database)}, EXCLUDE USING gist (name WITH =))",
        "CREATE INDEX item_name ON item (name)",
        "ANALYZE item",
        OLD,
    )


def make_bloat(database: Database) -> None:
    database(
        "CREATE TABLE item (a text)",
        "INSERT INTO item SELECT md5(g::text) || repeat('x', 200) FROM generate_series(1, 90000) AS g",
        "CREATE INDEX item_a ON item (a)",
        "DELETE FROM item WHERE hashtext(a) % 4 <> 0",
        "VACUUM ANALYZE item",
    )


def make_bloat_that_is_none(database: Database) -> None:
    """The planner was told that there are few values, so that the index looks far too large for them."""
    database(
        "CREATE TABLE item (a text)",
        "ALTER TABLE item ALTER a SET (n_distinct = 3)",
        "INSERT INTO item SELECT md5(g::text) || repeat('x', 200) FROM generate_series(1, 90000) AS g",
        "CREATE INDEX item_a ON item (a)",
        "VACUUM ANALYZE item",
    )


def make_pending_list(database: Database) -> None:
    database(
        "CREATE TABLE item (words text[]) WITH (autovacuum_vacuum_insert_threshold = 1000000)",
        "CREATE INDEX item_words ON item USING gin (words) WITH (gin_pending_list_limit = 65536)",
        "INSERT INTO item SELECT ARRAY[g::text, md5(g::text)] FROM generate_series(1, 30000) AS g",
        "ANALYZE item",
        "CHECKPOINT",
    )


def make_unique_index_fail(database: Database) -> None:
    a_table(database)
    database("INSERT INTO item VALUES (9001, 'twice'), (9002, 'twice')", "ANALYZE item")
    with pytest.raises(Exception, match="could not create"):
        database("CREATE UNIQUE INDEX CONCURRENTLY item_name ON item (name)")


def invalid(index: str) -> str:
    return f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass"


CHECKED = {"make_disorder", "make_damage"}
"""Situations that only a check finds."""
SITUATIONS: list[tuple[Cause | CheckCause, Situation]] = [
    (Cause.XID_AGE, make_xids),
    (Cause.XID_AGE, make_xids_that_are_held),
    (Cause.MULTIXACT_AGE, make_multixacts),
    (Cause.DEAD_ROWS, sql("DELETE FROM item WHERE id > 1000")),
    (Cause.DEAD_ROWS, make_dead_rows_that_are_held),
    (Cause.DEAD_ROWS, make_dead_rows_in_the_catalog),
    (Cause.INSERTED_ROWS, sql("INSERT INTO item SELECT g FROM generate_series(5001, 9000) AS g")),
    (Cause.NO_STATISTICS, sql("CREATE TABLE other AS SELECT g FROM generate_series(1, 100) AS g")),
    (Cause.NO_STATISTICS, sql("CREATE TABLE none ()", "INSERT INTO none SELECT FROM generate_series(1, 100)")),
    (Cause.PARTITIONED_WITHOUT_STATISTICS, sql(
        "CREATE TABLE whole (a int) PARTITION BY RANGE (a)",
        "CREATE TABLE part PARTITION OF whole FOR VALUES FROM (1) TO (9)",
    )),
    (Cause.CHANGED_ROWS, sql("UPDATE item SET name = 'new'")),
    (Cause.LOST_COUNT, make_lost_count),
    (Cause.DAMAGED_INDEX, make_disorder),
    (Cause.COLLATION_VERSION, make_drift),
    (Cause.COLLATION_VERSION, make_drift_of_partitions),
    (Cause.COLLATION_VERSION, make_drift_of_an_exclusion),
    (Cause.INVALID_INDEX, sql("CREATE INDEX item_name ON item (name)", invalid("item_name"))),
    (Cause.INVALID_INDEX, sql(
        "CREATE TABLE booked (at tsrange, EXCLUDE USING gist (at WITH &&))", invalid("booked_at_excl")
    )),
    (Cause.INDEX_BLOAT, make_bloat),
    (Cause.PENDING_LIST, make_pending_list),
    (Cause.INDEX_NOT_BUILT, make_unique_index_fail),
    (Cause.LEFTOVER, sql("CREATE INDEX item_name_ccnew ON item (name)", invalid("item_name_ccnew"))),
    (Cause.DAMAGE, make_damage),
    (CheckCause.NEVER_CHECKED, sql("CREATE EXTENSION amcheck")),
]  # fmt: skip
CALL_FOR_A_CHECK: Final = [[CheckCause.INDEXES_REBUILT]]
"""Causes that a run with `--needed` may leave for the next one."""


def test_every_cause_is_tried() -> None:
    tried = {cause for cause, _ in SITUATIONS if isinstance(cause, Cause)}
    with_tests_of_their_own = {Cause.UNRECORDED_COLLATION_VERSION, Cause.UNCOVERED_PAGES}
    assert tried | with_tests_of_their_own == set(Cause)


def advice(dbtend: CommandLine, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dbtend("advise", url, "--json").json["advice"]
    return found


def unexplained(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    still = [one for one in found if one["level"] in {"now", "soon", "small", "unchecked"}]
    return [one for one in still if not (one["facts"].get("obstacles") or one["facts"].get("by_hand"))]


def urgent(found: list[dict[str, Any]], cause: Cause | CheckCause) -> list[dict[str, Any]]:
    return [
        one
        for one in found
        if one["level"] in {"now", "soon", "small", "unchecked"} and cause in one["facts"].get("causes", ())
    ]


@pytest.mark.parametrize(
    ("cause", "situation"), SITUATIONS, ids=[f"{cause}-{number}" for number, (cause, _) in enumerate(SITUATIONS)]
)
def test_what_is_needed_is_needed_no_more_once_it_is_done_or_it_is_said_why(
    dbtend: CommandLine, database: Database, cause: Cause | CheckCause, situation: Situation
) -> None:
    with situation(database) or nullcontext():
        if getattr(situation, "__name__", "") in CHECKED:
            assert dbtend("run", database.url, "--op", "check").code == 1
        before = advice(dbtend, database.url)
        assert urgent(before, cause), before
        ran = dbtend("run", database.url, "--needed", "--json")
        assert "internal" not in ran.out + ran.err
        left = urgent(after := advice(dbtend, database.url), cause)
        for one in left:
            assert one["facts"].get("obstacles") or one["facts"].get("by_hand"), (one, ran.out)
        if [one for one in unexplained(after) if one["facts"].get("causes") in CALL_FOR_A_CHECK]:
            ran = dbtend("run", database.url, "--needed", "--json")
            after = advice(dbtend, database.url)
        assert not unexplained(after), ran.out


def test_bloat_that_was_none_is_told_no_more_once_the_index_is_rebuilt(dbtend: CommandLine, database: Database) -> None:
    """To an owner, who sees statistics alone: a superuser's look at its pages would not be mistaken."""
    make_bloat_that_is_none(database)
    database("CREATE ROLE joe LOGIN", "ALTER TABLE item OWNER TO joe")
    joe = database.as_user("joe")
    assert not urgent(advice(dbtend, database.url), Cause.INDEX_BLOAT)
    assert urgent(advice(dbtend, joe), Cause.INDEX_BLOAT)
    assert dbtend("run", joe, "--needed").code == 0
    assert not urgent(advice(dbtend, joe), Cause.INDEX_BLOAT)


@pytest.mark.parametrize(
    "situation", [sql("CREATE TABLE whole (a int) PARTITION BY RANGE (a)"), make_partitions_elsewhere]
)
def test_a_partitioned_table_without_rows_on_this_server_needs_no_statistics(
    dbtend: CommandLine, database: Database, situation: Situation
) -> None:
    """ANALYZE would leave it as it is."""
    situation(database)
    assert not urgent(advice(dbtend, database.url), Cause.PARTITIONED_WITHOUT_STATISTICS)
    assert dbtend("run", database.url, "--op", "analyze").code == 0


def test_where_rows_that_are_inserted_are_no_reason_none_is_given(dbtend: CommandLine, database: Database) -> None:
    a_table(database)
    database(
        "ALTER TABLE item SET (autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_insert_scale_factor = 0)",
        "INSERT INTO item SELECT g FROM generate_series(5001, 9000) AS g",
    )
    assert not urgent(advice(dbtend, database.url), Cause.INSERTED_ROWS)


def reindexed(result: Any) -> list[str]:
    (job,) = result.json["jobs"]
    steps = [step for child in job["children"] for step in child["steps"]]
    return [step["object"] for step in steps if step["command"].startswith("REINDEX")]


def recorded(database: Database) -> bool:
    return bool(
        database.value(
            "SELECT collversion = pg_collation_actual_version(oid) FROM pg_collation WHERE collname = 'ours'"
        )
    )


def test_the_version_of_a_collation_is_recorded_once_all_that_it_orders_is_rebuilt(
    dbtend: CommandLine, database: Database
) -> None:
    make_drift(database)
    plan = dbtend("plan", database.url, "--op", "optimize", "--json").json["jobs"][0]["children"][0]["steps"]
    assert plan[-1]["command"] == "ALTER COLLATION public.ours REFRESH VERSION"
    assert dbtend("run", database.url, "--op", "reindex", "--object", "item_name").code == 0
    assert not recorded(database)  # the other index is not rebuilt
    rest = dbtend("run", database.url, "--needed", "--json")
    assert reindexed(rest) == ["public.item_some"]  # what is rebuilt already is not rebuilt again
    assert recorded(database)
    assert "needs nothing" in dbtend("run", database.url, "--needed").out


def test_an_index_that_somebody_else_has_rebuilt_or_made_is_not_taken_for_ours(
    dbtend: CommandLine, database: Database
) -> None:
    make_drift(database)
    assert dbtend("run", database.url, "--op", "reindex", "--object", "item_name").code == 0
    database("REINDEX INDEX item_name")  # it may come from a backup as well: nobody can tell
    assert set(reindexed(dbtend("run", database.url, "--needed", "--json"))) == {"public.item_name", "public.item_some"}


def test_who_may_not_record_a_version_is_told_what_to_run_and_rebuilds_once(
    dbtend: CommandLine, database: Database
) -> None:
    make_drift(database)
    database("CREATE ROLE joe LOGIN", "ALTER TABLE item OWNER TO joe")
    joe = database.as_user("joe")
    ran = dbtend("run", joe, "--needed", "--json")
    assert (ran.code, len(reindexed(ran))) == (0, 2)
    assert any("REFRESH VERSION" in warning for warning in ran.json["jobs"][0]["children"][0]["warnings"])
    assert not recorded(database)
    (one,) = urgent(advice(dbtend, joe), Cause.COLLATION_VERSION) or [
        one for one in advice(dbtend, joe) if one["operation"] == "reindex"
    ]
    assert one["facts"]["by_hand"] is True
    assert "ALTER COLLATION public.ours REFRESH VERSION" in one["reason"]
    assert "is put right" in dbtend("run", joe, "--needed").out
    database("ALTER COLLATION public.ours REFRESH VERSION")
    assert "needs nothing" in dbtend("run", joe, "--needed").out


def test_what_is_rebuilt_already_is_only_recorded(dbtend: CommandLine, database: Database) -> None:
    make_drift(database)
    database("CREATE ROLE joe LOGIN", "ALTER TABLE item OWNER TO joe")
    assert dbtend("run", database.as_user("joe"), "--needed").code == 0
    database("ALTER COLLATION public.ours OWNER TO joe")
    (one,) = urgent(advice(dbtend, database.as_user("joe")), Cause.UNRECORDED_COLLATION_VERSION)
    assert one["operation"] == "optimize"
    ran = dbtend("run", database.as_user("joe"), "--needed", "--json")
    assert (ran.code, reindexed(ran), recorded(database)) == (0, [], True)


def test_the_version_of_a_database_is_recorded_too(dbtend: CommandLine, database: Database) -> None:
    if database.major < 15:
        pytest.skip("a database has no version of its own before PostgreSQL 15")
    name, provider = f"{database.name}_other", "builtin LOCALE 'C.UTF-8'"
    if database.major < 17:
        provider = "icu ICU_LOCALE 'en' LOCALE 'C.UTF-8'"
        if not database("SELECT FROM pg_collation WHERE collprovider = 'i' AND collversion IS NOT NULL"):
            pytest.skip(NO_ICU)
    database(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER {provider}")
    other = Database(database.server, name)
    try:
        other("CREATE TABLE item (name text PRIMARY KEY, at int)", "CREATE INDEX item_at ON item (at)", "ANALYZE item")
        other(f"UPDATE pg_database SET datcollversion = 'old' WHERE datname = '{name}'")
        (one,) = urgent(advice(dbtend, other.url), Cause.COLLATION_VERSION)
        assert one["reason"].startswith("public.item_pkey: ")
        ran = dbtend("run", other.url, "--needed", "--json")
        assert (ran.code, reindexed(ran)) == (0, ["public.item_pkey"])
        query = (
            "SELECT datcollversion = pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = '%s'"
        )
        assert other.value(query % name)
        assert "needs nothing" in dbtend("run", other.url, "--needed").out
    finally:
        other.admin.close()
        database(f"DROP DATABASE {name}")


def test_what_a_role_may_not_do_is_said(dbtend: CommandLine, database: Database) -> None:
    a_table(database)
    database("DELETE FROM item WHERE id > 1000", "CREATE ROLE joe LOGIN", "GRANT SELECT ON item TO joe")
    joe = database.as_user("joe")
    assert dbtend("run", joe, "--needed").code == 4
    (one,) = urgent(advice(dbtend, joe), Cause.DEAD_ROWS)
    (obstacle,) = one["facts"]["obstacles"]
    assert "public.item" in obstacle
