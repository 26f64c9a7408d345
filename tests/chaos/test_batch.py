"""kill -9 in the middle of a batch of many databases: of its workers, of its run, of the worker that carries on."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from engine import Engine, JobOutcome
from tests.chaos.checker import check
from tests.chaos.processes import Processes, processes
from tests.chaos.storm import until_all_is_over
from tests.chaos.trace import Trace, What
from tests.sqlite_files import content, transaction
from tests.waiting import eventually

FILES = 100
CUT_SHORT = """SELECT parent_id FROM child_job WHERE status = 'pending' AND attempt > 0
OR status = 'running' AND (attempt > 1 OR pid NOT IN (SELECT value FROM json_each(?)))"""


def tenant(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE item(code TEXT UNIQUE)")
        db.executemany("INSERT INTO item VALUES (?)", ((f"code-{n}",) for n in range(20)))
        db.commit()
    return path


async def test_r7_a_batch_is_completed_once_whoever_is_killed(tmp_path: Path) -> None:
    files = [tenant(tmp_path / f"t{number}.db") for number in range(FILES)]
    contents = {path: content(path) for path in files}
    trace = Trace(tmp_path)
    with processes(trace) as started:
        how = ("--op", "vacuum", "--canary", 20, "--max-failures", 5)
        run = started.start("-m", "tui.cli", "run", "--store", trace.store, *how, *files)
        await finished(trace, 5)
        started.kill(await one_that_executes(trace, started))  # while the others wait for the canaries
        await none_would_die_twice(trace, started, 25)
        started.kill(await one_that_executes(trace, started))
        await none_would_die_twice(trace, started, 45)
        started.kill_all(first=run.pid)
        started.worker()
        await none_would_die_twice(trace, started, 75)
        started.kill_all()
        started.host(workers=4)
        await until_all_is_over(trace.store)
    lines = trace.told()
    assert await check(trace.store, lines, contents) == []
    assert sum(line.what is What.KILLED for line in lines) >= 4
    async with Engine.open(trace.store) as engine:
        assert (await engine.batch(1)).counts == {JobOutcome.COMPLETED: FILES}
    assert completions(trace.store) == dict.fromkeys(range(1, FILES + 1), 1)


def test_four_bad_ones_among_many_are_told_once_and_the_others_are_done(tmp_path: Path) -> None:
    """One is damaged, one missing, one locked, and the server of one is down."""
    files = [tenant(tmp_path / f"t{number}.db") for number in range(FILES - 1)]
    missing, damaged, locked = files[20], files[40], files[60]
    missing.unlink()
    damaged.write_bytes(damaged.read_bytes()[:100] + b"\xff" * 8000)
    server = "postgresql://dba@127.0.0.1:1/sales"
    trace = Trace(tmp_path)
    with processes(trace) as started, transaction(locked, "EXCLUSIVE"):
        how = ("--store", trace.store, "--op", "vacuum", "--lock-timeout", "0.1")
        run = started.start("-m", "tui.cli", "run", *how, *files, server)
        assert run.wait(120) == 1
    said = (tmp_path / "output").read_text().splitlines()
    summary = next(n for n, line in enumerate(said) if line.startswith(f"{FILES - 4} completed, "))
    told = [line.split()[0] for line in said[summary + 1 :] if line.startswith("#")]
    assert sorted(told) == [f"#{FILES}", "#21", "#41", "#61"]


async def finished(trace: Trace, number: int) -> None:
    """Wait until so many operations have ended."""
    await eventually(lambda: sum(line.what is What.FINISHED for line in trace.told()) >= number)


async def none_would_die_twice(trace: Trace, started: Processes, number: int) -> None:
    """Wait until so many operations have ended, with all that were cut short: one that dies twice has failed."""
    await finished(trace, number)

    def none_is_cut_short() -> bool:
        living = json.dumps(started.living())
        with closing(sqlite3.connect(trace.store)) as db:
            return not db.execute(CUT_SHORT, (living,)).fetchall()

    await eventually(none_is_cut_short)


async def one_that_executes(trace: Trace, started: Processes) -> int:
    """A living process that has begun an operation: one that was started in place of another has not at first."""

    def its_pid() -> int | None:
        living = set(started.living())
        pids = (line.pid for line in reversed(trace.told()) if line.what is What.BEGAN)
        return next((pid for pid in pids if pid in living), None)

    return await eventually(its_pid)


def completions(store: Path) -> Counter[int]:
    """How often each parent became completed, by the history."""
    with closing(sqlite3.connect(store)) as db:
        rows = db.execute("SELECT parent_id FROM event WHERE ordinal IS NULL AND new = 'completed'").fetchall()
    return Counter(parent_id for (parent_id,) in rows)
