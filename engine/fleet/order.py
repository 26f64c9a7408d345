"""In which order many targets are worked on. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from engine.domain.batches import Order
from engine.domain.surveys import FleetLevel, LastJob, Survey

_T = TypeVar("_T")


def in_order(
    targets: Sequence[tuple[str, _T]],
    order: Order,
    surveys: Mapping[str, Survey],
    last_jobs: Mapping[str, LastJob | None],
) -> Sequence[_T]:
    """The targets in order, by canonical URL. Unknown targets come last, in their own order.

    By urgency, those that cannot be reached follow them: they keep no other waiting.
    """

    def place(url: str) -> tuple[bool, tuple[int, ...]]:
        if order is Order.OLDEST:
            job = last_jobs.get(url)
            return False, (job.turn if job else 0,)
        survey = surveys.get(url)
        if survey is None or (order is not Order.URGENT and survey.size is None):
            return True, ()
        if order is Order.URGENT:
            return survey.level is FleetLevel.UNREACHABLE, survey.urgency
        return False, ((survey.size or 0) * (1 if order is Order.SMALLEST else -1),)

    return [one for _, one in sorted(targets, key=lambda target: place(target[0]))]
