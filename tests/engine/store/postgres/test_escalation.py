"""Nobody gets from the rights of a role to those of the store's owner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.store.postgres import administration, schema
from engine.store.postgres.roles import Role
from tests.postgres_databases import Database, as_admin

if TYPE_CHECKING:
    pass

TAKE_OVER = """CREATE FUNCTION pg_temp.take_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('ALTER ROLE %I SUPERUSER', session_user); RETURN NEW; END $$"""
TABLES = """SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'dbtend'::regnamespace AND relkind IN ('r', 'v')"""
FUNCTIONS = """SELECT nspname, proname, prosecdef, proconfig FROM pg_proc
JOIN pg_namespace AS n ON n.oid = pronamespace WHERE nspname = 'dbtend'"""
GRANTS = """
WITH ours AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = 'dbtend'), held AS (
    SELECT 'database' AS kind, '' AS name, datacl AS acl, datdba AS owner FROM pg_database
        WHERE datname = current_database()
    UNION ALL SELECT 'schema', nspname, nspacl, nspowner FROM pg_namespace WHERE oid IN (SELECT oid FROM ours)
    UNION ALL SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, nspname || '.' || relname, relacl, relowner
        FROM pg_class JOIN ours ON ours.oid = relnamespace
    UNION ALL SELECT 'column', nspname || '.' || relname || '.' || attname, attacl, relowner
        FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid JOIN ours ON ours.oid = relnamespace
    UNION ALL SELECT 'function', nspname || '.' || proname, coalesce(proacl, acldefault('f', proowner)), proowner
        FROM pg_proc JOIN ours ON ours.oid = pronamespace
    UNION ALL SELECT 'type', nspname || '.' || typname, typacl, typowner
        FROM pg_type JOIN ours ON ours.oid = typnamespace
    UNION ALL SELECT 'default', defaclobjtype::text, defaclacl, defaclrole FROM pg_default_acl)
SELECT kind, name, privilege_type || CASE WHEN is_grantable THEN ' with grant option' ELSE '' END,
    CASE grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(grantee) END
