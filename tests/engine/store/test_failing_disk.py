"""On a disk that fails or is full, a write that failed is not in the store, and a write in the store did not fail."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.sqlite.store import SqliteStore
from tests.engine.processes import python
from tests.engine.store import full_disks
from tests.engine.targets.sqlite.small_disks import ROOT, can_mount, in_a_world_of_its_own
from tests.failing_disk import can_fail

SUBMITS_WHEN_SYNCS_FAIL = """
    from engine.domain.errors import StoreError
    from engine.domain.requests import OnDuplicate
    from engine.store.sqlite.store import SqliteStore
    from tests.building import new_job
    from tests.failing_disk import let_syncs_fail

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store:
            await store.submit([new_job("first")], OnDuplicate.REFUSE)
            let_syncs_fail()
            for name in sys.argv[2:]:
                try:
                    await store.submit([new_job(name)], OnDuplicate.REFUSE)
                    print("submitted", flush=True)
                except StoreError as error:
                    print(error, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""

needs_own_disks = pytest.mark.skipif(not can_mount(), reason="a process may have no file systems of its own here")


@pytest.mark.skipif(not can_fail(), reason="a process cannot have its own calls fail here")
async def test_a_commit_that_could_not_be_synced_never_comes_back(tmp_path: Path) -> None:
    """All of it is in the log by then: it would count as soon as somebody reads the log anew."""
    store_path = tmp_path / "jobs.db"
    with python(SUBMITS_WHEN_SYNCS_FAIL, store_path, "second", "third") as process:
        said = [await process.says(), await process.says()]
        await process.ended()
    assert all("disk I/O error: nothing" in line for line in said)
    async with SqliteStore.open(store_path) as store:
        assert await store.count() == 1


@needs_own_disks
def test_on_a_disk_that_is_full_at_any_write_a_submit_is_told_as_it_is(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    program = [sys.executable, "-m", full_disks.__name__, str(disk), "20"]
    script = (
        f"mount -t tmpfs -o size=4M none {shlex.quote(str(disk))} && cd {shlex.quote(str(ROOT))}"
        f" && exec {shlex.join(program)}"
    )
    done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tried = [full_disks.Tried(**row) for row in json.loads(done.stdout)]
    assert {trial.told for trial in tried} == {True, False}
    assert [trial for trial in tried if trial.told != trial.is_there] == []
    assert all(
        "nothing was submitted" in trial.said or "disk is full" in trial.said for trial in tried if not trial.told
    )
