"""Which jobs a worker process takes, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from engine import WorkerProcess
from tui.presentation.text import counted, plain

SEE_LOG: Final = "the log of that worker says why the others do not start"


def takes(process: WorkerProcess, *, every: str = "every job", own: str = "its own") -> str:
    """`any, host:db1`: its queues in a shared store; the words given in an embedded one."""
    if not process.serves_all:
        return own
    return ", ".join(process.queues) or every


def reduced_pools(processes: Iterable[WorkerProcess]) -> Iterator[str]:
    """`db1: 1 of 2 processes of pool 4711 is up`, for each pool in which some do not start."""
    up = Counter(
        (process.host, process.pool, process.pool_size)
        for process in processes
        if process.alive and process.serves_all and process.pool_size
    )
    for (host, pool, size), number in sorted(up.items()):
        if size is not None and number < size:
            they = "is" if number == 1 else "are"
            yield f"{plain(host)}: {number:,} of {size:,} processes of pool {pool} {they} up"


def format_unserved(queue: str, jobs: int) -> str:
    """`2 jobs wait, and no worker serves queue host:db2`."""
    return f"{counted(jobs, 'job')} {'waits' if jobs == 1 else 'wait'}, and no worker serves queue {plain(queue)}"


def serving(queue: str, drained: Collection[str]) -> str:
    """What to do so that a worker serves a queue; `drained`: the hosts whose workers take no jobs."""
    host = queue.removeprefix("host:")
    if host in drained:
        return f"dbtend worker --undrain {plain(host)} lets it take jobs again"
    if host == queue:
        return f"dbtend worker --queue {plain(queue)} serves it"
    return f"start dbtend worker on {plain(host)}"