FROM held CROSS JOIN LATERAL aclexplode(acl) WHERE grantee <> owner
"""
MEMBERSHIPS = """SELECT pg_get_userbyid(member), pg_get_userbyid(roleid) FROM pg_auth_members
WHERE pg_get_userbyid(member) = ANY (%s)"""
ATTRIBUTES = """SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s) AND (rolcanlogin OR rolsuper OR rolcreaterole
    OR rolcreatedb OR rolreplication OR rolbypassrls)"""

READERS = {"now_micros", "may_claim", "steps_of", "number_of", "is_urgent", "open_batch",
           "is_other_machine", "found_no_damage", "has_failed"}  # fmt: skip
OPERATOR = {
    "submit", "submitted", "request_cancel", "cancel_all", "cancel_batch", "request_force", "begin_batch",
    "pause", "resume", "pin", "enable_schedule", "disable_schedule", "drain_host", "undrain_host",
    "forget_databases",
}  # fmt: skip
WORKER = {
    "claim", "report", "finish", "finish_and_claim", "release", "beat", "forget_worker", "register_worker",
    "prove_again", "session_of", "take_proof", "note_signal", "rescue", "release_from", "collect_events",
    "make_message", "take_over_messages", "begin_delivery", "end_delivery", "forget_recipients",
}  # fmt: skip
BOTH = {
    "enforce_time_limits", "let_start", "prune", "prune_changes", "prune_firings", "save_measurement", "save_surveys",
    "save_damage", "name_database",
    "observe_schedules", "forget_schedules", "fire", "record_firings", "register_recipients",
}  # fmt: skip
TABLES_READ = {
    "attempt", "batch", "child_job", "copied", "damage", "database_name", "drained_host", "event", "firing", "last_run",
    "log", "measured",
    "message", "notification", "parent_job", "pause", "recipient", "schedule", "server_start", "step", "store_version",
    "survey", "told_critical", "worker", "claimable", "limited_load",
}  # fmt: skip


def expected() -> set[tuple[str, str, str, str]]:
    rights: set[tuple[str, str, str, str]] = set()
    for role in Role:
        calls = READERS | {Role.VIEWER: set(), Role.OPERATOR: OPERATOR | BOTH, Role.WORKER: WORKER | BOTH}[role]
        rights.add(("schema", "dbtend", "USAGE", role))
        rights |= {("table", f"dbtend.{name}", "SELECT", role) for name in TABLES_READ}
        rights |= {("function", f"dbtend.{name}", "EXECUTE", role) for name in calls}
    return rights


@pytest.fixture
def shared(database: Database) -> Database:
    """A store, with a login that has all its roles."""
    with as_admin(database.url) as admin:
        admin.execute("DROP ROLE IF EXISTS joe_all")
    asyncio.run(administration.init(database.url))
    database(f"CREATE ROLE joe_all LOGIN IN ROLE {', '.join(Role)}")
    return database


def test_r33_each_right_of_each_role_is_on_the_list(shared: Database) -> None:
    assert {tuple(row) for row in shared(GRANTS)} == expected()
    roles = [role.value for role in Role]
    assert shared.admin.execute(MEMBERSHIPS, (roles,)).fetchall() == []
    assert shared.admin.execute(ATTRIBUTES, (roles,)).fetchall() == [(0,)]


def test_each_function_with_the_rights_of_the_owner_has_a_search_path_of_its_own(shared: Database) -> None:
    for where, name, is_definer, settings in shared(FUNCTIONS):
        if is_definer:
            paths = [setting for setting in settings or () if setting.startswith("search_path=")]
            assert paths == ["search_path=dbtend, pg_temp"], (where, name)


@pytest.mark.parametrize("by_temporary_view", [False, True])
def test_r33_a_worker_does_not_become_superuser_by_a_trigger(shared: Database, by_temporary_view: bool) -> None:
    tables = [name for (name,) in shared(TABLES)]
    assert len(tables) > 20
    with psycopg.connect(shared.as_user("joe_all"), autocommit=True) as joe:
        joe.execute(TAKE_OVER)
        for table in tables:
            when = "INSTEAD OF INSERT" if by_temporary_view else "BEFORE INSERT OR UPDATE OR DELETE"
            trigger = f"CREATE TRIGGER aha {when} ON {table} FOR EACH ROW EXECUTE FUNCTION pg_temp.take_over()"
            with pytest.raises(psycopg.Error):
                joe.execute(trigger.encode())
        joe.execute("SELECT dbtend.pause('', NULL)")
        joe.execute("SELECT dbtend.resume(NULL)")
    assert shared("SELECT rolsuper FROM pg_roles WHERE rolname = 'joe_all'") == [(False,)]


def test_rights_that_the_roles_do_not_need_are_taken_back_by_an_upgrade(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared(
        "GRANT ALL ON ALL TABLES IN SCHEMA dbtend TO dbtend_worker",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA dbtend TO dbtend_worker",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA dbtend TO dbtend_worker, public",
        "GRANT EXECUTE ON FUNCTION dbtend.rescue TO dbtend_operator",
        "GRANT INSERT (name) ON dbtend.schedule TO dbtend_operator",
        "GRANT CREATE ON SCHEMA dbtend TO dbtend_operator",
        "GRANT UPDATE ON dbtend.event TO dbtend_operator WITH GRANT OPTION",
    )
    with psycopg.connect(shared.as_user("joe_all"), autocommit=True) as joe:
        joe.execute("GRANT UPDATE ON dbtend.event TO dbtend_viewer")
    newer = [*schema.migrations(), "SELECT 1"]
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    asyncio.run(administration.init(shared.url))
    assert {tuple(row) for row in shared(GRANTS)} == expected()
