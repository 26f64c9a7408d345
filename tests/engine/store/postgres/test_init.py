"""Making, upgrading and repairing a shared store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import StoreError
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.store_reports import Foreign, ForeignObject, Invariant
from engine.store.postgres import administration, schema
from engine.store.postgres.roles import Role
from engine.store.postgres.store import PostgresStore
from tests.building import new_job
from tests.postgres_databases import Database, as_admin

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = """SELECT n.nspname, p.oid::regprocedure::text, md5(prosrc), prosecdef, proconfig::text, proacl::text
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace WHERE nspname ~ '^dbtend' ORDER BY 1, 2"""
COLUMNS = """SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'dbtend' ORDER BY 1, 2, 3"""


@pytest.fixture
def joe(database: Database) -> Iterator[str]:
    """A login that owns its database, and may do nothing else: the URL for it."""
    database("CREATE ROLE joe LOGIN", f"ALTER DATABASE {database.name} OWNER TO joe")
    yield database.as_user("joe")
    database(f"ALTER DATABASE {database.name} OWNER TO postgres", "DROP OWNED BY joe CASCADE")


async def test_a_store_is_made_and_the_second_time_nothing_changes(database: Database) -> None:
    made = await administration.init(database.url)
    assert (made.version, made.earlier_version) == (schema.newest_version(), None)
    assert made.missing_roles == ()
    before = database(FUNCTIONS), database(COLUMNS)
    again = await administration.init(database.url)
    assert again.earlier_version == made.version
    assert (database(FUNCTIONS), database(COLUMNS)) == before


async def test_who_owns_the_database_makes_the_store(joe: str, database: Database) -> None:
    for role in Role:
        database(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    await administration.init(joe)
    async with PostgresStore.open(joe, what="the store") as store:
        (job,) = await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        async with store.hosting_workers():
            assert (await store.job(job)).id == job
    found = await administration.check(joe)
    assert found.user == "joe"
    assert set(found.roles) == {role.value for role in Role}


async def test_roles_that_it_may_not_make_are_named_with_what_makes_them(joe: str, database: Database) -> None:
    renamed = "ALTER ROLE dbtend_viewer RENAME TO dbtend_viewer_away"
    database(f"DO $$ BEGIN {renamed}; EXCEPTION WHEN undefined_object THEN NULL; END $$")
    try:
        made = await administration.init(joe)
        assert Role.VIEWER in made.missing_roles
        assert f"CREATE ROLE {Role.VIEWER} NOLOGIN;" in made.roles_sql
        database(made.roles_sql)
        assert (await administration.init(joe)).missing_roles == ()
        assert (await administration.check(joe)).missing_roles == ()
    finally:
        database("DROP OWNED BY dbtend_viewer", "DROP ROLE IF EXISTS dbtend_viewer")
        back = "ALTER ROLE dbtend_viewer_away RENAME TO dbtend_viewer"
        database(f"DO $$ BEGIN {back}; EXCEPTION WHEN undefined_object THEN NULL; END $$")


async def test_who_may_not_create_a_schema_is_told_what_to_run(database: Database) -> None:
    database("CREATE ROLE joe LOGIN")
    with pytest.raises(StoreError) as refused:
        await administration.init(database.as_user("joe"))
    assert f"GRANT CREATE ON DATABASE {database.name} TO joe" in str(refused.value)


async def test_who_does_not_own_the_store_does_not_upgrade_it(database: Database) -> None:
    await administration.init(database.url)
    database("CREATE ROLE joe LOGIN IN ROLE dbtend_operator", f"GRANT CREATE ON DATABASE {database.name} TO joe")
    with pytest.raises(StoreError, match="belongs to role postgres"):
        await administration.init(database.as_user("joe"))


async def test_a_schema_of_another_program_is_left_alone(database: Database) -> None:
    database("CREATE SCHEMA dbtend", "CREATE TABLE dbtend.store_version (number int)")
    for call in (administration.init, administration.check):
        with pytest.raises(StoreError, match="has a schema dbtend that is no store of dbtend"):
            await call(database.url)
    assert database("SELECT count(*) FROM dbtend.store_version") == [(0,)]


async def test_a_newer_store_is_refused_by_all(database: Database) -> None:
    await administration.init(database.url)
    database("UPDATE dbtend.store_version SET number = number + 1")
    for call in (administration.init, administration.check):
        with pytest.raises(StoreError, match="was made by a newer dbtend"):
            await call(database.url)
    with pytest.raises(StoreError, match="was made by a newer dbtend"):
        async with PostgresStore.open(database.url, what="the store"):
            pass


async def test_a_store_of_before_the_first_release_is_refused_by_all(database: Database) -> None:
    await administration.init(database.url)
    database("UPDATE dbtend.store_version SET number = 22")
    for call in (administration.init, administration.check):
        with pytest.raises(StoreError, match="before the first release"):
            await call(database.url)
    with pytest.raises(StoreError, match="before the first release"):
        async with PostgresStore.open(database.url, what="the store"):
            pass
    assert database("SELECT number FROM dbtend.store_version") == [(22,)]


async def test_an_older_store_is_opened_after_an_upgrade_alone(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = [*schema.migrations(), "SELECT 1"]
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    with pytest.raises(StoreError, match="dbtend store init"):
        async with PostgresStore.open(store_url, what="the store"):
            pass


async def test_a_database_without_a_store_says_how_to_make_one(database: Database) -> None:
    with pytest.raises(StoreError, match="dbtend store init"):
        await administration.check(database.url)


async def test_several_that_make_a_store_at_once_make_one(database: Database) -> None:
    made = await asyncio.gather(*(administration.init(database.url) for _ in range(4)))
    assert sum(one.earlier_version is None for one in made) == 1
    assert database("SELECT count(*) FROM dbtend.store_version") == [(1,)]
    assert (await administration.check(database.url)).foreign == ()


async def test_a_failed_upgrade_changes_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await administration.init(database.url)
    before = database(FUNCTIONS), database(COLUMNS)
    broken = [*schema.migrations(), "CREATE TABLE half (a int); SELECT 1 / 0"]
    monkeypatch.setattr(schema, "migrations", lambda: broken)
    with pytest.raises(StoreError):
        await administration.init(database.url)
    assert (database(FUNCTIONS), database(COLUMNS)) == before


async def test_functions_of_an_older_version_are_gone_after_an_upgrade(database: Database) -> None:
    await administration.init(database.url)
    database("CREATE FUNCTION dbtend.submit(jobs jsonb) RETURNS int SECURITY DEFINER LANGUAGE sql AS $$ SELECT 1 $$")
    await administration.init(database.url)
    assert database("SELECT count(*) FROM pg_proc WHERE proname = 'submit'") == [(1,)]


async def test_a_dead_process_counts_while_jobs_are_left_of_it(store_url: str) -> None:
    dead = "INSERT INTO worker (id, session, pid, host, started_at, beat_at) VALUES ('dead', 0, 1, 'db1', 0, 0)"
    async with PostgresStore.open(store_url, what="the store") as store:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        with as_admin(store_url) as admin:
            admin.execute("SET search_path = dbtend")
            admin.execute(dead.encode())
            assert (await administration.check(store_url)).dead_workers == 0
            assert await store.claim("dead") is not None
            assert (await administration.check(store_url)).dead_workers == 1


BREAKS = {
    Invariant.RUNNING_HAS_WORKER: """UPDATE child_job SET status = 'running', due = false, owner = 'nobody',
        attempt = 1, started_at = 1 WHERE ordinal = 1; UPDATE parent_job SET status = 'running', started_at = 1""",
    Invariant.DUE_IS_FIRST_OPEN: "UPDATE child_job SET due = NOT due WHERE ordinal = 2",
    Invariant.PARENT_STATUS: "UPDATE parent_job SET status = 'running', started_at = 1",
    Invariant.EVENTS_WITHOUT_GAP: "DELETE FROM event WHERE seq = 2",
    Invariant.RESERVED_FOR_RUN: "UPDATE child_job SET reserved_by = 'gone'",
}


@pytest.mark.parametrize("rule", Invariant)
async def test_what_breaks_a_rule_is_found(database: Database, rule: Invariant) -> None:
    await administration.init(database.url)
    async with PostgresStore.open(database.url, what="the store") as store:
        await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    assert not any((await administration.check(database.url)).broken.values())
    database("SET search_path = dbtend", BREAKS[rule])
    assert [one for one, number in (await administration.check(database.url)).broken.items() if number] == [rule]


def test_each_rule_is_broken_by_something() -> None:
    assert set(BREAKS) == set(Invariant)


ADDED = {
    Foreign.TRIGGER: {
        "CREATE TRIGGER aha BEFORE INSERT ON pause FOR EACH ROW EXECUTE FUNCTION public.lair()": "aha on dbtend.pause",
        "DROP TRIGGER parent_job_status ON parent_job;"
        " CREATE TRIGGER parent_job_status BEFORE UPDATE ON parent_job FOR EACH ROW EXECUTE FUNCTION public.lair()":
            "parent_job_status on dbtend.parent_job",
        "CREATE TRIGGER aha BEFORE INSERT ON dbtend.measured FOR EACH ROW EXECUTE FUNCTION"
        " public.lair()": "aha on dbtend.measured",
    },
    Foreign.RULE: {"CREATE RULE aha AS ON DELETE TO pause DO INSTEAD NOTHING": "aha on dbtend.pause"},
    Foreign.POLICY: {"CREATE POLICY aha ON parent_job": "aha on dbtend.parent_job"},
    Foreign.DEFAULT_RIGHTS: {
        "ALTER DEFAULT PRIVILEGES IN SCHEMA dbtend GRANT INSERT ON TABLES TO joe": "of postgres in dbtend",
        "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO joe": "of postgres",
    },
    Foreign.OWNER: {
        "ALTER TABLE event OWNER TO joe": "joe has dbtend.event",
        "ALTER FUNCTION pin OWNER TO joe": "joe has dbtend.pin",
    },
    Foreign.ROLE: {
        "GRANT pg_read_all_data TO dbtend_viewer": "dbtend_viewer is a member of pg_read_all_data",
        "ALTER ROLE dbtend_viewer CREATEROLE": "dbtend_viewer may more than a role of the store needs",
    },
    Foreign.RIGHT: {
        "GRANT UPDATE ON event TO dbtend_viewer": "UPDATE on table dbtend.event for dbtend_viewer",
        "GRANT UPDATE (at) ON event TO joe": "UPDATE on column dbtend.event.at for joe",
        "GRANT TRIGGER ON dbtend.measured TO dbtend_worker":
            "TRIGGER on table dbtend.measured for dbtend_worker",
        "GRANT EXECUTE ON FUNCTION rescue TO PUBLIC": "EXECUTE on function dbtend.rescue for public",
        "GRANT CREATE ON SCHEMA dbtend TO dbtend_operator": "CREATE on schema dbtend for dbtend_operator",
        "GRANT SELECT ON parent_job TO dbtend_viewer WITH GRANT OPTION":
            "SELECT on table dbtend.parent_job for dbtend_viewer",
    },
}  # fmt: skip
UNDONE = {
    "GRANT pg_read_all_data TO dbtend_viewer": "REVOKE pg_read_all_data FROM dbtend_viewer",
    "ALTER ROLE dbtend_viewer CREATEROLE": "ALTER ROLE dbtend_viewer NOCREATEROLE",
}
"""Roles belong to the server, not to the database of one test."""


@pytest.mark.parametrize("kind", Foreign)
async def test_what_others_have_added_is_found(database: Database, kind: Foreign) -> None:
    await administration.init(database.url)
    database(
        "CREATE ROLE joe",
        "SET search_path = dbtend",
        "CREATE FUNCTION public.lair() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "GRANT SELECT ON ALL TABLES IN SCHEMA dbtend TO joe",  # such as for a dashboard
        "GRANT USAGE ON SCHEMA dbtend TO joe",
    )
    assert (await administration.check(database.url)).foreign == ()
    added: list[ForeignObject] = []
    for statement, text in ADDED[kind].items():
        database(statement)
        added.append(ForeignObject(kind, text))
        try:
            foreign = (await administration.check(database.url)).foreign
        finally:
            database(UNDONE.get(statement, "SELECT"))
        found = [one for one in foreign if one.kind is kind or kind is not Foreign.OWNER]
        assert found == sorted(added[-1:] if statement in UNDONE else added, key=lambda one: one.text)
    if kind is Foreign.RIGHT:
        await administration.init(database.url)
        left = [one.text for one in (await administration.check(database.url)).foreign]
        assert left == ["UPDATE on column dbtend.event.at for joe"]


async def test_an_owner_that_is_superuser_is_told(database: Database, joe: str) -> None:
    made = await administration.init(joe)
    assert (made.owner, made.owner_is_superuser) == ("joe", False)
    database("ALTER ROLE joe SUPERUSER")
    found = await administration.check(joe)
    assert (found.owner, found.owner_is_superuser) == ("joe", True)
    assert (await administration.init(joe)).owner_is_superuser
