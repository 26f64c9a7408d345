"""Directories that others can change, and backups in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from benchmarks.attack import backups
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.sqlite.planning.steps import SqliteStep
from engine.targets.sqlite.system import copying, directories
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy, directory_for, remove_abandoned
from engine.targets.step_execution import StepContext
from tests.engine.targets.sqlite.a_session import plan, run, statuses
from tests.engine.targets.stepwise import stepwise
from tests.scratch import on_another_file_system
from tests.sqlite_files import content, files_beside, make_database

SOMEBODY = 65534
by_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts in directories of others")


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """A directory of somebody else, in one of ours."""
    tmp_path.chmod(0o755)
    directory = tmp_path / "owned" / "place"
    directory.mkdir(parents=True)
    for one in (directory.parent, directory):
        os.chown(one, SOMEBODY, SOMEBODY)
    return directory


@pytest.mark.parametrize(
    ("mode", "ours"), [(0o700, True), (0o755, True), (0o1777, True), (0o777, False), (0o775, False), (0o757, False)]
)
@by_root
def test_a_directory_that_others_can_write_to_is_not_ours(tmp_path: Path, mode: int, ours: bool) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    os.chown(tmp_path / "a", 0, SOMEBODY)
    (tmp_path / "a").chmod(mode)
    assert directories.is_ours(str(tmp_path / "a")) is ours
    assert directories.is_ours(str(tmp_path / "a" / "b")) is ours
    assert directories.workshop(str(tmp_path / "a")) == str(tmp_path / "a" if ours else tmp_path)


@by_root
def test_what_lies_in_a_directory_of_somebody_else_is_not_ours_and_his_links_are_not_followed(owned: Path) -> None:
    inside = owned / "inside"
    inside.mkdir()
    assert not directories.is_ours(str(inside))
    assert directories.workshop(str(inside)) == str(owned.parent.parent)
    (owned.parent / "link").symlink_to("/etc")
    with (
        pytest.raises(PermissionError, match="a symbolic link"),
        directories.opened(str(owned.parent / "link")),
    ):
        pass
    (owned.parent.parent / "ours").symlink_to("owned/place/../place/inside")
    with directories.opened(str(owned.parent.parent / "ours")) as found:
        assert os.path.samestat(os.fstat(found.descriptor), inside.stat())
        assert not found.is_ours
    (owned.parent.parent / "circle").symlink_to("circle")
    with pytest.raises(OSError, match=r"circle"), directories.opened(str(owned.parent.parent / "circle")):
        pass


@by_root
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_backup_for_a_directory_of_somebody_else_is_made_where_only_we_are(
    owned: Path, journal_mode: str
) -> None:
    path = make_database(owned / "sales.db", journal_mode=journal_mode)
    os.chown(path, SOMEBODY, 12)
    path.chmod(0o640)
    copy, check = (await plan(path, Operation.BACKUP)).steps
    assert isinstance(copy, SqliteStep)
    ours = owned.parent.parent
    assert Path(copy.unfinished).parent == ours
    assert copy.reason.endswith(f" {owned}")
    assert f", in {ours} " in copy.reason
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        await session.plan(Operation.BACKUP, Options())
        for step in (copy, check):
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
    made = Path(copy.destination)
    status = made.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (SOMEBODY, 12, 0o640)
    assert status.st_nlink == 1
    assert content(made) == content(path)
    assert files_beside(path) - {"sales.db-wal", "sales.db-shm"} == {"sales.db", made.name}
    assert [entry.name for entry in ours.iterdir()] == ["owned"]


@by_root
async def test_it_is_written_again_where_that_is_another_file_system(
    owned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_another_file_system(owned) as elsewhere:
        monkeypatch.setattr(directories, "workshop", lambda _: str(elsewhere))
        path = make_database(owned / "sales.db")
        path.chmod(0o604)
        copy = (await plan(path, Operation.BACKUP)).steps[0]
        assert isinstance(copy, SqliteStep)
        assert [need.directory for need in copy.needs] == [str(elsewhere), str(owned)]
        assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}
        assert content(Path(copy.destination)) == content(path)
        assert stat.S_IMODE(Path(copy.destination).stat().st_mode) == 0o604
        assert list(elsewhere.iterdir()) == []


@by_root
async def test_what_a_killed_attempt_left_there_is_removed(owned: Path) -> None:
    path = make_database(owned / "sales.db")
    copy = (await plan(path, Operation.BACKUP)).steps[0]
    assert isinstance(copy, SqliteStep)
    for place in (None, str(owned.parent.parent)):  # there, and as it was made before
        left = Path(directory_for(copy.destination, place))
        left.mkdir()
        (left / "copy").write_text("half of it")
    copying.remove_leftovers(str(path), None)
    assert files_beside(path) == {"sales.db"}
    assert [entry.name for entry in owned.parent.parent.iterdir()] == ["owned"]


@by_root
def test_nothing_is_removed_where_a_planted_link_leads_to(owned: Path) -> None:
    treasure = owned.parent.parent / "treasure"
    treasure.mkdir()
    for name in ("copy", "copy-journal"):
        (treasure / name).touch()
    (owned / "a.00000000.unfinished").symlink_to(treasure)
    (owned / "b.00000000.unfinished").mkdir()
    os.mkfifo(owned / "b.00000000.unfinished" / "lock")
    remove_abandoned(str(owned), "[ab]")
    assert sorted(entry.name for entry in treasure.iterdir()) == ["copy", "copy-journal"]
    assert [entry.name for entry in owned.iterdir()] == ["a.00000000.unfinished"]


@by_root
def test_no_copy_is_begun_where_others_could_put_another_in_its_place(owned: Path) -> None:
    with pytest.raises(PermissionError, match=f"others can change {owned}"):
        UnfinishedCopy.begin(directory_for(str(owned / "copy.db")))
    assert list(owned.iterdir()) == []


@by_root
@pytest.mark.parametrize("count", [8, pytest.param(40, marks=pytest.mark.long)])
def test_a_backup_by_root_gives_nothing_away_in_a_directory_whose_owner_changes_it_meanwhile(count: int) -> None:
    assert backups.attack(count, seed=7) == []


@by_root
def test_where_it_can_only_be_written_under_its_name_it_is_refused(
    owned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "workshop", lambda _: "/proc")  # on another file system
    destination = str(owned / "copy.db")
    assert copying.problem_with(destination) is None
    monkeypatch.setattr(copying, "_UNNAMED", os.O_RDWR)  # as where the system has no such files
    refused = f"others can change {owned}, and its file system has no unnamed files: give another --backup-to"
    assert copying.problem_with(destination) == refused
