"""SQLite's WAL-reset bug for real: a library that pauses between reading the header of the log and writing it back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[3]
SOURCES = "Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: {suite}\nComponents: main\n"
SOURCES += "Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp\n"
SUITES = {"affected": "trixie", "fixed": "sid"}
READS_THE_HEADER = re.compile(r"rc = walIndexReadHdr\(pWal, &isChanged\);\n(?=\s+if\( eMode2)")
PAUSES = """
      if( rc==SQLITE_OK && getenv("WAL_RESET_GATE") ){
        int i; char z[512];
        snprintf(z, sizeof(z), "%s.reached", getenv("WAL_RESET_GATE"));
        fclose(fopen(z, "w"));
        snprintf(z, sizeof(z), "%s.go", getenv("WAL_RESET_GATE"));
        for(i=0; i<20000 && access(z, F_OK); i++) usleep(1000);
      }
"""
OPTIONS = ["THREADSAFE=1", "ENABLE_FTS5", "ENABLE_DBSTAT_VTAB", "ENABLE_COLUMN_METADATA", "ENABLE_LOAD_EXTENSION"]
SECOND_CHECKPOINT = """
import ctypes, sqlite3, sys
from engine.system.wal_checkpoint import checkpoint, loses_commits
path, gate, mode, is_guarded = sys.argv[1:]
print(loses_commits(sqlite3.sqlite_version), flush=True)
db, reader = (sqlite3.connect(path, isolation_level=None, timeout=0.1) for _ in range(2))
db.execute("SELECT count(*) FROM t").fetchall()
ctypes.CDLL(None).setenv(b"WAL_RESET_GATE", gate.encode(), 1)
if is_guarded == "guarded":
    checkpoint(db, reader, mode)
else:
    db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
"""
APPLICATION = """
import os, pathlib, sqlite3, subprocess, sys
from tests.waiting import wait_until
from engine.system.wal_checkpoint import loses_commits
path, gate, library, *second = sys.argv[1:]
mode = second[-2]
print(loses_commits(sqlite3.sqlite_version), flush=True)

def insert(db, first, rows):
    for number in range(first, first + rows):
        db.execute("INSERT INTO t VALUES (?, zeroblob(3000))", (number,))

db = sqlite3.connect(path, isolation_level=None, timeout=0.1)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
db.execute("BEGIN")
insert(db, 0, 60)
db.execute("COMMIT")
busy, frames, written = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
assert (busy, frames) == (0, written)
if mode != "PASSIVE":  # then a checkpoint that should keep writers out goes on as PASSIVE
    db.execute("BEGIN IMMEDIATE")
process = subprocess.Popen(second, env={**os.environ, "LD_LIBRARY_PATH": library})
wait_until(lambda: pathlib.Path(gate + ".reached").exists() or process.poll() is not None)
assert process.poll() is None
if not db.in_transaction:
    db.execute("BEGIN IMMEDIATE")
insert(db, 100, 10)
db.execute("COMMIT")
pathlib.Path(gate + ".go").touch()
assert process.wait() == 0
insert(db, 200, 10)
db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
insert(db, 300, 1)
db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
db.close()
db = sqlite3.connect(path)
assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
assert db.execute("SELECT count(*) FROM t").fetchall() == [(81,)]
"""


def built(place: Path, suite: str) -> Path:
    """The directory of the SQLite of a release of Debian, with the pause."""
    if missing := [tool for tool in ("apt-get", "dpkg-source", "tclsh", "cc", "make") if shutil.which(tool) is None]:
        pytest.skip(f"cannot build SQLite without {', '.join(missing)}")
    (place / "src.sources").write_text(SOURCES.format(suite=suite))
    (place / "lists" / "partial").mkdir(parents=True)
    options = {
        "etc::sourcelist": place / "src.sources",
        "etc::sourceparts": "/dev/null",
        "state::lists": place / "lists",
    }
    apt = ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"Dir::{name}={value}"))]
    for command in ([*apt, "update"], [*apt, "source", "sqlite3"]):
        if subprocess.run(command, cwd=place, capture_output=True, check=False).returncode:
            pytest.skip("the source of SQLite cannot be had here")
    (source,) = (directory for directory in place.glob("sqlite3-*") if directory.is_dir())
    build = place / "build"
    build.mkdir()
    for command in ([str(source / "configure"), "--disable-tcl"], ["make", "sqlite3.c"]):
        subprocess.run(command, cwd=build, capture_output=True, check=True)
    text, number = READS_THE_HEADER.subn(lambda found: found[0] + PAUSES, (build / "sqlite3.c").read_text())
    if number != 1:
        pytest.skip("this version of SQLite reads the header in another place")
    headers = "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
    (build / "paused.c").write_text(headers + text)
    made = ["-shared", "-fPIC", "-D_GNU_SOURCE", *(f"-DSQLITE_{option}" for option in OPTIONS)]
    target = ["-Wl,-soname,libsqlite3.so.0", "-o", "libsqlite3.so.0", "paused.c", "-lm", "-lpthread", "-ldl"]
    subprocess.run(["cc", *made, *target], cwd=build, check=True)
    return build


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: built(tmp_path_factory.mktemp(name), suite) for name, suite in SUITES.items()}


def loses(libraries: dict[str, Path], place: Path, writer: str, checkpointer: str, mode: str, how: str) -> bool:
    """Whether a commit is lost. Each of the two is a process with its own library."""
    path, gate = place / "a.db", place / "gate"
    second = [sys.executable, "-c", SECOND_CHECKPOINT, path, gate, mode, how]
    done = subprocess.run(
        list(map(str, [sys.executable, "-c", APPLICATION, path, gate, libraries[checkpointer], *second])),
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries[writer]), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == [str(library == "affected") for library in (writer, checkpointer)], done.stderr
    is_lost = "malformed" in done.stderr or "AssertionError" in done.stderr
    assert is_lost == bool(done.returncode), done.stderr
    return is_lost


@pytest.mark.parametrize("how", ["alone", "guarded"])
@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "TRUNCATE"])
def test_r34_a_log_that_is_restarted_while_a_checkpoint_begins_loses_nothing(
    libraries: dict[str, Path], tmp_path: Path, mode: str, how: str
) -> None:
    assert loses(libraries, tmp_path, "affected", "affected", mode, how) == (how == "alone")


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "TRUNCATE"])
@pytest.mark.parametrize(
    ("writer", "checkpointer", "how", "is_lost"),
    [
        ("affected", "fixed", "alone", False),
        ("affected", "fixed", "guarded", False),
        ("fixed", "affected", "alone", True),
        ("fixed", "affected", "guarded", False),
    ],
)
def test_r34_of_two_libraries_that_of_the_checkpoint_decides(
    libraries: dict[str, Path], tmp_path: Path, writer: str, checkpointer: str, how: str, is_lost: bool, mode: str
) -> None:
    """So a fixed library in dbtend's process would save nothing that the guard does not save."""
    assert loses(libraries, tmp_path, writer, checkpointer, mode, how) == is_lost
