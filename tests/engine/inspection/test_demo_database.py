from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from engine.domain.advice import Level, TargetHistory
from engine.domain.errors import UsageError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.inspection import demo_database, inspector
from engine.inspection.demo_database import SHOWN, build_demo_database
from engine.targets import resolve
from engine.targets.step_execution import StepContext
from tests.sqlite_files import content, files_beside, integrity


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    build_demo_database(path)
    return path


@pytest.mark.long
def test_the_sample_needs_maintenance(demo: Path) -> None:
    assert files_beside(demo) == {"demo.db"}
    assert 40_000_000 < demo.stat().st_size < 60_000_000
    with closing(sqlite3.connect(demo)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'").fetchone() == (0,)
        for table in ("customers", "orders", "events"):
            kept, highest = db.execute(f"SELECT count(*), max(id) FROM {table}").fetchone()
            assert 0.55 < kept / highest < 0.65
    assert integrity(demo) == []


@pytest.mark.long
async def test_the_advice_is_to_pack_the_sample_and_to_collect_its_statistics(demo: Path) -> None:
    advice = {one.operation: one.level for one in await inspector.advise(str(demo), TargetHistory(now=0), budget=None)}
    assert advice[Operation.VACUUM] is Level.SOON
    assert advice[Operation.ANALYZE] is Level.SOON


def test_the_sample_is_always_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_database, "EVENTS", 10_000)
    for name in ("one.db", "again.db"):
        build_demo_database(tmp_path / name)
    assert content(tmp_path / "again.db") == content(tmp_path / "one.db")


def test_it_tells_how_far_it_is_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_database, "EVENTS", 50_000)
    fractions: list[float] = []
    build_demo_database(tmp_path / "demo.db", fractions.append)
    assert fractions[0] == 0
    assert 0.9 < fractions[-1] < 1
    assert all(0 <= later - before < 0.04 for before, later in pairwise(fractions))


@pytest.mark.long
async def test_all_operations_complete_on_the_sample_and_it_shrinks(demo: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(demo, tmp_path))
    before, size = content(path), path.stat().st_size
    target = resolve(str(path))
    await target.preflight(lock_timeout=1)
    async with target.connect(lock_timeout=1) as session:
        for operation in SHOWN:
            planned = await session.plan(operation, Options())
            for step in planned.plan.steps:
                assert (await planned.execute(step, StepContext())).status is Status.COMPLETED
    assert SHOWN[0] is Operation.VACUUM
    assert path.stat().st_size < 0.7 * size
    assert content(path) == before
    assert files_beside(path) == {"demo.db"}


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious.db"
    path.write_text("precious")
    with pytest.raises(UsageError, match="a file already"):
        build_demo_database(path)
    assert path.read_text() == "precious"


def test_a_place_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=os.strerror(errno.ENOENT)):
        build_demo_database(tmp_path / "nowhere" / "demo.db")
    assert list(tmp_path.iterdir()) == []


def test_where_it_has_no_room_that_is_a_sentence_and_nothing_is_left(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from engine.inspection.demo_database import SHOWN, build_demo_database\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "try: build_demo_database(Path(sys.argv[1]))\n"
        "except Exception as error: sys.exit(f'{type(error).__name__}: {error}')"
    )
    path = tmp_path / "demo.db"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert ran.stderr.startswith(f"UsageError: {path}: the sample ")
    assert not path.exists()
