"""Targets of a shared store that this host cannot look at, and others can."""

from __future__ import annotations

from engine.domain.errors import TargetDamagedError, TargetError, TargetUnavailableError
from engine.domain.requests import Request
from engine.targets import resolve


def is_elsewhere(request: Request) -> bool:
    """Whether it is a file of another host."""
    return resolve(request.target).elsewhere is not None


def may_be_reached_elsewhere(request: Request, error: TargetError) -> bool:
    """Whether the workers of its queue may reach what cannot be reached from here."""
    is_reached = isinstance(error, TargetDamagedError) or not isinstance(error, TargetUnavailableError)
    return request.options.server.queue is not None and not is_reached
