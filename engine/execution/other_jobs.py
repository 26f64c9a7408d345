"""Whether other jobs work on a server: its connections that they have are free when they end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from engine.domain.errors import NotAvailableError, StoreError, UsageError
from engine.domain.statuses import Status
from engine.domain.steps import WaitsFor
from engine.targets import resolve

if TYPE_CHECKING:
    from engine.domain.claims import Claim
    from engine.store.protocol import JobReader


async def others_work(store: JobReader, claim: Claim) -> bool:
    """Whether another job of this store works on the server of a child now, or that cannot be read.

    One that waits for the server itself does not count: it has no connection.
    """
    try:
        jobs = await store.open_jobs()
    except StoreError:
        return True
    host = resolve(claim.target).host_key
    return any(
        child.status is Status.RUNNING
        and child.id != claim.job
        and child.progress.waits_for is not WaitsFor.SERVER
        and _host_key(job.request.target) == host
        for job in jobs
        for child in job.children
    )


def _host_key(url: str) -> str | None:
    with suppress(UsageError, NotAvailableError):
        return resolve(url).host_key
    return None
