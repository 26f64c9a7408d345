"""Forced cancel: kill the process that runs a child; its effect, and when it is refused."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from engine.domain.errors import UsageError, no_such_job
from engine.domain.events import WorkerProcess, killer_role
from engine.domain.frozen import frozen
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.store.protocol import Store
from engine.system.host import host_name


@frozen(kw_only=True)
class ForceCancel:
    """The effect of a forced cancel."""

    job: JobId
    """The running child."""
    operation: Operation
    target: str
    pid: int
    """The process to kill."""
    owner: str
    is_replaced: bool
    """Whether another process takes its place: it belongs to a pool, or runs every job."""
    host: str | None = None
    """The other host that it runs on; None: this one."""
    pool: int | None = None
    """The process that started it."""
    recovering: bool = False
    """Whether the child recovers the database after a process died; a killed recovery is not repeated."""
    others: tuple[JobId, ...] = ()
    """The other children it runs: other processes take them over."""


async def preview(store: Store, asked: JobId) -> ForceCancel:
    """The effect of a forced cancel of `asked` now. Raises JobNotFoundError, UsageError."""
    found = plan_force_cancel(
        await store.job(asked.parent), asked, await store.workers(), host=host_name(), own_pid=os.getpid()
    )
    if found.host is not None:
        await _require_killer(store, found, found.host)
    else:
        _require_own(found)
    return found


async def _require_killer(store: Store, found: ForceCancel, host: str) -> None:
    if found.pool is None or not await store.role_is_held(killer_role(host, found.pool)):
        why = f"runs on {host}, where no process can be asked to kill it"
        raise UsageError(f"job {found.job}", why, f"cancel it from a shell on {host}")


def _require_own(found: ForceCancel) -> None:
    try:
        with suppress(ProcessLookupError):
            os.kill(found.pid, 0)
    except PermissionError:
        why = f"runs in process {found.pid} of another user"
        raise UsageError(f"job {found.job}", why, "ask that user to cancel it") from None


async def cancel_by_force(store: Store, asked: JobId, reason: Reason) -> None:
    """Ask `asked` to stop, and kill the process that runs it unless the child has ended by then.

    Raises as `preview` does, and StoreError where another host does not obey in time.
    """
    found = await preview(store, asked)
    if await store.request_force(asked, found.job, found.owner, reason):
        await store.kill_owner(found.job, found.owner, found.pid)


def plan_force_cancel(
    parent: ParentJob, asked: JobId, processes: Iterable[WorkerProcess], *, host: str, own_pid: int
) -> ForceCancel:
    """The effect of a forced cancel from process `own_pid` on `host`. Raises JobNotFoundError, UsageError."""
    child = _running_child(parent, asked)
    process = next((process for process in processes if child.id in process.running and process.alive), None)
    if process is None:
        raise UsageError(f"job {child.id}", "has already lost its process", "a worker process recovers it")
    if process.host == host and process.pid == own_pid:
        raise UsageError(f"job {child.id}", "is run by this very process", "end it from another one")
    return ForceCancel(
        job=child.id,
        operation=child.operation,
        target=parent.target,
        pid=process.pid,
        host=None if process.host == host else process.host,
        pool=process.pool,
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
        raise UsageError(f"job {asked}", "has ended", "nothing is left to cancel")
    raise UsageError(f"job {asked}", "does not run", "cancel it without force: that ends it at once")
