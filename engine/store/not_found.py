"""The errors for a job or a batch that a store does not have."""

from __future__ import annotations

from engine.domain.errors import JobNotFoundError
from engine.domain.jobs import JobId


def no_such_batch(batch_id: int) -> JobNotFoundError:
    return JobNotFoundError(f"batch b{batch_id}", "there is no such batch", "list jobs with `dbtend history`")


def no_such_job(job: JobId) -> JobNotFoundError:
    return JobNotFoundError(f"job {job}", "there is no such job", "list them with `dbtend history`")
