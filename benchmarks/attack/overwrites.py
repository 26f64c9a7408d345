"""Databases that another file is copied over, or that are cut off, while a run reads them.

Whatever comes of the job, the run itself ends by itself, with its own exit code, and nothing of it is left.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory

OPERATIONS: Final = ("check", "reindex", "vacuum", "analyze", "optimize", "backup", "checkpoint")
PATIENCE: Final = 120.0
"""Seconds after which a run hangs."""


def attack(count: int, seed: int) -> Iterator[str]:
    chosen = random.Random(seed)
    with attack_directory() as directory:
        base = Path(directory)
        templates = {mode: _made(base / f"{mode}.db", 100_000, mode) for mode in ("delete", "wal")}
        others = [_made(base / "small.db", 10, "delete"), _made(base / "large.db", 150_000, "delete")]
        for number in range(count):
            place = base / str(number)
            place.mkdir(mode=0o700)
            mode, operation = chosen.choice(list(templates)), chosen.choice(OPERATIONS)
            app = Path(shutil.copy(templates[mode], place / "app.db"))
            over = chosen.choice([*others, None])
            yield from _overwritten(place, app, operation, over, chosen.random() * 0.3, mode)
            shutil.rmtree(place)


def _made(path: Path, rows: int, mode: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"""
            PRAGMA journal_mode = {mode};
            CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, number INTEGER);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                INSERT INTO t SELECT i, hex(randomblob(60)), i * 7919 % 1000 FROM n;
            CREATE INDEX by_text ON t (text);
            CREATE INDEX by_number ON t (number);
        """)
    return path


def _overwritten(place: Path, app: Path, operation: str, over: Path | None, after: float, mode: str) -> Iterator[str]:
    what = f"{operation}, {mode}, {over.name if over else 'cut off'} after {after:.2f} s"
    command = [sys.executable, "-m", "tui.cli", "run", str(app), "--op", operation, "--store", str(place / "jobs.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        said = run.stdout.readline()
        time.sleep(after)
        if over is None:
            os.truncate(app, 8192)
        else:
            subprocess.run(["cp", over, app], check=True)
        try:
            out, err = run.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            run.kill()
            yield f"{what}: the run hangs"
            return
    if run.returncode not in {0, 1, 2, 3, 4}:
        yield f"{what}: the run ended with {run.returncode}"
    if "Traceback" in out + err or "internal error" in said + out + err:
        yield f"{what}: {said}{out}{err}"
    with closing(sqlite3.connect(place / "jobs.db")) as store:
        left = store.execute("SELECT count(*) FROM parent_job WHERE finished_at IS NULL").fetchone()[0]
    if left:
        yield f"{what}: the job is still open"
