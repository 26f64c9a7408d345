"""Ending a child by killing the process that runs it: what that comes to, and when it must not be done."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from engine.domain.errors import UsageError
from engine.domain.events import WorkerProcess
from engine.domain.frozen import frozen
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.store.protocol import JobReader, OwnerSupervision
from engine.store.sqlite.cancel_and_rescue import no_such_job


class KillableJobs(JobReader, OwnerSupervision, Protocol):
    """Jobs, and the means to kill the processes that run them."""


@frozen(kw_only=True)
class ForceCancel:
    """What it comes to, to end a child by force."""

    job: JobId
    """The child that runs."""
    operation: Operation
    target: str
    pid: int
    """The process on this host that is killed."""
    owner: str
    is_replaced: bool
    """Whether it is one of a pool, or takes on every job as those do: then another process takes its place."""
    recovering: bool = False
    """It is the look at the database after a process died: nobody takes that up again."""
    others: tuple[JobId, ...] = ()
    """What else it runs: that is taken over, as where a process dies."""


async def look(store: KillableJobs, asked: JobId) -> ForceCancel:
    """What it would come to, to end what runs of `asked` now. Raises JobNotFoundError, UsageError."""
    found = force_cancel(
        await store.job(asked.parent), asked, await store.workers(), host=socket.gethostname(), own_pid=os.getpid()
    )
    try:
        with suppress(ProcessLookupError):
            os.kill(found.pid, 0)
    except PermissionError:
        why = f"is run by process {found.pid}, which is somebody else's"
        raise UsageError(f"job {found.job}", why, "ask its owner to end it") from None
    return found


async def end(store: KillableJobs, asked: JobId, reason: Reason) -> None:
    """Ask `asked` to stop, and kill the process that runs it, unless the child has ended meanwhile.

    Raises as `look` does.
    """
    found = await look(store, asked)
    if await store.request_force(asked, found.job, found.owner, reason):
        await store.kill_owner(found.job, found.owner, found.pid)


def force_cancel(
    parent: ParentJob, asked: JobId, processes: Iterable[WorkerProcess], *, host: str, own_pid: int
) -> ForceCancel:
    """Decide it, for somebody in process `own_pid` on `host`. Raises JobNotFoundError, UsageError."""
    child = _running_child(parent, asked)
    process = next((process for process in processes if child.id in process.running and process.alive), None)
    if process is None:
        raise UsageError(f"job {child.id}", "has lost its process already", "a worker process looks after it")
    if process.host != host:
        raise UsageError(
            f"job {child.id}", f"runs on {process.host}, not here", f"end it from a shell on {process.host}"
        )
    if process.pid == own_pid:
        raise UsageError(f"job {child.id}", "is run by this very process", "end it from another one")
    return ForceCancel(
        job=child.id,
        operation=child.operation,
        target=parent.target,
        pid=process.pid,
        owner=process.id,
        is_replaced=process.serves_all or process.pool is not None,
        recovering=child.recovering,
        others=tuple(sorted(job for job in process.running if job != child.id)),
    )


def _running_child(parent: ParentJob, asked: JobId) -> ChildJob:
    meant = [child for child in parent.children if asked.ordinal in {None, child.ordinal}]
    if not meant:
        raise no_such_job(asked)
    running = [child for child in meant if child.status is Status.RUNNING]
    if len(running) > 1:
        raise UsageError(f"job {asked}", "has several operations that run", f"name one, such as {running[0].id}")
    if running:
        return running[0]
    if all(child.status.is_final for child in meant):
        raise UsageError(f"job {asked}", "is over", "there is nothing to end")
    raise UsageError(f"job {asked}", "does not run", "cancel it without force: that ends it at once")
