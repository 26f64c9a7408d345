"""Which jobs a worker process takes, in words."""

from __future__ import annotations

from engine import WorkerProcess


def takes(process: WorkerProcess, *, every: str = "every job", own: str = "its own") -> str:
    """`any, host:db1`: its queues in a shared store; the words given in an embedded one."""
    if not process.serves_all:
        return own
    return ", ".join(process.queues) or every
