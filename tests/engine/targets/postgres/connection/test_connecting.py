"""A session has the settings that maintenance needs, whatever its role or server sets; a refusal is one error."""

from __future__ import annotations

import psycopg
import pytest

from engine.domain.errors import (
    PasswordNeededError,
    ServerStartingError,
    ServerTimeoutError,
    ServerUnavailableError,
    TargetError,
    TargetRefusedError,
    TargetUnavailableError,
    TooManyConnectionsError,
)
from engine.domain.masking import masked
from engine.domain.requests import Operation
from engine.system.dsn import address
from engine.targets import resolve
from engine.targets.postgres.connection.connecting import connect
from engine.targets.postgres.connection.errors import connecting_error
from tests.engine.targets.postgres.a_session import statuses
from tests.engine.targets.server_session import connected, run
from tests.postgres_databases import Database, as_admin


async def settings(url: str, *names: str, lock_timeout: float = 1.5) -> dict[str, str]:
    connection, _ = await connect(address(url), name="dbtend s 42.1/2", lock_timeout=lock_timeout)
    async with connection:
        cursor = await connection.execute(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY (%s)", [list(names)]
        )
        return dict(await cursor.fetchall())


async def test_a_session_is_set_up_whatever_the_role_has(database: Database) -> None:
    database(
        "CREATE ROLE joe LOGIN",
        "ALTER ROLE joe SET statement_timeout = '300ms'",
        "ALTER ROLE joe SET lock_timeout = 0",
        "ALTER ROLE joe SET idle_in_transaction_session_timeout = '1s'",
        "ALTER ROLE joe SET client_encoding = 'SQL_ASCII'",
    )
    wanted = {
        "statement_timeout": "0",
        "lock_timeout": "1500",
        "idle_in_transaction_session_timeout": "0",
        "search_path": "",
        "application_name": "dbtend s 42.1/2",
        "client_encoding": "UTF8",
    }
    if database.major >= 14:
        database("ALTER ROLE joe SET idle_session_timeout = '1s'")
        wanted |= {"idle_session_timeout": "0", "client_connection_check_interval": "2000"}
    if database.major >= 17:
        wanted["transaction_timeout"] = "0"
    assert await settings(database.as_user("joe"), *wanted) == wanted


async def test_messages_are_english_where_the_role_may_ask_for_that(database: Database) -> None:
    database("CREATE ROLE joe LOGIN")
    assert await settings(database.url, "lc_messages") == {"lc_messages": "C"}
    assert await settings(database.as_user("joe"), "lc_messages") == {"lc_messages": "C.UTF-8"}
    if database.major >= 15:
        database("GRANT SET ON PARAMETER lc_messages TO joe")
        assert await settings(database.as_user("joe"), "lc_messages") == {"lc_messages": "C"}
        database("REVOKE SET ON PARAMETER lc_messages FROM joe")  # else the role could not be dropped


async def test_trap_no_time_to_wait_is_not_for_ever(database: Database) -> None:
    assert await settings(database.url, "lock_timeout", lock_timeout=0) == {"lock_timeout": "1"}


async def test_trap_a_statement_timeout_of_the_role_ends_no_maintenance(database: Database) -> None:
    body = "BEGIN PERFORM pg_sleep(0.4); RETURN a; END"
    database(
        "CREATE ROLE joe LOGIN",
        f"CREATE FUNCTION slow(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $${body}$$",
        "CREATE TABLE t AS SELECT 1 AS a",
        "CREATE INDEX i ON t (slow(a))",
        "ALTER TABLE t OWNER TO joe",
        "ALTER ROLE joe SET statement_timeout = '200ms'",
    )
    assert statuses(await run(database.as_user("joe"), Operation.REINDEX, objects=("t",))) == {"completed"}


async def test_the_same_database_has_one_key(database: Database) -> None:
    other = f"host={database.server.base} dbname={database.name} user=postgres port=5432 connect_timeout=7"
    keys = {await resolve(text).identify() for text in (database.url, other)}
    assert len(keys) == 1
    assert await resolve(database.server.url()).identify() not in keys


