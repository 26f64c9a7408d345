"""A second process that uses a database, as applications do: SQLite's locks mean nothing within one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
for sql in sys.argv[2:]:
    try:
        cursor = connection.execute(sql)
        cursor.fetchone()
    except sqlite3.OperationalError as error:
        print(error, file=sys.stderr)
print("ready", flush=True)
sys.stdin.read()
"""
# To be killed in the middle of a transaction, of which a part is in the file, or in the log, already.
BEGINS_TO_WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("UPDATE item SET note = hex(zeroblob(3000))")
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(path: Path, *statements: str, program: str = _PROGRAM) -> Iterator[int]:
    """The id of a process that has executed `statements`, of which the last is still open, and does nothing more.

    What was BUSY has been tried.
    """
    with subprocess.Popen(
        # Without what is installed, which takes half of its start.
        [sys.executable, "-S", "-c", program, path, *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.close()
