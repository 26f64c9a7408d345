"""Tables that are rewritten while they are in use by the client of pg_repack, before PostgreSQL 19."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from engine import Engine
from engine.domain import typed_passwords
from engine.domain.advice import Level, TargetHistory
from engine.domain.errors import ServerUnavailableError
from engine.domain.requests import Operation, Options, ServerOptions
from engine.domain.statuses import Reason, Status
from engine.domain.thresholds import Thresholds
from engine.domain.time_limits import window
from engine.targets.postgres import session as postgres_session
from engine.targets.postgres.advising.findings import NOTHING_KNOWN
from engine.targets.postgres.reading import repack_client
from engine.targets.postgres.reading.repack_client import PROGRAM, extension
from engine.targets.postgres.running import pg_repack
from engine.targets.step_execution import DONE_OR_UNCHANGED, StepContext, StepResult
from tests.engine.processes import python
from tests.engine.targets.postgres.a_session import first_step, until
from tests.engine.targets.server_session import Told, connected, plan, run
from tests.postgres_databases import SECRET, SLEEPS, SLOW, Database, new_database
from tests.postgres_server import NOT_UNPACKED, PostgresServer, running_server, servers_unpacked
from tests.waiting import eventually

HALF_DEAD = (
    "CREATE TABLE item (id int PRIMARY KEY, note text)",
    "INSERT INTO item SELECT g, repeat('x', 200) FROM generate_series(1, 20000) AS g",
    "DELETE FROM item WHERE id % 4 <> 0",
)
BUILDS_SLOWLY = (
    SLOW,
    "SET dbtend_test.fast = on",
    "CREATE TABLE item (id int PRIMARY KEY, note text)",
    "INSERT INTO item SELECT g, 'x' FROM generate_series(1, 50) AS g",
    "CREATE INDEX item_slow ON item (public.slow(id))",
    "RESET dbtend_test.fast",
)
"""A table whose copy is not indexed to its end before `Database.let_go`."""
LEFT = """
SELECT (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'repack' AND c.relname ~ '_[0-9]+$')
    + (SELECT count(*) FROM pg_trigger WHERE tgname = 'repack_trigger')
"""
FILE = "SELECT pg_relation_filenode('item')"
WORKS = """
    from engine import Engine, Operation, Options, Request

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            (job,) = await engine.submit([Request(target=sys.argv[2], operations=(Operation.REPACK,))])
            print(job.id, flush=True)
            await engine.wait([job.id])

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    binaries = servers_unpacked().get(18)
    if binaries is None or not (binaries / PROGRAM).exists():
        pytest.skip(NOT_UNPACKED)
    with running_server(binaries) as started:
        yield started