@pytest.mark.parametrize(
    ("change", "why", "hint"),
    [
        ({"database": "nowhere"}, "the database does not exist", "psql -l"),
        ({"user": "nobody_here"}, "the role does not exist", "user in the target"),
        ({"host": "/nowhere"}, "no server answers there", "host and port"),
    ],
)
async def test_refused_connections_say_what_to_do(
    database: Database, change: dict[str, str], why: str, hint: str
) -> None:
    where = {"database": database.name, "user": "postgres", "host": str(database.server.base)} | change
    url = f"postgresql://{where['user']}@:5432/{where['database']}?host={where['host']}"
    with pytest.raises(TargetUnavailableError, match=why) as caught:
        await resolve(url).identify()
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("ALTER DATABASE {name} ALLOW_CONNECTIONS false", "accepts no connections"),
        ("UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{name}'", "half dropped"),
    ],
)
async def test_a_database_that_lets_nobody_in_says_so(database: Database, change: str, why: str) -> None:
    with as_admin(database.server.url()) as admin:
        admin.execute(change.format(name=database.name))
    with pytest.raises(TargetUnavailableError, match=why):
        await resolve(database.url).identify()


async def test_a_service_that_is_not_defined_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICEFILE", "/nowhere/pg_service.conf")
    with pytest.raises(TargetUnavailableError, match="service does not"):
        await resolve("service=prod").identify()


async def test_a_service_is_resolved_by_libpq(
    database: Database, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path_factory.mktemp("services") / "pg_service.conf"
    file.write_text(f"[prod]\nhost={database.server.base}\nport=5432\nuser=postgres\ndbname={database.name}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    assert await resolve("service=prod").identify() == await resolve(database.url).identify()


async def test_too_many_connections_is_busy(database: Database) -> None:
    database("CREATE ROLE joe LOGIN", f"ALTER DATABASE {database.name} CONNECTION LIMIT 1")
    with pytest.raises(TooManyConnectionsError, match="CONNECTION LIMIT"):
        await resolve(database.as_user("joe")).identify()


async def test_a_role_that_may_only_read_is_refused_but_may_look(database: Database) -> None:
    database("CREATE ROLE joe LOGIN", "ALTER ROLE joe SET default_transaction_read_only = on")
    with pytest.raises(TargetRefusedError, match="only read"):
        async with connected(database.as_user("joe")):
            pass
    async with connected(database.as_user("joe"), writing=False) as session:
        assert (await session.info()).facts["size"]


@pytest.mark.parametrize(
    ("words", "kind", "why"),
    [
        ("FATAL:  sorry, too many clients already", TooManyConnectionsError, "no connection left"),
        ("FATAL:  remaining connection slots are reserved", TooManyConnectionsError, "no connection left"),
        (
            'FATAL:  password authentication failed for user "ann"',
            TargetUnavailableError,
            "the password is wrong",
        ),
        ("fe_sendauth: no password supplied", PasswordNeededError, "asks for a password"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', TargetUnavailableError, "pg_hba.conf has no entry"),
        ("FATAL:  the database system is starting up", ServerStartingError, "not up yet"),
        ("connection timeout expired", ServerTimeoutError, "does not answer"),
        ("FATAL:  etwas ganz anderes", ServerUnavailableError, "etwas ganz anderes"),
    ],
)
def test_every_refusal_is_a_sentence(words: str, kind: type[TargetError], why: str) -> None:
    error = connecting_error("postgresql://ann@h/shop", psycopg.OperationalError(words))
    assert type(error) is kind
    assert why in error.why


def test_trap_what_may_be_a_password_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    said = masked("postgresql://ann:s3cret@h/db?password=s3cret password = 's3c ret' hunter2")
    assert "s3c" not in said
    assert "hunter2" not in said
