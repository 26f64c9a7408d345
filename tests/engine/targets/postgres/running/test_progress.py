"""How far a command is: pure where it can be, and seen on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from engine.domain.requests import Operation, Options, ServerOptions, Speed
from engine.domain.statuses import Status
from engine.domain.steps import CLEANING_UP, WAITING, WaitsFor
from engine.targets.postgres.planning.costs import weight
from engine.targets.postgres.planning.steps import Model, Subject
from engine.targets.postgres.running.monitor import blockers_of, progress_query, waits_query
from engine.targets.postgres.running.progress import VIEWS, Progress
from engine.targets.step_execution import StepContext, StepProgress
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import Told, connected
from tests.postgres_databases import SLEEPS, Database

SUBJECT = Subject(
    oid=1,
    schema="public",
    name="item",
    table="item",
    table_pages=1000,
    index_pages=500,
    indexes=2,
    rows=50_000,
    dead_share=0.2,
)
TEXT = replace(SUBJECT, sorts_text=True)


def vacuum(phase: str, scanned: int, vacuumed: int = 0, passes: int = 0, **more: Any) -> Mapping[str, Any]:
    row = {"phase": phase, "heap_blks_total": 1000, "heap_blks_scanned": scanned, "heap_blks_vacuumed": vacuumed}
    return {"vacuum": {**row, "index_vacuum_count": passes, **more}}


def rebuild(phase: str, done: int = 0, total: int = 0) -> Mapping[str, Any]:
    lockers = {"lockers_total": 0, "lockers_done": 0}
    return {"create_index": {"phase": phase, "blocks_done": done, "blocks_total": total, "tuples_done": 0,
                             "tuples_total": 0, **lockers}}  # fmt: skip


def rewrite(phase: str, scanned: int = 0, rebuilt: int = 0, written: int = 0) -> Mapping[str, Any]:
    row = {"phase": phase, "heap_blks_total": 1000, "heap_blks_scanned": scanned, "heap_tuples_written": written}
    return {"cluster": {**row, "index_rebuild_count": rebuilt}}


def repack(phase: str, scanned: int = 0, rebuilt: int = 0, inserted: int = 0) -> Mapping[str, Any]:
    """As PostgreSQL 19 tells of VACUUM FULL and CLUSTER, in both views."""
    row = {"phase": phase, "heap_blks_total": 1000, "heap_blks_scanned": scanned, "index_rebuild_count": rebuilt}
    both = {"heap_tuples_inserted": inserted, "heap_tuples_updated": 0, "heap_tuples_deleted": 0}
    return {"repack": {**row, **both}, "cluster": {**row, "heap_tuples_written": inserted}}


def sample(phase: str, done: int = 0, children: tuple[int, int] = (0, 0)) -> Mapping[str, Any]:
    row = {"phase": phase, "sample_blks_scanned": done, "sample_blks_total": 100}
    return {"analyze": {**row, "child_tables_done": children[0], "child_tables_total": children[1]}}


COURSES = {
    "vacuum": (Model.VACUUM, [
        vacuum("initializing", 0), vacuum("scanning heap", 100), vacuum("scanning heap", 900),
        vacuum("vacuuming indexes", 1000), vacuum("vacuuming indexes", 1000), vacuum("vacuuming heap", 1000, 500, 1),
        vacuum("cleaning up indexes", 1000, 1000, 1), vacuum("truncating heap", 1000, 1000, 1),
        vacuum("performing final cleanup", 1000, 1000, 1),
    ]),
    "vacuum in passes": (Model.VACUUM, [
        vacuum("scanning heap", 400), vacuum("vacuuming indexes", 400, 0, 0), vacuum("vacuuming heap", 400, 200, 1),
        vacuum("scanning heap", 700, 200, 1), vacuum("vacuuming indexes", 800, 400, 1),
        vacuum("vacuuming heap", 800, 700, 2), vacuum("scanning heap", 1000, 800, 2),
        vacuum("cleaning up indexes", 1000, 1000, 2),
    ]),
    "vacuum 17": (Model.VACUUM, [
        vacuum("scanning heap", 900, indexes_total=2, indexes_processed=0),
        vacuum("vacuuming indexes", 1000, indexes_total=2, indexes_processed=1),
        vacuum("vacuuming indexes", 1000, indexes_total=2, indexes_processed=2),
    ]),
    "reindex": (Model.REINDEX, [
        rebuild("initializing"), rebuild("waiting for writers before build"),
        rebuild("building index: scanning table", 500, 1000),
        rebuild("building index: sorting live tuples", 1000, 1000),
        rebuild("building index: loading tuples in tree"), rebuild("index validation: scanning index", 10, 100),
        rebuild("waiting for old snapshots"), rebuild("waiting for readers before dropping"),
    ]),
    "vacuum full": (Model.REWRITE, [
        rewrite("seq scanning heap", 100), rewrite("seq scanning heap", 1000), rewrite("swapping relation files", 1000),
        rewrite("rebuilding index", 1000, 0), rewrite("rebuilding index", 1000, 1), rewrite("performing final cleanup"),
    ]),
    "cluster": (Model.REWRITE, [
        rewrite("index scanning heap", 1000, written=10), rewrite("rebuilding index", 1000, 0),
    ]),
    "vacuum full of 19": (Model.REWRITE, [
        repack("initializing"), repack("seq scanning heap", 100), repack("seq scanning heap", 1000),
        repack("swapping relation files", 1000), repack("rebuilding index", 1000, 0),
        repack("rebuilding index", 1000, 1), repack("performing final cleanup", 1000, 2),
    ]),
    "cluster of 19": (Model.REWRITE, [
        repack("index scanning heap", 0, inserted=10), repack("index scanning heap", 0, inserted=4000),
        repack("catch-up", 1000), repack("swapping relation files", 1000), repack("rebuilding index", 1000, 0),
    ]),
    "analyze": (Model.ANALYZE, [
        sample("acquiring sample rows", 10), sample("acquiring sample rows", 100),
        sample("acquiring inherited sample rows", 50, (1, 4)), sample("computing statistics", 100),
        sample("finalizing analyze", 100),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("course", COURSES)
def test_it_never_goes_back_and_never_reaches_the_end(course: str) -> None:
    model, rows = COURSES[course]
    progress = Progress(model, SUBJECT)
    told = [progress.update(row, now) for row, start in zip(rows, range(0, 1000, 10), strict=False)
            for now in (float(start), start + 9.0)]  # fmt: skip
    fractions = [one.fraction for one in told if one.fraction is not None]
    assert fractions == sorted(fractions)
    assert 0.0 <= fractions[0] < fractions[-1] < 1.0
    assert all(one.phase for one in told)


def test_a_stage_that_tells_nothing_grows_as_fast_as_what_came_before() -> None:
    progress = Progress(Model.VACUUM, SUBJECT)
    for now in range(11):
        before = progress.update(vacuum("scanning heap", now * 100), float(now)).fraction
    later = [progress.update(vacuum("vacuuming indexes", 1000), 10.0 + now).fraction for now in (1, 2, 4, 400)]
    assert before is not None
    assert [before, *later] == sorted([before, *later], key=lambda fraction: fraction or 0.0)
    assert (later[-1] or 0) < 0.75


def test_a_sort_is_not_taken_for_the_scan_before_it() -> None:
    progress = Progress(Model.REINDEX, SUBJECT)
    progress.update(rebuild("building index: scanning table", 1000, 1000), 10.0)
    sorting = progress.update(rebuild("building index: sorting live tuples", 1000, 1000), 10.1)
    assert (sorting.fraction or 0) < 0.7


def test_a_scan_goes_on_while_what_was_read_is_sorted() -> None:
    """A parallel build tells nothing meanwhile."""
    progress, halfway = Progress(Model.REINDEX, TEXT), rebuild("building index: scanning table", 500, 1000)
    told = [progress.update(halfway, now / 5).fraction for now in range(1, 9)]
    assert told == sorted(set(told), key=lambda fraction: fraction or 0.0)
    numbers = Progress(Model.REINDEX, SUBJECT)
    told = [numbers.update(halfway, now / 5).fraction for now in range(4, 9)]
    assert len(set(told)) == 1  # they need no such time: something else holds it up


def test_how_long_it_took_before_counts() -> None:
    row = rebuild("building index: scanning table", 100, 1000)
    known = Progress(Model.REINDEX, SUBJECT, seconds=100.0).update(row, 80.0)
    unknown = Progress(Model.REINDEX, SUBJECT).update(row, 80.0)
    assert (unknown.fraction or 0) < 0.1 < 0.5 < (known.fraction or 0) < 0.9
    assert Progress(Model.NONE, SUBJECT, seconds=100.0).update({}, 50.0).fraction == pytest.approx(0.5, abs=0.01)


def test_what_waits_for_a_lock_gets_no_further() -> None:
    progress = Progress(Model.VACUUM, SUBJECT, seconds=10.0)
    assert progress.update({"wait_event_type": "Lock"}, 5.0).fraction is None


def test_what_was_analyzed_with_its_vacuum_is_not_at_its_end_before() -> None:
    both, alone = Progress(Model.VACUUM_ANALYZE, SUBJECT), Progress(Model.VACUUM, SUBJECT)
    end_of_vacuum = vacuum("performing final cleanup", 1000, 1000, 1)
    vacuumed = both.update(end_of_vacuum, 10.0).fraction or 0
    assert vacuumed < 0.8 < (alone.update(end_of_vacuum, 10.0).fraction or 0)
    assert (both.update(sample("computing statistics", 100), 11.0).fraction or 0) > vacuumed


def test_weights_follow_what_costs() -> None:
    clean = replace(SUBJECT, dead_share=0.0, visible_share=1.0)
    assert weight(Model.VACUUM, clean) < weight(Model.VACUUM, SUBJECT) < weight(Model.VACUUM_ANALYZE, SUBJECT)
    assert weight(Model.REINDEX, SUBJECT) < weight(Model.REINDEX_CONCURRENTLY, SUBJECT) < weight(Model.REINDEX, TEXT)


def test_waiting_says_for_whom() -> None:
    progress = Progress(Model.REINDEX, SUBJECT)
    row = {**rebuild("waiting for writers before build"), "wait_event_type": "Lock", "blockers": "pid 4711 (idle)"}
    told = progress.update(row, 0.0)
    assert (told.phase, told.waits_for) == (f"{WAITING}: pid 4711 (idle)", WaitsFor.LOCK)


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ("waiting for old snapshots", "waiting for snapshot of pid 13, SELECT for 9s"),
        ("waiting for readers before dropping", "waiting for transaction of pid 13, SELECT for 9s"),
    ],
)
def test_waiting_for_transactions_is_no_waiting_for_a_lock(phase: str, said: str) -> None:
    row = {
        **rebuild(phase),
        "wait_event_type": "Lock",
        "wait_event": "virtualxid",
        "transactions": "pid 13, SELECT for 9s",
    }
    told = Progress(Model.REINDEX_CONCURRENTLY, SUBJECT).update(row, 0.0)
    assert (told.phase, told.waits_for) == (said, WaitsFor.TRANSACTIONS)


def test_nothing_is_known_of_what_no_view_tells() -> None:
    assert Progress(Model.NONE, SUBJECT).update({}, 0.0) == StepProgress()


async def test_the_query_of_any_version_runs(database: Database) -> None:
    """Columns come and go; the views that there are are asked as a whole."""
    there = {name for (name,) in database("SELECT viewname FROM pg_views")}
    names = [view for view in VIEWS if f"pg_stat_progress_{view}" in there]
    pid = database.admin.info.backend_pid
    ((row,),) = database.admin.execute(progress_query(names), [[pid]]).fetchall()
    assert row["state"] == "active"
    assert {"vacuum", "analyze", "cluster", "create_index"} <= row.keys()
    ((row,),) = database.admin.execute(waits_query(), [[pid], [pid]]).fetchall()
    assert row == {"pid": pid, "blockers": None, "prepared_blockers": None, "queued": 0}


async def test_a_real_vacuum_tells_how_far_it_is(database: Database) -> None:
    database(
        "CREATE TABLE item (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
        "INSERT INTO item SELECT g, repeat('x', 500) FROM generate_series(1, 60000) AS g",
        "DELETE FROM item WHERE id % 3 = 0",
    )
    async with connected(database.url) as session:
        options = Options(objects=("item",), server=ServerOptions(speed=Speed.GENTLE))
        step = (await session.plan(Operation.VACUUM, options)).steps[0]
        told, cancel = Told(), asyncio.Event()
        task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=told)))
        await until(database, "SELECT count(*) > 0 FROM pg_stat_progress_vacuum WHERE heap_blks_scanned > 300")
        await asyncio.wait_for(told.something.wait(), 30)
        cancel.set()
        assert (await task).status is Status.CANCELLED
    fractions = [one.fraction for one in told.all if one.fraction is not None]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] < 1
    assert "scanning heap" in told.phases


async def test_a_real_rebuild_tells_its_phase(database: Database) -> None:
    database.make_slow()
    async with connected(database.url, 60) as session:
        steps = (await session.plan(Operation.REINDEX, Options(objects=("slow_number",)))).steps
        told, cancel = Told(), asyncio.Event()
        task = asyncio.create_task(session.execute(steps[0], StepContext(cancel=cancel, report=told)))
        await until(database, SLEEPS)
        await asyncio.wait_for(told.something.wait(), 30)
        cancel.set()
        await task
    assert told.phases[-2].startswith("building index")
    assert told.phases[-1] == CLEANING_UP


def test_who_is_in_the_way_is_told_with_since_when() -> None:
    names = ("pid", "who", "state", "does", "seconds")
    idle = dict(zip(names, (4711, "psql, ann", "idle in transaction", "idle in transaction", 3725.4), strict=True))
    hidden = dict(zip(names, (12, "", "of another role", None, None), strict=True))
    busy = dict(zip(names, (13, "app", "active", "SELECT", 9.2), strict=True))
    assert blockers_of([idle, hidden]).text == (
        "pid 4711 (psql, ann, idle in transaction for 1h2m5s), pid 12 (of another role)"
    )
    assert blockers_of([busy]).transactions == "pid 13, SELECT for 9s (app)"
    assert blockers_of([hidden]).transactions == "pid 12, of another role"
