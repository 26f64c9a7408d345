"""Databases that a compact copy replaces while others open, write and close them, and while the worker is killed.

No acknowledged write may be lost, each refusal must be clean, and a kill leaves the old file or the new one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from engine.domain.errors import TargetError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets import resolve
from engine.targets.sqlite.system import copying
from engine.targets.step_execution import StepContext
from tests.sqlite_files import content, make_database

MODES: Final = ("delete", "wal")
WRITERS: Final = 2
PATIENCE: Final = 30.0
"""Seconds after which a killed exchange should be over."""
LATEST: Final = 0.5
"""Seconds after which a process is killed, at first."""
TOO_LATE: Final = "too late"
VICTIMS: Final = ("worker", "worker at the end", "exchanger", "exchanger and worker")
LOUD: Final = ("SQLITE_BUSY", "SQLITE_NOTADB", "SQLITE_READONLY_DBMOVED")
"""What the errors begin with of a process that has opened the old file, or that has to wait for another one."""
WRITER: Final = """
import json, os, random, sqlite3, sys, threading, time
path, number = sys.argv[1], int(sys.argv[2])
chosen, kept, errors, opened, over = random.Random(number), [], {}, 0, threading.Event()
file, since = None, time.monotonic()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while not over.is_set():
    try:
        db = sqlite3.connect(path, isolation_level=None, timeout=chosen.choice((0.01, 5)))
        try:
            for _ in range(chosen.choice((1, 1, 3))):
                db.execute("SELECT count(*) FROM written").fetchall()
                if chosen.random() < 0.05:
                    new = len(kept) * 10 + number
                    db.execute("INSERT INTO written VALUES (?, hex(randomblob(200)))", (new,))
                    kept.append(new)
        finally:
            db.close()
        opened += 1
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", str(error))
        errors[name] = errors.get(name, 0) + 1
    if file != (file := os.stat(path).st_ino):
        since = time.monotonic()
    # The longer nothing could be exchanged, the longer it rests: a slow machine needs the time.
    over.wait(chosen.random() * 0.03 * (1 + time.monotonic() - since))
print(json.dumps([kept, errors, opened]))
"""
WORKER: Final = """
import asyncio, sys
from engine.domain.requests import Operation, Options
from engine.targets import resolve
from engine.targets.step_execution import StepContext

async def main():
    async with resolve(sys.argv[1]).connect(lock_timeout=5) as session:
        await session.lock()
        planned = await session.plan(Operation.VACUUM, Options(swap=True))
        print("begins", flush=True)
        (step,) = planned.plan.steps
        print((await planned.execute(step, StepContext())).status, flush=True)