@pytest.fixture
def without_client(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database that has the extension."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(repack_client, "_WHERE_PACKAGES_PUT_IT", ())
    with new_database(server) as database:
        database("CREATE EXTENSION pg_repack")
        yield database


@pytest.fixture
def database(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The same, with the client on the PATH."""
    monkeypatch.setenv("PATH", f"{server.binaries}{os.pathsep}{os.environ['PATH']}")
    with new_database(server) as database:
        database("CREATE EXTENSION pg_repack")
        yield database


def clients_of(database: Database) -> list[int]:
    """The processes of pg_repack at its server, which no other test uses now."""
    found, server = [], str(database.server.base).encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/pg_repack") and any(server in word for word in words):
            found.append(int(process.name))
    return found


async def begun(database: Database, context: StepContext, options: Options | None = None) -> asyncio.Task[StepResult]:
    """A rewrite that builds an index of the copy."""

    async def rewrite() -> StepResult:
        async with connected(database.url, lock_timeout=1) as session:
            planned = await session.plan(Operation.REPACK, options or Options())
            return await session.execute(planned.steps[0], context)

    running = asyncio.create_task(rewrite())
    await until(database, SLEEPS)
    return running


async def test_it_gives_dead_space_back_and_renews_the_counters(database: Database) -> None:
    database(*HALF_DEAD, 'ALTER TABLE item RENAME TO "my ""item"')
    ((name, result),) = (await run(database.url, Operation.REPACK)).items()
    assert name == 'public."my ""item"'
    assert (result.status, result.warnings) == (Status.COMPLETED, ())
    assert result.effect is not None
    assert int(str(result.effect["size"])) * 2 < int(str(result.effect["size_before"]))
    assert database.value('SELECT count(*) FROM "my ""item"') == 5000
    assert database.value("SELECT n_live_tup FROM pg_stat_user_tables WHERE relname ~ 'item'") == 5000
    assert database.value(LEFT) == 0


async def test_without_the_client_the_plan_says_how_it_is_run_and_that_works(without_client: Database) -> None:
    database = without_client
    database(*HALF_DEAD, 'ALTER TABLE item RENAME TO "my item"')
    refused = str((await plan(database.url, Operation.REPACK, objects=("my item",))).refused)
    assert "its client is not on this host: install it (postgresql-18-repack on Debian)" in refused
    command = shlex.split(refused[refused.index("pg_repack --no-kill") :])
    program = database.server.binaries / command[0]
    where = [f"--host={database.server.base}", "--username=postgres"]
    client = await asyncio.create_subprocess_exec(program, *command[1:], *where, env=database.server.environment)
    assert await client.wait() == 0
    assert database.value('SELECT pg_relation_size(\'"my item"\') < 2000000 AND count(*) = 5000 FROM "my item"')


async def test_a_client_of_another_version_is_refused(
    without_client: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / PROGRAM).write_text("#!/bin/sh\necho pg_repack 1.4.8\n")
    (tmp_path / PROGRAM).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = str((await plan(without_client.url, Operation.REPACK)).refused)
    assert "and its client here 1.4.8: install the same version" in refused


async def test_a_connection_lost_while_the_version_is_asked_for_is_no_broken_extension(database: Database) -> None:
    async with connected(database.url) as session:
        database("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^dbtend'")
        with pytest.raises(ServerUnavailableError):
            await extension(session._reader)


async def test_who_is_no_superuser_is_refused(database: Database) -> None:
    database(*HALF_DEAD, "CREATE ROLE joe_r LOGIN")
    refused = str((await plan(database.as_user("joe_r"), Operation.REPACK)).refused)
    assert "pg_repack needs a superuser, and joe_r is none" in refused


async def test_repack_is_advised_only_where_it_can_run(database: Database) -> None:
    database(*HALF_DEAD, "VACUUM ANALYZE item", "CREATE ROLE joe_r LOGIN", "GRANT pg_read_all_data TO joe_r")
    limits = Thresholds(table_bloat=100_000)
    for url, can in ((database.url, True), (database.as_user("joe_r"), False)):
        async with connected(url, writing=False) as session:
            advice, _ = await session.session.advise(TargetHistory(now=0), budget=1, limits=limits)
        (full,) = [one for one in advice if one.operation is Operation.VACUUM_FULL]
        assert full.reason.startswith("public.item: ")
        assert ("repack" in full.reason) is can


async def test_a_publication_of_all_tables_is_refused(database: Database) -> None:
    database("SET client_min_messages = error", "CREATE PUBLICATION everything FOR ALL TABLES")
    assert "FOR ALL TABLES: everything" in str((await plan(database.url, Operation.REPACK)).refused)


async def test_each_table_that_it_refuses_is_left_out_with_the_reason(database: Database) -> None:
    database(
        "CREATE TABLE no_key (id int UNIQUE)",
        "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)",
        "CREATE MATERIALIZED VIEW view AS SELECT 1 AS id",
        "CREATE TABLE twice (id int PRIMARY KEY, of int)",
        "INSERT INTO twice VALUES (1, 1), (2, 1)",
        "CREATE TABLE chosen (id int NOT NULL UNIQUE)",
        "CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10)",
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        database("CREATE UNIQUE INDEX CONCURRENTLY invalid ON twice (of)")
    planned = await plan(database.url, Operation.REPACK)
    assert {step.object for step in planned.steps} == {"public.chosen", "public.part"}
    said = " ".join(planned.warnings)
    assert all(f"public.{name}" in said for name in ("no_key", "unlogged", "view", "twice"))
    named = await plan(database.url, Operation.REPACK, objects=("chosen", "no_key", "twice"))
    assert (planned.left_out, named.left_out) == (0, 2)


async def test_a_cancel_leaves_nothing(database: Database) -> None:
    database(*BUILDS_SLOWLY)
    file, context = database.value(FILE), StepContext()
    running = await begun(database, context)
    context.cancel.set()
    result = await running
    assert (result.status, result.left) == (Status.CANCELLED, "nothing changed")
    assert (database.value(LEFT), database.value(FILE)) == (0, file)


async def test_what_a_killed_client_leaves_is_dropped_at_once(database: Database) -> None:
    database(*BUILDS_SLOWLY)
    running = await begun(database, StepContext())
    (client,) = clients_of(database)
    os.kill(client, signal.SIGKILL)
    result = await running
    assert (result.status, result.left, result.warnings) == (Status.FAILED, "nothing changed", ())
    assert "killed by signal 9; its trigger, log and copy were dropped" in str(result.error)
    assert database.value(LEFT) == 0


def wrapper(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """A program pg_repack of the host's own, that runs the client in a process of its own, and `then` in the shell."""
    client = database.server.binaries / PROGRAM
    (tmp_path / PROGRAM).write_text(f'#!/bin/sh\n{client} "$@"\n{then}\n')
    (tmp_path / PROGRAM).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


async def test_r32_a_cancel_reaches_a_client_that_a_script_runs(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper(database, tmp_path, monkeypatch, then="")
    database(*BUILDS_SLOWLY)
    context = StepContext()
    async with asyncio.timeout(60):
        running = await begun(database, context)
        context.cancel.set()
        result = await running
    assert (result.status, result.left) == (Status.CANCELLED, "nothing changed")
    assert (database.value(LEFT), clients_of(database)) == (0, [])


async def test_r32_a_client_that_does_not_exit_after_its_work_is_killed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_repack, "_EXITS_WITHIN", 0.5)
    stays = '[ "$1" = --version ] || { trap "" INT TERM; exec >/dev/null 2>&1; exec sleep 3600; }'
    wrapper(database, tmp_path, monkeypatch, then=stays)
    database(*HALF_DEAD)
    async with asyncio.timeout(60):
        ((name, result),) = (await run(database.url, Operation.REPACK)).items()
    assert (name, result.status) == ("public.item", Status.COMPLETED)
    assert "killed by signal 9" in " ".join(result.warnings)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_what_is_left_when_the_server_restarts_is_dropped_once_it_is_back(
    database: Database, server: PostgresServer, how: signal.Signals
) -> None:
    database(*BUILDS_SLOWLY)
    running = await begun(database, StepContext())
    database("CHECKPOINT")  # the server of the tests does not write its log at once
    await asyncio.to_thread(server.stop, how)
    await asyncio.to_thread(server.start)
    result = await running
    database.reconnect()
    assert result.status is Status.FAILED
    assert "what pg_repack left at public.item was dropped" in " ".join(result.warnings)
    assert database.value(LEFT) == 0


async def test_killed_with_its_worker_its_client_is_ended_what_it_left_dropped_and_the_job_goes_on(
    database: Database, tmp_path: Path
) -> None:
    database(*BUILDS_SLOWLY)
    file, store = database.value(FILE), tmp_path / "jobs.db"
    with python(WORKS, store, database.url) as process:
        number = int(await process.says())
        await until(database, SLEEPS)
        (client,) = clients_of(database)
        process.kill()
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
        await until(database, f"{SLEEPS} AND application_name ~ '/2 pg_repack$'")
        assert database.value(FILE) == file
        assert client not in clients_of(database)
        database.let_go()
        (job,) = await engine.wait([number])
    (child,) = job.children
    assert child.status is Status.COMPLETED
    assert "what pg_repack left at public.item was dropped" in " ".join(line.message for line in child.log)
    assert (database.value(LEFT), database.ours()) == (0, [])


async def test_without_its_first_lock_it_is_tried_again_and_nothing_is_left(database: Database) -> None:
    database(*HALF_DEAD)
    with database.session("SELECT FROM item LIMIT 1") as reader:
        async with connected(database.url, lock_timeout=0.2) as session:
            step = await first_step(session, Operation.REPACK)
            first = await session.execute(step, StepContext())
            assert (first.requeue, first.status) == (True, Status.SKIPPED)
            assert f"pid {reader.info.backend_pid}" in str(first.error)
            reader.rollback()
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
    assert database.value(LEFT) == 0


async def test_what_cannot_be_read_before_it_starts_is_no_lost_server(database: Database) -> None:
    database(*HALF_DEAD)
    async with connected(database.url) as session:
        step = await first_step(session, Operation.REPACK)
        with database.session("LOCK pg_trigger"):
            result = await session.execute(step, StepContext())
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert result.left != DONE_OR_UNCHANGED


async def test_what_a_reader_keeps_it_from_dropping_is_told_and_dropped_by_the_next(database: Database) -> None:
    database(*BUILDS_SLOWLY)
    running = await begun(database, StepContext())
    with database.session("SELECT FROM item LIMIT 1"):
        database.let_go()
        result = await running
    assert result.status in {Status.SKIPPED, Status.FAILED}
    assert "trigger and log of pg_repack at public.item were not dropped" in " ".join(result.warnings)
    assert database.value(LEFT) > 0
    (step,) = (await plan(database.url, Operation.REPACK)).steps
    assert "what an interrupted pg_repack left is dropped first" in step.reason
    assert (await run(database.url, Operation.REPACK))["public.item"].status is Status.COMPLETED
    assert database.value(LEFT) == 0


async def test_an_older_transaction_is_waited_for_and_named(database: Database) -> None:
    database(*HALF_DEAD, "CREATE TABLE other (id int)")
    told = Told()
    with database.session("SELECT FROM other") as reader:
        async with connected(database.url) as session:
            step = await first_step(session, Operation.REPACK, "item")
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            who = f"waiting for transaction of pid {reader.info.backend_pid}, idle in transaction for "
            await eventually(
                lambda: (
                    running.done()
                    or any(phase.startswith(who) and "(somebody, postgres)" in phase for phase in told.phases)
                )
            )
            assert not running.done(), running.result()
            reader.rollback()
            assert (await running).status is Status.COMPLETED


async def test_a_plan_names_the_transaction_that_it_waits_for_and_none_of_another_database(
    database: Database, server: PostgresServer
) -> None:
    database(*HALF_DEAD, "CREATE TABLE other (id int)")
    async with connected(database.url, lock_timeout=0.001) as session:
        await session.plan(Operation.REPACK, Options(objects=("item",)))
        with new_database(server) as elsewhere, elsewhere.session("CREATE TABLE written (id int)"):
            assert await session.find_blockers(has_window=False) == ""
        with database.session("SELECT FROM other") as reader:
            pid = reader.info.backend_pid
            named = await eventually(lambda: session.find_blockers(has_window=False))  # it counts once it lasts
            async with connected(database.url, lock_timeout=60) as patient:
                await patient.plan(Operation.REPACK, Options(objects=("item",)))
                database.wait_for(
                    f"SELECT clock_timestamp() - xact_start > '1.1s' FROM pg_stat_activity WHERE pid = {pid}"
                )
                assert await patient.find_blockers(has_window=False) == ""  # it is soon over
    assert f"pid {pid} (" in named
    assert "pg_repack waits for that after its copy, up to 1h (--snapshot-wait)" in named


async def test_an_older_transaction_is_waited_for_no_longer_than_allowed(database: Database) -> None:
    database(*HALF_DEAD, "CREATE TABLE other (id int)")
    with database.session("SELECT FROM other") as reader:
        pid = reader.info.backend_pid
        async with connected(database.url) as session:
            options = Options(objects=("item",), server=ServerOptions(snapshot_wait=0.1))
            step = (await session.plan(Operation.REPACK, options)).steps[0]
            result = await session.execute(step, StepContext())
    assert f"the transaction of pid {pid}, idle in transaction for " in str(result.error)
    assert "(somebody, postgres)" in str(result.error)
    assert (result.requeue, database.value(LEFT)) == (True, 0)


async def test_r32_an_older_transaction_is_not_waited_for_beyond_the_time_limit(database: Database) -> None:
    database(*HALF_DEAD, "CREATE TABLE other (id int)")
    options = Options(objects=("item",), server=ServerOptions(snapshot_wait=3600))
    async with asyncio.timeout(60), connected(database.url, lock_timeout=1) as session:
        step = (await session.plan(Operation.REPACK, options)).steps[0]
        with database.session("SELECT FROM other"), window(3) as soon_over:
            result = await session.execute(step, StepContext(window=soon_over))
    assert " the transaction of pid " in str(result.error)
    assert (result.status, database.value(LEFT)) == (Status.SKIPPED, 0)


async def test_limits_of_the_database_do_not_end_it(database: Database) -> None:
    database(*BUILDS_SLOWLY, f"ALTER DATABASE {database.name} SET idle_in_transaction_session_timeout = '50ms'")
    database(f"ALTER DATABASE {database.name} SET statement_timeout = '50ms'")
    running = await begun(database, StepContext())
    await until(
        database,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name ~ 'pg_repack$'"
        " AND state = 'idle in transaction' AND now() - state_change > interval '0.2 s'",
    )
    database.let_go()
    assert (await running).status is Status.COMPLETED


async def test_a_typed_password_is_in_no_argument(database: Database) -> None:
    database(*BUILDS_SLOWLY, f"CREATE ROLE joe_s LOGIN SUPERUSER PASSWORD '{SECRET}'")
    database.server.ask_for_a_password("joe_s")
    database.reconnect()
    url = database.as_user("joe_s")
    typed_passwords.remember(url, SECRET)
    try:
        async with connected(url) as session:
            running = asyncio.create_task(session.execute(await first_step(session, Operation.REPACK), StepContext()))
            await until(database, SLEEPS)
            (client,) = clients_of(database)
            assert SECRET.encode() not in Path(f"/proc/{client}/cmdline").read_bytes()
            database.let_go()
            assert (await running).status is Status.COMPLETED
    finally:
        typed_passwords.forget()


async def test_what_it_left_of_a_dropped_table_is_told(database: Database) -> None:
    database(*HALF_DEAD, "CREATE TABLE repack.log_4711 (id int)")
    assert "repack.log_4711" in " ".join((await plan(database.url, Operation.REPACK)).warnings)


async def abandoned(database: Database) -> None:
    """Leave what a pg_repack leaves that died with its worker: its trigger, its log and its copy."""
    database(*BUILDS_SLOWLY)
    where = [f"--host={database.server.base}", "--username=postgres", f"--dbname={database.name}"]
    program = database.server.binaries / PROGRAM
    its_own = "FROM pg_stat_activity WHERE application_name = 'dbtend lost'"
    client = await asyncio.create_subprocess_exec(
        program, "--table=item", "--no-order", *where, env={**database.server.environment, "PGAPPNAME": "dbtend lost"}
    )
    await until(database, SLEEPS)
    client.kill()
    await client.wait()
    database(f"SELECT pg_terminate_backend(pid) {its_own}")
    await until(database, f"SELECT count(*) = 0 {its_own}")
    database.let_go()


async def test_what_nobody_works_on_is_advised_and_dropped_by_clean_leftovers(database: Database) -> None:
    await abandoned(database)
    assert database.value(LEFT) > 0
    async with connected(database.url) as session:
        found = {one.operation: one for one in (await session.advise(NOTHING_KNOWN, budget=None))[0]}
    warned = " ".join((await plan(database.url, Operation.VACUUM)).warnings)
    assert "an interrupted pg_repack left its trigger and its log at public.item" in warned
    advised = found[Operation.CLEAN_LEFTOVERS]
    assert (advised.level, advised.objects) == (Level.NOW, ("public.item",))
    assert "an interrupted pg_repack left its trigger and its log at public.item" in advised.reason
    assert not [name for one in found.values() for name in one.objects if name.startswith("repack.")]
    (step, *_) = (await plan(database.url, Operation.OPTIMIZE)).steps
    assert (step.operation, step.object) == (Operation.CLEAN_LEFTOVERS, "public.item")
    ((name, result),) = (await run(database.url, Operation.CLEAN_LEFTOVERS)).items()
    assert (name, result.status, result.warnings) == ("public.item", Status.COMPLETED, ())
    assert database.value(LEFT) == 0
    assert (await plan(database.url, Operation.CLEAN_LEFTOVERS)).not_needed == "no leftover index"


async def test_only_a_superuser_drops_what_pg_repack_left(database: Database) -> None:
    await abandoned(database)
    database("CREATE ROLE joe_l LOGIN", "ALTER TABLE item OWNER TO joe_l")
    refused = str((await plan(database.as_user("joe_l"), Operation.CLEAN_LEFTOVERS)).refused)
    assert refused == "what pg_repack left at public.item: joe_l may not drop it, a superuser may"
    needed = await plan(database.as_user("joe_l"), Operation.OPTIMIZE)
    assert ({step.object for step in needed.steps}, needed.left_out) == ({"public.item"}, 1)
    assert f"left out: {refused}" in needed.warnings
    database("VACUUM (ANALYZE) item")
    needed = await plan(database.as_user("joe_l"), Operation.OPTIMIZE)
    assert ([step.object for step in needed.steps], needed.refused) == ([], refused)


async def test_a_pg_repack_that_works_is_no_leftover_and_its_own_tables_are_in_no_plan(database: Database) -> None:
    database(*BUILDS_SLOWLY)
    running = await begun(database, StepContext())
    assert (await plan(database.url, Operation.CLEAN_LEFTOVERS)).not_needed == "no leftover index"
    for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM_FULL):
        commands = " ".join(step.command for step in (await plan(database.url, operation)).steps)
        assert "item" in commands
        assert "repack" not in commands
    database.let_go()
    assert (await running).status is Status.COMPLETED


async def test_a_drop_of_what_pg_repack_left_gives_up_behind_a_reader(database: Database) -> None:
    await abandoned(database)
    with database.session("SELECT FROM item LIMIT 1"):
        result = (await run(database.url, Operation.CLEAN_LEFTOVERS, lock_timeout=0.2))["public.item"]
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert result.left == "trigger and log of pg_repack stay"
    assert database.value(LEFT) > 0


async def test_several_jobs_rewrite_one_table_at_a_time(database: Database) -> None:
    database(*HALF_DEAD, "CREATE TABLE other (id int PRIMARY KEY)")
    planned = await plan(database.url, Operation.REPACK, jobs=2)
    assert planned.parallel == 1
    assert "pg_repack rewrites one table at a time" in planned.warnings


async def test_a_plan_that_blocks_a_table_says_for_how_long_and_what_does_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "LONG_BLOCKED", 0.0)
    database(*HALF_DEAD)
    (warning,) = (await plan(database.url, Operation.VACUUM_FULL)).warnings
    assert warning.startswith("public.item: no session can read or write it for ")
    assert warning.endswith("; repack does it while the table is in use")
