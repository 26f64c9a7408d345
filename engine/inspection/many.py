"""The same done to many targets: several at once, few on one server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from engine.domain.errors import TargetError
from engine.targets import resolve
from engine.targets.host_queue import open_each

_T = TypeVar("_T")


async def for_each(targets: Sequence[str], do: Callable[[str], Awaitable[_T]]) -> list[_T | TargetError]:
    """The results of `do` for each target, in order, or the error that it raised. Raises UsageError.

    A server that does not answer is not asked for its other databases.
    """
    return await open_each([resolve(target) for target in targets], lambda place: do(targets[place]))
