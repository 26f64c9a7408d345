"""Batches: one request on many targets, with one parent job per target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Self

from engine.domain.errors import DbtendError
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import OPEN, JobOutcome
from engine.domain.jobs import JobId
from engine.domain.requests import Request
from engine.domain.steps import Micros


@frozen(kw_only=True)
class BatchOptions:
    """How the jobs of a batch depend on each other; None does not restrict."""

    max_failures: int | None = None
    """The number of failed jobs after which no further job begins."""
    canary: int | None = None
    """The number of jobs that run first; the others run only if all of these complete."""
    max_per_host: int | None = None
    """How many operations of batches with such a limit may run at once on one server."""


MAX_BATCH_NUMBER = 1_000_000
"""The largest value of each option."""
NO_BATCH_OPTIONS = BatchOptions()


class Order(StrEnum):
    """What decides which target comes first."""

    URGENT = "urgent"
    """The level of its survey, then the bytes to gain."""
    SMALLEST = "smallest"
    LARGEST = "largest"
    OLDEST = "oldest"
    """How long ago it had its turn: a job of it began, and its window left nothing of it."""


@frozen(kw_only=True)
class Batch:
    """The current state of a batch. Its jobs carry its id."""

    id: int
    options: BatchOptions
    created_at: Micros
    retry_of: int | None = None
    """The id of the batch that it repeats."""
    newest_job: int = 0
    """The id of its newest job. The ids of its jobs follow each other, also if it is submitted in portions."""
    unsubmitted: int = 0
    """How many of its jobs are not submitted yet, or never were: the process that submitted it has ended."""
    counts: Mapping[JobOutcome, int] = field(default_factory=dict)
    """How many of its jobs have each outcome; those that none has are left out."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_over(self) -> bool:
        """Whether all its jobs have ended."""
        return OPEN.isdisjoint(self.counts)

    @property
    def is_cancellable(self) -> bool:
        """Whether a job of it has not ended, or may still come."""
        return self.unsubmitted > 0 or not self.is_over


@frozen
class Retries:
    """The jobs that repeat jobs of a batch and are submitted already."""

    newest: Mapping[int, int] = field(default_factory=dict)
    """Of each job that was repeated the newest job that repeats it."""
    of_last: frozenset[int] = frozenset()
    """The jobs that the last retry of the batch has submitted again, if that ended, or is, before all were."""


@frozen(order=True)
class BatchId:
    """Names a batch, as `b17`."""

    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `b17`. Raises ValueError for anything else."""
        digits = text[1:]
        if text[:1] not in {"b", "B"} or not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            raise ValueError(f"{text!r} is not a batch id such as b17")
        return cls(int(digits))

    def __str__(self) -> str:
        return f"b{self.number}"


def parse_id(text: str) -> JobId | BatchId:
    """Read the id of a job, `42` or `42.2`, or of a batch, `b17`. Raises ValueError for anything else."""
    return BatchId.parse(text) if text[:1] in {"b", "B"} else JobId.parse(text)


@frozen
class FailedRequest:
    """A request of a batch that has failed before the submit."""

    request: Request
    error: DbtendError
    is_pattern: bool = False
    """Whether its target is a pattern whose databases cannot be listed, such as all of a server that is down."""
