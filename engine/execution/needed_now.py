"""What of a request is needed when it begins: of a target that who submitted it could not look at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.advice import FORCE_CHOOSES_NOTHING, blocking_check, needed
from engine.domain.claims import Claim, Outcome
from engine.domain.errors import StoreError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.domain.thresholds import Thresholds
from engine.inspection import inspector, with_history

if TYPE_CHECKING:
    from engine.store.protocol import Store
    from engine.targets.protocol import Session


class NeededNow:
    """Asks for the advice on a target, as `dbtend run --needed` does for targets that it can inspect."""

    def __init__(self, store: Store, clock: Callable[[], Micros]) -> None:
        self._store, self._clock = store, clock

    async def options_or_end(
        self, claim: Claim, options: Options, limits: Thresholds, session: Session
    ) -> Options | Outcome:
        """How the operation is carried out; or how it ends, if it is not needed.

        Raises TargetError, StoreError.
        """
        if options.verify and claim.operation == Operation.CHECK:
            return options
        (parent,) = await self._store.jobs([claim.job.parent])
        past = await with_history.past_of(self._store, parent.target, self._clock())
        advice, measured = await session.advise(past, budget=inspector.BUDGET, limits=limits)
        if measured is not None:
            with suppress(StoreError):  # then the next one measures again
                await self._store.save_measurement(parent.target, measured)
        request = replace(parent.request, options=options)
        narrowed = needed(request, advice)
        if narrowed is not None and claim.operation in narrowed.operations:
            # A check covers what it was asked for, as the history takes it for that.
            is_check = claim.operation == Operation.CHECK
            return replace(narrowed.options, objects=options.objects) if is_check else narrowed.options
        if narrowed is None and (check := blocking_check(request, advice)) is not None:
            text = f"what a check found must be put right first: {check.reason}"
            text += f". {FORCE_CHOOSES_NOTHING}" if options.force else ""
            return Outcome(status=Status.FAILED, reason=Reason.REFUSED, error=text)
        why = next((item.reason for item in advice if item.operation == claim.operation), None)
        return Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED, error=why)
