"""The test cases of vacuumdb, reindexdb and clusterdb, each as our own command.

A case has a command, the statements that its plan must show, and that the server must then log; or why it is refused.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from engine.config.model import Config
from engine.domain.requests import Request
from engine.submission.validation import validate_request
from engine.targets import resolve
from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.step_execution import StepContext
from tests.postgres_databases import Database, as_admin, new_database
from tests.postgres_server import PostgresServer
from tests.tui.command_line import CommandLine
from tui.commands.arguments import parse
from tui.commands.settings import requests
from tui.commands.targets import entries_of

EXECUTED: Final = 3
"""Steps of each plan: what is logged of one is logged of all."""
TABLES: Final = (
    'CREATE TABLE "need""q(uot" (")x" text)',
    "CREATE TABLE vactable (a int, b int)",
    "CREATE VIEW vacview AS SELECT 1 AS a",
    'CREATE SCHEMA "Foo"',
    'CREATE TABLE "Foo".bar (id int)',
    'CREATE SCHEMA "Bar"',
    'CREATE TABLE "Bar".baz (id int)',
    "CREATE TABLE test1 (a text)",
    "CREATE INDEX test1x ON test1 (a)",
    "CLUSTER test1 USING test1x",
    *("CREATE SCHEMA s1", "CREATE TABLE s1.t1 (id int)", "CREATE INDEX ON s1.t1 (id)"),
    *("CREATE SCHEMA s2", "CREATE TABLE s2.t2 (id int)", "CREATE INDEX ON s2.t2 (id)"),
    "CREATE SCHEMA s3",
    "CREATE TABLE parted (a int) PARTITION BY LIST (a)",
    "CREATE TABLE part1 PARTITION OF parted FOR VALUES IN (1)",
    "CREATE INDEX parted_a ON parted (a)",
    "INSERT INTO parted VALUES (1)",
    *("CREATE EXTENSION file_fdw", "CREATE SERVER disk FOREIGN DATA WRAPPER file_fdw"),
    "CREATE FOREIGN TABLE elsewhere (a text) SERVER disk OPTIONS (filename '/dev/null')",
)
TABLESPACE: Final = "other_disk"


@dataclass(frozen=True)
class Case:
    name: str
    words: str
    """Ours after the target; {toast} and {toast index} stand for those of test1."""
    plans: tuple[str, ...] = ()
    """Regular expressions for statements of the plan."""
    not_planned: str = ""
    """One for what must not be there."""
    refused: str = ""
    """A part of the error; its exit code is 2."""
    needs_yes: bool = False
    """Whether it is refused without --yes."""
    since: int = 0
    """The major version of the server that has it."""


V, A, F, R, C = "--op vacuum", "--op analyze", "--op vacuum-full", "--op reindex", "--op cluster"
OFFLINE: Final = f"{R} --offline"
SYSTEM: Final = f"{R} --system"
REFUSED_WITH_ANALYZE: Final = "does not apply to analyze, only to vacuum"

VACUUMDB: Final = (
    Case("a whole database", V, (r'^VACUUM \(.*\) "pg_catalog"\."pg_class"$', r'^VACUUM \(.*\) "public"\."vactable"$')),
    Case("full", F, (r'^VACUUM \(FULL, VERBOSE\) "public"\."vactable"; ANALYZE',), "pg_catalog", needs_yes=True),
    Case("full, the schema of the catalog", f"{F} --schema pg_catalog", refused="belongs to the catalog (add --system"),
    Case("full, also of the catalog", f"{F} --system", (r'^VACUUM \(FULL.* "pg_catalog"\."pg_am"',), needs_yes=True),
    Case("freeze", f"{V} --freeze", (r'^VACUUM \(.*\bFREEZE\b.*\) "public"\."vactable"$',)),
    Case("analyze, two at once", f"{V} --analyze --jobs 2", (r"^VACUUM \(.*\bANALYZE\b",)),
    Case("only analyze", A, (r'^ANALYZE \(VERBOSE\) "public"\."vactable"$',), "VACUUM"),
    Case("all pages", f"{V} --disable-page-skipping", (r"^VACUUM \(.*\bDISABLE_PAGE_SKIPPING\b",)),
    Case("without locked tables", f"{V} --skip-locked", (r"^VACUUM \(.*\bSKIP_LOCKED\b",)),
    Case("only analyze, without locked tables", f"{A} --skip-locked", (r"^ANALYZE \(.*\bSKIP_LOCKED\b",)),
    Case("only analyze, all pages", f"{A} --disable-page-skipping", refused=REFUSED_WITH_ANALYZE),
    Case("no index cleanup", f"{V} --index-cleanup off", (r"^VACUUM \(.*\bINDEX_CLEANUP OFF\b",)),
    Case("only analyze, no index cleanup", f"{A} --index-cleanup off", refused=REFUSED_WITH_ANALYZE),
    Case("no truncate", f"{V} --no-truncate", (r"^VACUUM \(.*\bTRUNCATE OFF\b",)),
    Case("only analyze, no truncate", f"{A} --no-truncate", refused=REFUSED_WITH_ANALYZE),
    Case("no main", f"{V} --no-process-main", (r"^VACUUM \(.*\bPROCESS_MAIN OFF\b",), since=16),
    Case("only analyze, no main", f"{A} --no-process-main", refused=REFUSED_WITH_ANALYZE),
    Case("no toast", f"{V} --no-process-toast", (r"^VACUUM \(.*\bPROCESS_TOAST OFF\b",), since=14),
    Case("only analyze, no toast", f"{A} --no-process-toast", refused=REFUSED_WITH_ANALYZE),
    Case("two processes for indexes", f"{V} --parallel-workers 2", (r"^VACUUM \(.*\bPARALLEL 2\b",)),
    Case("no processes for indexes", f"{V} --parallel-workers 0", (r"^VACUUM \(.*\bPARALLEL 0\b",)),
    Case("less than none", f"{V} --parallel-workers=-1", refused="is no number of processes"),
    Case("a table of the catalog", f"{A} --object pg_am", (r'^ANALYZE \(VERBOSE\) "pg_catalog"\."pg_am"$',)),
    Case("a command after the table", f"{A} --object 'pg_am;ABORT'", refused="is no table or index"),
    Case("a command after the columns", f"{A} --object 'pg_am(amname);ABORT'", refused="is no table or index"),
    Case(
        "a column with a strange name",
        """--op analyze --object '"need""q(uot"(")x")'""",
        (r'^ANALYZE \(VERBOSE\) "public"\."need""q\(uot" \("\)x"\)$',),
    ),
    Case("an unknown column", f"{V} --analyze --object 'vactable(c)'", refused="has no column c"),
    Case(
        "all columns", f"{V} --analyze --object 'vactable(a, b)'",
        (r'^VACUUM \(.*\bANALYZE\b.*\) "public"\."vactable" \("a", "b"\)$',),
    ),
    Case("a column", f"{A} --object 'vactable(b)'", (r'^ANALYZE \(VERBOSE\) "public"\."vactable" \("b"\)$',)),
    Case("columns without statistics", f"{V} --object 'vactable(b)'", refused="use analyze, or vacuum --analyze"),
    Case("no age of multixacts", f"{V} --object vactable --min-mxid-age 0", refused="is no number of multixacts"),
    Case("no age of transactions", f"{V} --object vactable --min-xid-age 0", refused="is no number of transactions"),
    Case("too young by multixacts", f"{V} --object vactable --min-mxid-age 2147483000", not_planned="."),
    Case("too young by transactions", f"{V} --min-xid-age 2147483001", not_planned="."),
    Case("old enough by transactions", f"{V} --min-xid-age 1", (r'"pg_catalog"\.',)),
    Case("a schema", f"{V} --schema Foo", (r'^VACUUM \(.*\) "Foo"\."bar"$',), '"Bar"|"pg_catalog"'),
    Case("a quoted schema", f"""{V} --schema '"Foo"'""", (r'"Foo"\."bar"$',), '"Bar"|"pg_catalog"'),
    Case("two schemas", f"{V} --schema Foo --schema Bar", ('"Foo"."bar"$', '"Bar"."baz"$'), '"public"'),
    Case("not a schema", f"{V} --exclude-schema Foo", ('"Bar"."baz"$', '"pg_catalog"'), '"Foo"'),
    Case("not two schemas", f"{V} --exclude-schema Foo --exclude-schema Bar", ('"public"',), '"Foo"|"Bar"'),
    Case("not a quoted schema", f"""{V} --exclude-schema '"Foo"'""", ('"Bar"."baz"$',), '"Foo"'),
    Case("not an unknown schema", f"{V} --exclude-schema nowhere", refused="schema nowhere: is not in"),
    Case(
        "a table, and not a schema", f"{V} --exclude-schema pg_catalog --object pg_class",
        refused="leave one of them out",
    ),
    Case("a table in a schema", f"{V} --schema pg_catalog --object pg_class", (r'"pg_catalog"\."pg_class"$',)),
    Case("a schema, and not another", f"{V} --schema pg_catalog --exclude-schema Foo", refused="leave one of them out"),
    Case("a foreign table", f"{A} --object elsewhere", (r'^ANALYZE \(VERBOSE\) "public"\."elsewhere"$',)),
    Case("no foreign table among all", A, not_planned="elsewhere"),
    Case("a view", f"{V} --analyze --object vacview", refused="is a view"),
    Case("a partitioned table among all", A, (r'^ANALYZE \(VERBOSE\) (ONLY )?"public"\."parted"$',), "VACUUM"),
    Case(
        "a partitioned table by name", f"{A} --object parted",
        (r'^ANALYZE \(VERBOSE\) ONLY "public"\."parted"$', r'^ANALYZE \(VERBOSE\) "public"\."part1"$'),
        since=18,
    ),
    Case(
        "a column of a partitioned table", f"{A} --object 'parted(a)'",
        (r'^ANALYZE \(VERBOSE\) ONLY "public"\."parted" \("a"\)$', r'"part1" \("a"\)$'),
        since=18,
    ),
    Case("a partitioned table among all in stages", f"{A} --in-stages", (r'ANALYZE .*"public"\."parted"$',), "VACUUM"),
    Case(
        "three times", f"{A} --in-stages --object vactable",
        (
            r"^SET default_statistics_target = '1'; SET vacuum_cost_delay = '0'; ANALYZE \(VERBOSE\) ",
            r"^SET default_statistics_target = '10'; ANALYZE \(VERBOSE\) ",
            r"^ANALYZE \(VERBOSE\) ",
        ),
    ),
)  # fmt: skip
REINDEXDB: Final = (
    Case("a whole database", OFFLINE, (r'^REINDEX INDEX "public"\."test1x"$',), "pg_catalog", needs_yes=True),
    Case("the catalog", SYSTEM, (r'^REINDEX INDEX "pg_catalog"\."pg_class_oid_index"$',), '"public"', needs_yes=True),
    Case("a table", f"{OFFLINE} --object test1", (r'^REINDEX INDEX "public"\."test1x"$', "pg_toast"), needs_yes=True),
    Case(
        "a table into a tablespace", f"{OFFLINE} --object test1 --tablespace {TABLESPACE}",
        (rf'^REINDEX \(TABLESPACE "{TABLESPACE}"\) INDEX "public"\."test1x"$', r'^REINDEX INDEX "pg_toast"'),
        needs_yes=True, since=14,
    ),
    Case("an index", f"{OFFLINE} --object test1x", (r'^REINDEX INDEX "public"\."test1x"$',), needs_yes=True),
    Case("the schema of the catalog", f"{SYSTEM} --schema pg_catalog", (r'INDEX "pg_catalog"\.',), needs_yes=True),
    Case("the schema of the catalog, concurrently", f"{R} --schema pg_catalog", refused="belongs to the catalog"),
    Case("another schema than the catalog", f"{SYSTEM} --schema public", refused="is not in the catalog"),
    Case("a whole database, concurrently", R, (r'^REINDEX INDEX CONCURRENTLY "public"\."test1x"$',), "pg_catalog"),
    Case("a table, concurrently", f"{R} --object test1", (r'^REINDEX INDEX CONCURRENTLY "public"\."test1x"$',)),
    Case("an index, concurrently", f"{R} --object test1x", (r'^REINDEX INDEX CONCURRENTLY "public"\."test1x"$',)),
    Case("a schema, concurrently", f"{R} --schema public", (r'^REINDEX INDEX CONCURRENTLY "public"',), '"s1"'),
    Case("the catalog, concurrently", f"{R} --object pg_class", refused="add --system"),
    Case(
        "a table into a tablespace, concurrently", f"{R} --object test1 --tablespace {TABLESPACE}",
        (rf'^REINDEX \(TABLESPACE "{TABLESPACE}"\) INDEX CONCURRENTLY "public"\."test1x"$',),
        since=14,
    ),
    Case("the catalog into a tablespace", f"{SYSTEM} --tablespace {TABLESPACE}", refused="cannot be moved"),
    Case("into no tablespace", f"{R} --tablespace nowhere", refused="tablespace nowhere: does not exist"),
    *(
        Case(name + how, f"{R} {option} --object {{{name}}} --tablespace {TABLESPACE}", refused=f" TOAST table{why}")
        for name, why in (("toast", " of public.test1"), ("toast index", ", which cannot be moved"))
        for option, how in (("--offline", " into a tablespace"), ("", " into a tablespace, concurrently"))
    ),
    Case("a table of the catalog", f"{SYSTEM} --object pg_am", ('"pg_am_name_index"$',), needs_yes=True),
    Case("the catalog, two at once", f"{SYSTEM} --jobs 2", ('"pg_am_name_index"$',), needs_yes=True),
    Case("an index, two at once", f"{R} --jobs 2 --object test1x", (r'^REINDEX INDEX .*"public"\."test1x"$',)),
    Case("two schemas, two at once", f"{R} --jobs 2 --schema s1 --schema s2", (r'"s1"\."t1_id_idx"$', r'"s2"\.')),
    Case("an empty schema, two at once", f"{R} --jobs 2 --schema s3", not_planned="."),
    Case("all, two at once, concurrently", f"{R} --jobs 2", ("CONCURRENTLY",), "pg_catalog"),
    Case("a partitioned index", f"{R} --object parted_a", (r'^REINDEX INDEX CONCURRENTLY "public"\."part1_a_idx"$',)),
    Case("a partitioned table", f"{R} --object parted", (r'^REINDEX INDEX CONCURRENTLY "public"\."part1_a_idx"$',)),
)  # fmt: skip
CLUSTERDB: Final = (
    Case("a whole database", C, (r'^CLUSTER "public"\."test1" USING "test1x"; ANALYZE',), "vactable", needs_yes=True),
    Case("an unknown table", f"{C} --object nonexistent", refused="object nonexistent: is no table or index"),
    Case("a table", f"{C} --object test1", (r'^CLUSTER "public"\."test1" USING "test1x"',), needs_yes=True),
)


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[Database]:
    """A database whose server logs each statement."""
    place = postgres.base / TABLESPACE
    place.mkdir()
    os.chown(place, postgres.base.stat().st_uid, postgres.base.stat().st_gid)
    with new_database(postgres) as database:
        database(f"ALTER DATABASE {database.name} SET log_statement = 'all'")
        database(f"ALTER DATABASE {database.name} SET log_min_messages = 'log'")
        database(f"CREATE TABLESPACE {TABLESPACE} LOCATION '{place}'", "CREATE ROLE sue LOGIN", *TABLES)
        yield database
    with as_admin(postgres.url()) as admin:
        admin.execute(f"DROP TABLESPACE {TABLESPACE}")
        admin.execute("DROP ROLE sue")
    place.rmdir()  # another worker of the run may hand tests of this module to this one again


def in_all_words(shop: Database, words: str) -> list[str]:
    if "{" in words:
        ((toast,),) = shop("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'test1'")
        words = words.replace("{toast}", toast).replace("{toast index}", f"{toast}_index")
    return shlex.split(words)


def request_for(target: str, words: Sequence[str]) -> Request:
    """As `dbtend run` makes it."""
    args = parse(["run", target, *words])
    (request,) = requests(args, entries_of(args, Config()))
    return validate_request(request, resolve(target))


async def carried_out(request: Request) -> list[PgStep]:
    """What the plan shows; the first steps of it are done."""
    planned: list[PgStep] = []
    async with resolve(request.target).connect(lock_timeout=5, name="test 1/1") as session:
        for operation in request.children:
            found = await session.plan(operation, request.options)
            assert found.plan.refused is None
            planned += [step for step in found.plan.steps if isinstance(step, PgStep)]
            for step in found.plan.steps[:EXECUTED]:
                result = await found.execute(step, StepContext())
                assert result.error is None, (step.command, result.error)
    return planned


def run_and_log(shop: Database, words: str) -> list[str]:
    """The commands of the plan. The first ones were logged by the server, with what was set for them."""
    log = shop.server.base / "log"
    before = log.stat().st_size
    steps = asyncio.run(carried_out(request_for(shop.url, in_all_words(shop, words))))
    logged = log.read_bytes()[before:].decode()
    for step in steps[:EXECUTED]:
        for command in filter(None, (step.first_command or step.command, step.follow_up_command)):
            assert f"statement: {command}\n" in logged
        for name, value in step.settings:
            assert re.search(rf"set_config\(.*\n.*\$1 = '{name}', \$2 = '{value}'", logged)
    return [step.command for step in steps]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{tool}: {case.name}")
        for tool, cases in (("vacuumdb", VACUUMDB), ("reindexdb", REINDEXDB), ("clusterdb", CLUSTERDB))
        for case in cases
    ],
)
def test_each_case_works(dbtend: CommandLine, shop: Database, case: Case) -> None:
    if shop.major < case.since:
        pytest.skip(f"PostgreSQL {case.since} has it")
    words = in_all_words(shop, case.words)
    if case.refused or case.needs_yes:
        refused = dbtend("run", shop.url, *words, *(["--yes"] if case.refused else []))
        assert (refused.code, refused.out) == (2, "")
        assert (case.refused or "needs confirmation: ") in refused.err
    if not case.refused:
        commands = run_and_log(shop, case.words)
        for statement in case.plans:
            assert any(re.search(statement, command) for command in commands), commands
        assert not [command for command in commands if case.not_planned and re.search(case.not_planned, command)]


@pytest.mark.parametrize("words", [SYSTEM, f"{F} --system"])
def test_who_may_not_maintain_the_catalog_is_told(dbtend: CommandLine, shop: Database, words: str) -> None:
    refused = dbtend("plan", shop.as_user("sue"), *words.split())
    assert "sue may not maintain the catalog" in refused.out


@pytest.mark.parametrize("words", [V, f"{A} --missing-only"])
def test_a_dry_run_is_a_plan(dbtend: CommandLine, shop: Database, words: str) -> None:
    log = shop.server.base / "log"
    shop("CREATE TABLE IF NOT EXISTS fresh AS SELECT 1 AS a")
    before = log.stat().st_size
    planned = dbtend("plan", shop.url, "--schema", "public", *shlex.split(words))
    assert planned.code == 0
    assert '"public"."fresh"' in planned.out
    assert not re.search("statement: (VACUUM|ANALYZE)", log.read_bytes()[before:].decode())


MISSING: Final = {
    "columns": "DROP TABLE {t}; CREATE TABLE {t} AS SELECT generate_series(1, 10) AS a",
    "an expression of an index": "CREATE INDEX ON {t} (mod(a, 2))",
    "extended statistics": "CREATE STATISTICS {t}_both ON a, b FROM {t}",
    "children": "CREATE TABLE {t}_child (a int) INHERITS ({t}); INSERT INTO {t}_child VALUES (1, 2); ANALYZE {t}_child",
    "a partitioned table": "CREATE TABLE {t}_parts (a int) PARTITION BY LIST (a);"
    " CREATE TABLE {t}_part PARTITION OF {t}_parts FOR VALUES IN (1); INSERT INTO {t}_parts VALUES (1);"
    " ANALYZE {t}_part; DROP TABLE {t}; ALTER TABLE {t}_parts RENAME TO {t}",
}


@pytest.mark.parametrize("of", MISSING)
@pytest.mark.parametrize(("stages", "role"), [("", "postgres"), ("--in-stages", "sue")])
def test_only_what_lacks_statistics_is_analyzed(shop: Database, of: str, stages: str, role: str) -> None:
    table = "stats_" + re.sub("[^a-z]", "", of + stages + role)
    shop(f"CREATE TABLE {table} AS SELECT g AS a, g + 1 AS b FROM generate_series(1, 10) AS g", f"ANALYZE {table}")
    if shop.major >= 18:
        shop(f"ALTER TABLE {table} ADD COLUMN c int GENERATED ALWAYS AS (a + b)")
    words, target = shlex.split(f"{A} --missing-only {stages} --object {table}"), shop.as_user(role)
    for statement in MISSING[of].format(t=table).split("; "):
        shop(statement)
    for (relation,) in shop(f"SELECT relname FROM pg_class WHERE relname ~ '^{table}' AND relkind IN ('r', 'p')"):
        shop(f"ALTER TABLE {relation} OWNER TO {role}")
    steps = asyncio.run(carried_out(request_for(target, words)))
    assert len(steps) == (3 if stages else 1)
    assert all(f'"public"."{table}"' in step.command for step in steps)
    assert asyncio.run(carried_out(request_for(target, words))) == []


FILES: Final = """
SELECT main.oid::regclass::text, i.oid::int8, i.relfilenode::int8 FROM pg_class AS main
JOIN pg_index AS x ON x.indrelid IN (main.oid, main.reltoastrelid) JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE main.oid IN ('pg_constraint'::regclass, 'files'::regclass)
"""


@pytest.mark.parametrize(
    ("words", "changed"), [(OFFLINE, ("files", False)), (R, ("files", True)), (SYSTEM, ("pg_constraint", False))]
)
def test_a_rebuild_changes_the_files_that_it_should(
    shop: Database, monkeypatch: pytest.MonkeyPatch, words: str, changed: tuple[str, bool]
) -> None:
    """As with theirs, the catalog only where it was asked for, and an index is another one after CONCURRENTLY."""
    monkeypatch.setattr(f"{__name__}.EXECUTED", 1_000)
    shop("DROP TABLE IF EXISTS files", "CREATE TABLE files (a text)", "CREATE INDEX ON files (a)")
    before = shop(FILES)
    run_and_log(shop, f"{words} --schema {'pg_catalog' if words is SYSTEM else 'public'}")
    after = shop(FILES)
    table, is_new = changed
    for name in ("files", "pg_constraint"):
        oids, files = (
            {row[place] for row in before if row[0] == name} & {row[place] for row in after if row[0] == name}
            for place in (1, 2)
        )
        assert bool(files) == (name != table)
        assert bool(oids) == (name != table or not is_new)


@pytest.fixture
def two_shops(postgres: PostgresServer, shop: Database) -> Iterator[tuple[Database, Database]]:
    """Two databases with the same tables; a third is half dropped."""
    with new_database(postgres) as other:
        other("CREATE TABLE vactable (a int)", "CREATE TABLE test1 (a int)", "CREATE INDEX test1x ON test1 (a)")
        other("CLUSTER test1 USING test1x", "CREATE DATABASE half_dropped")
        other("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half_dropped'")
        try:
            yield shop, other
        finally:
            other("DROP DATABASE half_dropped")


def of_all(dbtend: CommandLine, shops: tuple[Database, Database], words: str) -> dict[str, list[str]]:
    """The commands of each database, by its name. Those of other tests on this server are left out."""
    names = [name for (name,) in shops[0]("SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2")]
    exclude = [word for name in names if name not in {shop.name for shop in shops} for word in ("--exclude", name)]
    planned = dbtend("plan", shops[0].url, "--all-databases", *exclude, *shlex.split(words), "--json")
    assert planned.code == 0, planned.err
    jobs: list[dict[str, Any]] = planned.json["jobs"]
    name = re.compile(r"/(\w+)\?")
    return {
        name.findall(job["target"])[0]: [step["command"] for child in job["children"] for step in child["steps"]]
        for job in jobs
    }


ALL: Final = {
    V: "VACUUM",
    f"{V} --exclude-schema pg_catalog": "VACUUM",
    f"{V} --schema pg_catalog": r'"pg_catalog"\."pg_class"$',
    f"{V} --object pg_class": r'"pg_catalog"\."pg_class"$',
    R: "REINDEX INDEX CONCURRENTLY",
    SYSTEM: 'REINDEX INDEX "pg_catalog"',
    f"{R} --schema public": r'"public"\."test1x"',
    f"{R} --object test1x": r'"public"\."test1x"',
    f"{R} --object test1": r'"public"\."test1x"',
    C: r'CLUSTER "public"\."test1"',
    f"{C} --object test1": r'CLUSTER "public"\."test1"',
    f"{A} --in-stages": "SET default_statistics_target = '1'",
}


def test_all_databases_are_one_command(dbtend: CommandLine, two_shops: tuple[Database, Database]) -> None:
    names = {one.name for one in two_shops}
    for words, expected in ALL.items():
        found = of_all(dbtend, two_shops, words)
        assert found.keys() >= names
        assert "half_dropped" not in found
        for name in names:
            assert any(re.search(expected, command) for command in found[name]), (words, name)
            assert not ("--exclude-schema" in words and any("pg_catalog" in command for command in found[name]))
    for words in (V, R, C):
        refused = dbtend("run", two_shops[0].server.url("half_dropped"), *words.split(), "--yes")
        assert refused.code != 0
        assert "half_dropped" in refused.out + refused.err


@pytest.fixture
def oddly_named(shop: Database) -> Iterator[list[str]]:
    """Databases whose names have most characters of ASCII and of Latin-1."""
    ranges = (range(1, 64), range(67, 127), range(161, 192), range(192, 223), range(224, 255))
    names = ["".join(chr(code) for code in codes if code not in {7, 10, 13}) for codes in ranges]
    quoted = [quote(name) for name in (*names, "CamelCase")]
    shop(*(f"CREATE DATABASE {name}" for name in quoted))
    yield [*names, "CamelCase"]
    shop(*(f"DROP DATABASE {name}" for name in quoted))


def test_databases_may_have_any_name(dbtend: CommandLine, shop: Database, oddly_named: Sequence[str]) -> None:
    others = [name for (name,) in shop("SELECT datname FROM pg_database") if name not in oddly_named]
    exclude = [word for name in others for word in ("--exclude", name)]
    for words in (A, R, C):
        ran = dbtend("run", shop.url, "--all-databases", *exclude, *words.split(), "--yes", "--json")
        assert (ran.code, len(ran.json["jobs"])) == (0, len(oddly_named)), ran.err
        assert {job["status"] for job in ran.json["jobs"]} == {"completed"}


@pytest.mark.parametrize("command", ["run", "plan"])
def test_help_version_and_unknown_options(
    dbtend: CommandLine, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, code in (("--help", 0), ("--version", 0)):
        with pytest.raises(SystemExit) as ended:
            parse([command, word])
        assert ended.value.code == code
        assert capsys.readouterr().out
    assert dbtend(command, "--not-a-valid-option").code == 2
