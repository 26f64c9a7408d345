"""The doctor's word on estimates: how far they were from what happened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from engine.domain.errors import StoreError
from engine.domain.humanize import counted
from engine.domain.lazy_import import lazy
from tui.commands.naming import name_of
from tui.commands.settings import Settings
from tui.presentation.health_check import Check, Level
from tui.presentation.text import plain, precise_duration

if TYPE_CHECKING:
    from engine.domain import estimate_errors
    from engine.domain.estimate_errors import EstimateError, OperationError
else:
    estimate_errors = lazy("engine.domain.estimate_errors", "only the doctor needs it")
_FIX: Final = "if a window leaves it out that would fit: --no-fit; if it does not end in its window: give it more time"


async def estimates(settings: Settings, targets: Collection[str] | None = None) -> list[Check]:
    """By operation; of these canonical URLs, if given, by operation and target. Nothing of too few runs, or where the
    store cannot be read, which another check says."""
    try:
        async with settings.engine() as engine:
            errors = await engine.estimate_errors()
    except StoreError:
        return []
    if targets is not None:
        return [_of_target(error) for error in errors if error.target in targets and estimate_errors.is_known(error)]
    found = estimate_errors.errors_by_operation(errors)
    return [_of_operation(one) for one in found if estimate_errors.is_known(one)]


def _of_target(one: EstimateError) -> Check:
    what = f"{one.operation} of {plain(name_of(one.target))}"
    found = f"{what}: {_error(one.error, one.seconds)} in {counted(one.runs, 'run')}"
    return _check(one, found, {"target": one.target})


def _of_operation(one: OperationError) -> Check:
    where = f"{counted(one.runs, 'run')} on {counted(one.targets, 'target')}"
    worst = ""
    if one.worst is not None:
        size, name = error_size(one.worst.error, one.worst.seconds), plain(name_of(one.worst.target))
        worst = f"; {size} in {counted(one.worst.runs, 'run')} on {name}"
    found = f"{one.operation}: {_error(one.error, one.seconds)} in {where}{worst}"
    return _check(one, found, {"targets": one.targets})


def _check(one: EstimateError | OperationError, found: str, facts: Mapping[str, str | int]) -> Check:
    facts_of_all = {**_facts(one), **facts}
    if estimate_errors.is_misleading(one):
        return Check(Level.WARN, "estimates", found, _FIX, facts=facts_of_all)
    return Check(Level.OK, "estimates", found, facts=facts_of_all)


def _error(share: float, seconds: float) -> str:
    return f"median error {error_size(share, seconds)}"


def error_size(share: float, seconds: float) -> str:
    """`2:05 (80%)`: in seconds, and as a share of the work, unless that is large only because the work is short."""
    is_short = seconds < estimate_errors.MISLEADING_SECONDS and share > estimate_errors.MISLEADING_SHARE
    return precise_duration(seconds) + ("" if is_short else f" ({share:.0%})")


def _facts(one: EstimateError | OperationError) -> dict[str, str | int | float]:
    return {
        "operation": one.operation.value,
        "runs": one.runs,
        "median_error": one.error,
        "median_error_seconds": one.seconds,
    }
