"""A process killed at any moment while it compacts a DuckDB file: one whole file, and the next attempt ends right."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from engine import Engine, OnDuplicate, Operation, Request, Status
from engine.targets import resolve
from tests.duckdb_files import content, make_duckdb
from tests.engine.processes import python

if TYPE_CHECKING:
    from pathlib import Path

MOMENTS = {
    "before the copy": "copying.make_compact",
    "during the copy": "copying.copy_triggers",
    "while it is compared": "copying.difference",
    "once it is compared": "copying.put_in_place",
    "before the rename": "copying.open_as",
    "after the rename": "copying._sync",
    "during the cleanup": "copying._remove",
}
DIES = """
    import signal
    from engine import Engine, Operation, Options, Request
    from engine.targets.duckdb import copying

    def killed(*_):
        for directory in Path(sys.argv[3]).parent.glob("*.unfinished"):
            (spilled := directory / "copy.tmp").mkdir()  # as DuckDB does once it has no memory left
            (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        async with Engine.open(Path(sys.argv[2]), workers=1) as engine:
            request = Request(target=sys.argv[3], operations=(Operation(sys.argv[4]),))
            (job,) = await engine.submit([request])
            await engine.wait([job.id])

    setattr(copying, sys.argv[1].removeprefix("copying."), killed)
    asyncio.run(main())
"""


async def killed(function: str, store_path: Path, file: Path, operation: Operation) -> None:
    with python(DIES, function, store_path, file, operation) as process:
        assert await process.ended() == -signal.SIGKILL


@pytest.mark.parametrize("moment", MOMENTS)
async def test_r10_a_compact_that_is_killed_leaves_one_whole_file_and_its_job_completes(
    tmp_path: Path, store_path: Path, moment: str
) -> None:
    file = make_duckdb(tmp_path / "shop.duckdb", is_bloated=True)
    before, old = content(file), file.stat()
    await killed(MOMENTS[moment], store_path, file, Operation.COMPACT)
    assert content(file) == before
    is_exchanged = file.stat().st_ino != old.st_ino
    assert is_exchanged is (moment in {"after the rename", "during the cleanup"})
    new = file.stat().st_ino if is_exchanged else 0
    request = Request(target=str(file), operations=(Operation.COMPACT,))
    async with Engine.open(store_path, workers=1) as engine:
        (job,) = await engine.submit([request], on_duplicate=OnDuplicate.MERGE)
        assert (job.id, await engine.count()) == (1, 1)
        (job,) = await engine.wait([1])
    (child,) = job.children
    assert (child.status, child.error, child.attempt) == (Status.COMPLETED, None, 2)
    assert child.warnings == (
        ("the process that ran it died once the copy had replaced the file",) if is_exchanged else ()
    )
    assert not is_exchanged or file.stat().st_ino == new
    assert (child.before or {})["size"] == old.st_size
    assert (child.after or {})["size"] == file.stat().st_size < old.st_size
    assert (child.after or {})["file"] == await resolve(str(file)).identify()
    assert content(file) == before
    assert [*tmp_path.glob("shop*")] == [file]


@pytest.mark.parametrize("function", ["copying.make_identical", "copying.difference", "copying.give_name"])
async def test_a_backup_that_is_killed_leaves_nothing_behind(tmp_path: Path, store_path: Path, function: str) -> None:
    file = make_duckdb(tmp_path / "shop.duckdb")
    before = content(file)
    await killed(function, store_path, file, Operation.BACKUP)
    async with Engine.open(store_path, workers=1) as engine:
        (job,) = await engine.wait([1])
    assert [child.status for child in job.children] == [Status.COMPLETED]
    (backup,) = (path for path in tmp_path.glob("shop*") if path != file)
    assert content(backup) == before
