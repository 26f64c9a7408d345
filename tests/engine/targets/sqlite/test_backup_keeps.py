"""What a backup keeps of its database besides the rows: its settings, and who may read it."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from tests.engine.targets.sqlite.a_session import plan, run, statuses
from tests.sqlite_files import files_beside, integrity, make_database

KEPT: Final = ("journal_mode", "page_size", "auto_vacuum", "application_id", "user_version", "encoding")


def settings_of(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as db:
        return {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in KEPT}


def rows_of(path: Path) -> list[Any]:
    """The schema word by word, and all rows with their rowids."""
    with closing(sqlite3.connect(path)) as db:
        schema = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()
        return [schema, *(db.execute(f"SELECT rowid, * FROM {name}").fetchall() for name in ("t", "sqlite_sequence"))]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("auto_vacuum", [0, 1, 2])
@pytest.mark.parametrize(("page_size", "encoding"), [(512, "UTF-8"), (8192, "UTF-16le"), (65536, "UTF-16be")])
async def test_a_backup_keeps_every_setting_and_every_rowid(
    tmp_path: Path, journal_mode: str, auto_vacuum: int, page_size: int, encoding: str
) -> None:
    path, copy = tmp_path / "sales.db", tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"""
            PRAGMA page_size = {page_size}; PRAGMA encoding = '{encoding}'; PRAGMA auto_vacuum = {auto_vacuum};
            PRAGMA journal_mode = {journal_mode}; PRAGMA application_id = -559038737; PRAGMA user_version = -42;
            CREATE  TABLE t(a, -- a comment
                b DEFAULT 'x') ; CREATE TABLE s(id INTEGER PRIMARY KEY AUTOINCREMENT);
            INSERT INTO s VALUES (77); DELETE FROM s; CREATE VIEW v AS SELECT rowid FROM t;
            INSERT INTO t(a) VALUES (1), (2), (3), ('ü'); DELETE FROM t WHERE a = 2; ANALYZE;
        """)
    before = settings_of(path)
    assert statuses(await run(path, Operation.BACKUP, backup_to=str(copy))) == {Status.COMPLETED}
    assert files_beside(copy) == {"copy.db"}
    assert settings_of(copy) == before
    assert (rows_of(copy), integrity(copy)) == (rows_of(path), [])


async def test_the_plan_and_the_effect_say_that_the_journal_mode_is_kept(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode="wal")
    _, check = (await plan(path, Operation.BACKUP, backup_to=str(tmp_path / "copy.db"))).steps
    assert check.command == "PRAGMA main.quick_check; PRAGMA main.journal_mode = WAL"
    assert check.reason == "checks the copy, sets its journal mode to wal, and names it copy.db"
    results = await run(path, Operation.BACKUP, backup_to=str(tmp_path / "copy.db"))
    effect = results[check.command].effect
    assert effect is not None
    assert effect["backup_journal_mode"] == "wal"


def an_access_list(*entries: tuple[int, int, int]) -> bytes:
    """As the kernel has it: (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, may, who) for tag, may, who in entries)


NOBODY_IN_PARTICULAR: Final = 0xFFFFFFFF
# The owner, user 12, the group, the mask, others: the group may nothing, although the mode says that it may read.
ACCESS: Final = an_access_list(
    (0x01, 6, NOBODY_IN_PARTICULAR),
    (0x02, 4, 12),
    (0x04, 0, NOBODY_IN_PARTICULAR),
    (0x10, 4, NOBODY_IN_PARTICULAR),
    (0x20, 0, NOBODY_IN_PARTICULAR),
)
BY_DEFAULT: Final = an_access_list(
    (0x01, 7, NOBODY_IN_PARTICULAR),
    (0x02, 7, 13),
    (0x04, 7, NOBODY_IN_PARTICULAR),
    (0x10, 7, NOBODY_IN_PARTICULAR),
    (0x20, 0, NOBODY_IN_PARTICULAR),
)


def attribute(path: Path, name: str, value: bytes | None = None) -> bytes | None:
    try:
        if value is not None:
            os.setxattr(path, name, value)
        return os.getxattr(path, name)
    except OSError as error:
        if value is not None:
            pytest.skip(f"this file system has no {name} ({error.strerror})")
        return None


async def test_a_backup_keeps_the_access_list_and_the_attributes(tmp_path: Path) -> None:
    path, copy = make_database(tmp_path / "sales.db", rows=20), tmp_path / "copy.db"
    path.chmod(0o640)
    attribute(path, "user.note", b"ours")
    attribute(path, "system.posix_acl_access", ACCESS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    await run(path, Operation.BACKUP, backup_to=str(copy))
    assert attribute(copy, "system.posix_acl_access") == ACCESS
    assert (stat.S_IMODE(copy.stat().st_mode), attribute(copy, "user.note")) == (0o640, b"ours")


async def test_what_a_directory_gives_by_default_lets_nobody_else_read_the_copy(tmp_path: Path) -> None:
    path, place = make_database(tmp_path / "sales.db", rows=20), tmp_path / "copies"
    place.mkdir()
    path.chmod(0o660)
    attribute(place, "system.posix_acl_default", BY_DEFAULT)
    place.chmod(0o700)  # which leaves the default as it is
    await run(path, Operation.BACKUP, backup_to=str(place / "copy.db"))
    assert attribute(place / "copy.db", "system.posix_acl_access") is None
    assert stat.S_IMODE((place / "copy.db").stat().st_mode) == 0o660