asyncio.run(main())
"""


def attack(count: int, seed: int) -> Iterator[str]:
    """So many exchanges, half of them in each journal mode."""
    for mode in MODES:
        with attack_directory() as directory:
            yield from asyncio.run(_among_writers(Path(directory), mode, -(-count // len(MODES)), seed))


async def _among_writers(directory: Path, mode: str, count: int, seed: int) -> list[str]:
    path = make_database(directory / "app.db", rows=200, journal_mode=mode)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE written (id INTEGER PRIMARY KEY, text TEXT)")
    found: list[str] = []
    done, refused = 0, Counter[str]()
    with _writers(path, seed) as writers:
        while done < count:
            try:
                status, reason, error = await _exchanged(path)
            except TargetError as problem:  # busy when it was opened
                status, reason, error = Status.FAILED, problem.reason, problem.why
            if status is Status.COMPLETED:
                done += 1
                continue
            refused[str(error).partition(":")[0]] += 1
            if (status, reason) != (Status.FAILED, Reason.TARGET_BUSY):
                found.append(f"{mode}: {status}, {reason}: {error}")
        said = [json.loads(writer.communicate(timeout=PATIENCE)[0]) for writer in writers]
    kept = {new for ids, _, _ in said for new in ids}
    errors = sum((Counter(counted) for _, counted, _ in said), Counter[str]())
    with closing(sqlite3.connect(path)) as db:
        rows = {row for (row,) in db.execute("SELECT id FROM written")}
        sound = db.execute("PRAGMA integrity_check").fetchall()
        is_kept = db.execute("PRAGMA journal_mode").fetchone() == (mode,)
    opened = sum(times for _, _, times in said)
    print(
        f"  {mode}: {done} exchanges, {sum(refused.values())} refused; the others opened it {opened:,} times, "
        f"wrote {len(kept):,} times, and got the errors {dict(errors)}"
    )
    found += [f"{mode}: {len(kept - rows)} acknowledged writes are lost"] if kept - rows else []
    found += [f"{mode}: the database is damaged: {sound}"] if sound != [("ok",)] else []
    found += [] if is_kept else [f"{mode}: the journal mode changed"]
    found += [f"{mode}: a process got the error {name}" for name in errors if not name.startswith(LOUD)]
    return found + [f"{mode}: {left.name} is left" for left in path.parent.glob("*unfinished*")]


async def _exchanged(path: Path) -> tuple[Status, Reason | None, str | None]:
    async with resolve(str(path)).connect(lock_timeout=0.3) as session:
        await session.lock()
        planned = await session.plan(Operation.VACUUM, Options(swap=True))
        (step,) = planned.plan.steps
        result = await planned.execute(step, StepContext())
        return result.status, result.reason, result.error


@contextmanager
def _writers(path: Path, seed: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-S", "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, str(seed * 10 + number)], stdin=-1, stdout=-1, text=True)
        for number in range(WRITERS)
    ]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def attack_by_kills(count: int, seed: int) -> Iterator[str]:
    """So many kills: of the worker at any moment, or of the worker, the process that exchanges, or both, at its end.

    A kill after the end of its process does not count, and makes the next ones earlier.
    """
    chosen = random.Random(seed)
    killed = Counter[str]()
    latest = dict.fromkeys(VICTIMS, LATEST)
    with attack_directory() as directory:
        for number in itertools.count():
            if killed.total() - sum(times for what, times in killed.items() if what.endswith(TOO_LATE)) >= count:
                break
            mode, victims = MODES[number % 2], VICTIMS[number // 2 % len(VICTIMS)]
            path = make_database(Path(directory, f"{number}.db"), rows=2000, journal_mode=mode)
            before, inode = content(path), path.stat().st_ino
            with subprocess.Popen([sys.executable, "-c", WORKER, path], stdout=-1, text=True) as worker:
                assert worker.stdout is not None
                worker.stdout.readline()
                at_end = () if victims == "worker" else _exchangers(worker.pid)
                time.sleep(chosen.random() * latest[victims])
                for pid in (*(at_end if "exchanger" in victims else ()), *([worker.pid] * ("worker" in victims))):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                said = worker.stdout.read()
            if said and "worker" not in victims and said not in {"completed\n", "failed\n"}:
                yield f"{mode}, kill {number} of {victims}: the worker said {said}"
            yield from (f"{mode}, kill {number} of {victims}: {finding}" for finding in _left_by_kill(path, before))
            is_late = said and (said, victims) != ("failed\n", "exchanger")
            outcome = TOO_LATE if is_late else "old file" if path.stat().st_ino == inode else "new file"
            latest[victims] *= 0.9 if is_late else 1.05
            killed[f"{victims}: {outcome}"] += 1
            path.unlink()
    print(f"  {dict(sorted(killed.items()))}")


def _exchangers(pid: int) -> tuple[int, ...]:
    """The processes that a worker has started, once there is one, or once it has ended."""
    tasks = Path(f"/proc/{pid}/task")
    while True:
        with suppress(OSError):
            for task in tasks.iterdir():
                if found := (task / "children").read_text().split():
                    return tuple(map(int, found))
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                continue
        return ()


def _left_by_kill(path: Path, before: dict[str, str]) -> Iterator[str]:
    give_up = time.monotonic() + PATIENCE
    copying.remove_leftovers(str(path), None)
    while [*path.parent.glob("*.unfinished")] and time.monotonic() < give_up:  # the exchange may still go on
        time.sleep(0.01)
        copying.remove_leftovers(str(path), None)
    with closing(sqlite3.connect(path)) as db:
        if (sound := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            yield f"the database is damaged: {sound}"
    if content(path) != before:
        yield "the content changed"
    left = sorted(name.name for name in path.parent.iterdir() if name != path)
    if left:
        yield f"{left} is left"
