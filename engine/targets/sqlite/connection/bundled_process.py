"""Runs statements with the SQLite that the package apsw brings, in a process of its own.

Two SQLite libraries in one process would drop each other's locks on a file. So this one is never imported by dbtend: a
`BundledConnection` starts it and sends lines of JSON: statements, after how many opcodes to report progress, null to
close; an empty line is an interrupt. When its input ends, the process that started it is gone, and it ends at once, as
if it were killed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

sys.path.append(sys.argv[1])  # the directory of the package: Python starts sooner if it looks for none
import apsw

_PAUSE = 0.02
"""Seconds between two reports of progress."""


def describe() -> None:
    say(version=apsw.sqlite_lib_version(), options=list(apsw.compile_options))


def serve(uri: str, timeout: float) -> None:
    try:
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)
    except apsw.Error as error:
        say(error=described(error))
        return
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.set_busy_timeout(round(timeout * 1000))
    ticks, told = 0, 0.0

    def tick() -> bool:
        nonlocal ticks, told
        ticks += 1
        if (now := time.monotonic()) - told > _PAUSE:
            say(ticks=ticks)
            ticks, told = 0, now
        return False

    orders: SimpleQueue[str | int | None] = SimpleQueue()
    threading.Thread(target=listen, args=(connection, orders), daemon=True).start()
    say(rows=[])
    while (order := orders.get()) is not None:
        if isinstance(order, int):
            connection.set_progress_handler(tick if order > 0 else None, order)
            continue
        answer: dict[str, Any]
        try:
            answer = {"rows": connection.execute(order).fetchall()}
        except apsw.Error as error:
            answer = {"error": described(error)}
        say(**answer, in_transaction=connection.in_transaction, ticks=ticks)
        ticks = 0
    connection.close()
    say(rows=[])
    os._exit(0)  # at once: what Python would tidy up ends with the process


def listen(connection: apsw.Connection, orders: SimpleQueue[str | int | None]) -> None:
    for line in sys.stdin:
        if line == "\n":
            connection.interrupt()
        else:
            orders.put(json.loads(line))
    os._exit(1)


def described(error: apsw.Error) -> tuple[int, str, str]:
    """Its code, the name of that, and its text."""
    code = int(getattr(error, "extendedresult", apsw.SQLITE_MISUSE))
    names = apsw.mapping_extended_result_codes if code > 0xFF else apsw.mapping_result_codes
    return code, str(names.get(code, "")), str(error)


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        describe()
    else:
        serve(sys.argv[2], float(sys.argv[3]))
