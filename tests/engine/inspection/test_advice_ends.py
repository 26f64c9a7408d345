"""Advice on a SQLite database is gone after the advised operation, or says why nothing helps."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest

import engine.targets.sqlite.advising as advising
from engine import Advice, CheckLevel, Engine, Level, Operation, Options, ParentJob, Request, Status
from engine.domain.advice import CheckCause, needed
from engine.domain.thresholds import DAY, DEFAULT_THRESHOLDS, Thresholds
from engine.inspection import inspector
from engine.system.clock import now
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.thresholds import Cause
from tests.building import SQLITE_OPERATIONS
from tests.sqlite_files import make_database, remove_index_entries, set_schema_sql

ROWS = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {})"
NIGHTS: Final = 6


class Trial:
    """A database, and an engine whose clock can be set."""

    def __init__(self, path: Path, keep: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.later = 0
        self.keep = keep
        self.monkeypatch = monkeypatch
        self.engine: Engine
        self.options = Options()
        self.limits = DEFAULT_THRESHOLDS
        self.operations = SQLITE_OPERATIONS

    def clock(self) -> int:
        return now() + self.later

    def execute(self, script: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            db.create_collation("german", lambda a, b: (a > b) - (a < b))
            db.executescript(script)

    async def advice(self) -> tuple[Advice, ...]:
        return await self.engine.advise(str(self.path), budget=None, limits=self.limits)

    async def causes(self) -> set[str]:
        return {one.cause for one in await self.advice() if one.is_urgent}

    async def run(self, *operations: Operation, **options: object) -> ParentJob:
        return await self.carried_out(
            Request(target=str(self.path), operations=operations, options=Options(**options))  # type: ignore[arg-type]
        )

    async def carried_out(self, request: Request) -> ParentJob:
        (job,) = await self.engine.submit([request])
        (done,) = await self.engine.wait([job.id])
        return done

    async def night(self) -> ParentJob | None:
        """Run what is needed; None where nothing is."""
        everything = Request(target=str(self.path), operations=self.operations, options=self.options)
        request = needed(everything, await self.advice())
        return None if request is None else await self.carried_out(inspector.applicable(request))


@pytest.fixture
async def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    with ExitStack() as keep:
        made = Trial(tmp_path / "a.db", keep, monkeypatch)
        async with Engine.open(tmp_path / "state" / "jobs.db", workers=1, clock=made.clock) as made.engine:
            yield made


Provoke = Callable[[Trial], Awaitable[object]]


async def fresh(trial: Trial) -> None:
    make_database(trial.path)


async def checked(trial: Trial) -> None:
    await fresh(trial)
    trial.execute("ANALYZE")
    await trial.run(Operation.CHECK)


async def found_damaged(trial: Trial) -> None:
    await fresh(trial)
    remove_index_entries(trial.path, "order")
    await trial.run(Operation.CHECK)


async def rebuilt(trial: Trial) -> None:
    await found_damaged(trial)
    await trial.run(Operation.REINDEX, objects=("order",))


async def found_orphans(trial: Trial) -> None:
    await fresh(trial)
    trial.execute('CREATE TABLE bill(group_id REFERENCES "group"); INSERT INTO bill VALUES (777)')
    await trial.run(Operation.CHECK)


async def found_damage(trial: Trial) -> None:
    await fresh(trial)
    with closing(sqlite3.connect(trial.path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'group'")
    with trial.path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    await trial.run(Operation.CHECK)


async def quickly_checked(trial: Trial) -> None:
    await fresh(trial)
    await trial.run(Operation.CHECK, check=CheckLevel.QUICK)
    trial.later = round((DEFAULT_THRESHOLDS.quick_check_every + DAY) * 1e6)


async def month_old(trial: Trial) -> None:
    await checked(trial)
    trial.later = round((DEFAULT_THRESHOLDS.full_check_every + DAY) * 1e6)


async def week_old(trial: Trial) -> None:
    await checked(trial)
    trial.later = round((DEFAULT_THRESHOLDS.quick_check_every + DAY) * 1e6)


HALF_EMPTY = f"""
CREATE TABLE t(id INTEGER PRIMARY KEY, b); INSERT INTO t(b) {ROWS.format(24_000)} SELECT zeroblob(1300) FROM n;
DELETE FROM t WHERE id % 3 <> 0;
"""
FREE = "CREATE TABLE big(x); INSERT INTO big VALUES (zeroblob(40000000)); DROP TABLE big;"


async def wasteful(trial: Trial) -> None:
    trial.execute(HALF_EMPTY)


async def wasteful_with_a_full_text_index(trial: Trial) -> None:
    trial.execute(
        "CREATE TABLE notes(body); CREATE VIRTUAL TABLE found USING fts5(body, content='');"
        f"INSERT INTO notes {ROWS.format(50)} SELECT 'word' || i FROM n;"
        "INSERT INTO found(rowid, body) SELECT rowid, body FROM notes; DELETE FROM notes WHERE rowid % 3 = 0;" + FREE
    )


async def wasteful_and_giving_back_with_a_full_text_index(trial: Trial) -> None:
    trial.execute("PRAGMA auto_vacuum = incremental")
    await wasteful_with_a_full_text_index(trial)
    trial.execute(HALF_EMPTY)


async def wasteful_with_a_collation(trial: Trial) -> None:
    trial.execute(f"CREATE TABLE c(a COLLATE german); CREATE INDEX i ON c(a); INSERT INTO c VALUES (1); {FREE}")


async def of_large_rows(trial: Trial) -> None:
    """Of which one fits into a page, and no VACUUM makes it two."""
    trial.execute(f"CREATE TABLE t(a, b); INSERT INTO t {ROWS.format(9000)} SELECT i, zeroblob(2200) FROM n; {FREE}")


async def giving_back(trial: Trial) -> None:
    trial.execute("PRAGMA auto_vacuum = incremental")
    trial.execute(FREE)


async def stale(trial: Trial) -> None:
    trial.execute(f"CREATE TABLE t(a); CREATE INDEX i ON t(a); INSERT INTO t {ROWS.format(4000)} SELECT i FROM n;")
    trial.execute("ANALYZE; DELETE FROM t WHERE a > 1500")


async def stale_and_emptied(trial: Trial) -> None:
    await stale(trial)
    trial.execute("DELETE FROM t")


async def stale_with_partial_indexes(trial: Trial) -> None:
    trial.execute(
        f"CREATE TABLE t(a, b); CREATE INDEX i ON t(a) WHERE a < 10; CREATE INDEX none ON t(b) WHERE a < 0;"
        f"INSERT INTO t {ROWS.format(4000)} SELECT i, i FROM n; ANALYZE; DELETE FROM t WHERE a > 1500"
    )


async def stale_with_a_limit(trial: Trial) -> None:
    await stale(trial)
    trial.options = Options(analysis_limit=10)


async def stale_where_only_optimize_may_run(trial: Trial) -> None:
    await stale(trial)
    trial.operations = (Operation.OPTIMIZE, Operation.CHECK)


async def stale_and_unanalyzable(trial: Trial) -> None:
    await stale(trial)
    trial.execute(f"CREATE TABLE c(a COLLATE german UNIQUE); INSERT INTO c {ROWS.format(4000)} SELECT i FROM n;")


async def large(trial: Trial) -> None:
    trial.monkeypatch.setattr(thresholds, "SMALL", 0)
    trial.execute(f"CREATE TABLE t(a); CREATE INDEX i ON t(a); INSERT INTO t {ROWS.format(4000)} SELECT i FROM n;")


async def in_segments(trial: Trial) -> None:
    trial.execute("CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f(f, rank) VALUES ('automerge', 0);")
    trial.execute("".join(f"INSERT INTO f VALUES ('word{i}');" for i in range(thresholds.SEGMENTS + 2)))


async def in_segments_of_a_tokenizer(trial: Trial) -> None:
    await in_segments(trial)
    with closing(sqlite3.connect(trial.path, isolation_level=None)) as db:
        set_schema_sql(db, "f", "CREATE VIRTUAL TABLE f USING fts5(a, tokenize=klingon)")


async def with_a_long_log(trial: Trial) -> None:
    trial.limits = Thresholds(log_size=100_000)
    await checked(trial)
    db = trial.keep.enter_context(closing(sqlite3.connect(trial.path, isolation_level=None)))
    db.execute("PRAGMA journal_mode = wal")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("UPDATE item SET price = price + 1")


async def found_damaged_with_duplicates(trial: Trial) -> None:
    trial.execute("CREATE TABLE t(a, b); CREATE UNIQUE INDEX u ON t(a); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    remove_index_entries(trial.path, "u")
    with closing(sqlite3.connect(trial.path, isolation_level=None)) as db:
        missing = [a for (a,) in db.execute("SELECT a FROM t NOT INDEXED EXCEPT SELECT a FROM t INDEXED BY u")]
        db.executemany("INSERT INTO t VALUES (?, 9)", [(a,) for a in missing])
    await trial.run(Operation.CHECK)


CASES: Final[Mapping[Cause | CheckCause, list[Provoke]]] = {
    Cause.DAMAGED_INDEXES: [found_damaged],
    Cause.WASTED_SPACE: [wasteful, of_large_rows],
    Cause.FREE_PAGES: [giving_back, wasteful_and_giving_back_with_a_full_text_index],
    Cause.STALE_STATISTICS: [
        stale,
        stale_and_emptied,
        stale_with_partial_indexes,
        stale_with_a_limit,
        stale_where_only_optimize_may_run,
        stale_and_unanalyzable,
    ],
    Cause.MISSING_STATISTICS: [fresh],
    Cause.MISSING_STATISTICS_OF_MUCH: [large],
    Cause.MANY_SEGMENTS: [in_segments],
    Cause.LONG_LOG: [with_a_long_log],
    Cause.DAMAGE: [found_damage],
    Cause.INDEXES_FOUND_DAMAGED: [found_damaged],
    Cause.BROKEN_RULE: [found_orphans],
    CheckCause.INDEXES_REBUILT: [rebuilt],
    CheckCause.NEVER_CHECKED: [fresh],
    CheckCause.NO_FULL_CHECK: [quickly_checked],
    CheckCause.FULL_CHECK_OVERDUE: [month_old],
    CheckCause.QUICK_CHECK_OVERDUE: [week_old],
}
EXPLAINED: Final[Mapping[Operation, list[Provoke]]] = {
    Operation.VACUUM: [wasteful_with_a_full_text_index, wasteful_with_a_collation],
    Operation.REINDEX: [found_damaged_with_duplicates],
    Operation.FTS_OPTIMIZE: [in_segments_of_a_tokenizer],
}
"""Where nothing can be done from the beginning."""


def test_there_is_a_case_for_every_cause() -> None:
    assert set(CASES) == {*Cause, *CheckCause} - {
        CheckCause.TABLES_REPAIRED, CheckCause.NO_CLEAN_CHECK, CheckCause.SERVER_STARTED,
    }  # fmt: skip


def test_what_is_called_for_says_its_cause() -> None:
    """Each Advice, and each change of one, that may be urgent."""
    for module in Path(advising.__path__[0]).glob("*.py"):
        for call in _calls(ast.parse(module.read_text())):
            given = {word.arg: word.value for word in call.keywords}
            level = given.get("level")
            if level is not None and ast.unparse(level) not in {"Level.NONE", "Level.UNKNOWN"}:
                said = "cause" in given or ast.unparse(call).startswith(
                    "Advice(operation=Operation.ANALYZE, level=level"
                )
                assert said, f"{module.name}: {ast.unparse(call)}"


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Advice", "replace"}:
            yield node


@pytest.mark.parametrize(
    ("cause", "provoke"),
    [(cause, provoke) for cause, cases in CASES.items() for provoke in cases],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else value.__name__,
)
async def test_advice_is_gone_or_explained_when_what_is_needed_has_run(
    trial: Trial, cause: Cause | CheckCause, provoke: Provoke
) -> None:
    await provoke(trial)
    assert cause in await trial.causes()
    await _comes_to_an_end(trial)
    still = [one for one in await trial.advice() if one.cause == cause and one.operation in trial.operations]
    assert all(one.needs_manual_fix for one in still)
    assert all(one.reason for one in await trial.advice())


async def _comes_to_an_end(trial: Trial) -> None:
    for _ in range(NIGHTS):
        done = await trial.night()
        if done is None:
            return
        ended = {child.operation: child.status for child in done.children}
        assert {s for operation, s in ended.items() if operation is not Operation.CHECK} <= {Status.COMPLETED}, [
            child.error for child in done.children
        ]
    pytest.fail(f"still needed: {[(one.operation, one.reason) for one in await trial.advice() if one.is_needed]}")


@pytest.mark.parametrize(
    ("operation", "provoke"),
    [(operation, provoke) for operation, cases in EXPLAINED.items() for provoke in cases],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_what_cannot_be_done_is_not_called_for_and_says_why(
    trial: Trial, operation: Operation, provoke: Provoke
) -> None:
    await provoke(trial)
    (one,) = [one for one in await trial.advice() if one.operation is operation]
    assert one.level is Level.NONE
    words = ("cannot be", "which full-text index found uses", "only its application has")
    assert any(word in one.reason for word in words), one.reason
    await _comes_to_an_end(trial)
