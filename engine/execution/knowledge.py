"""What an attempt may ask about its target and about other jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.domain.advice import FORCE_CHOOSES_NOTHING, TargetHistory, blocking_check, needed
from engine.domain.claims import Claim, Outcome
from engine.domain.errors import NotAvailableError, StoreError, TargetError, UsageError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FILE, Facts, Micros, WaitsFor
from engine.domain.turns import NO_TURNS, Turns
from engine.execution.allowed import Lending
from engine.history.maintained_files import maintained_files
from engine.history.stale_journal import refuse_stale_journal
from engine.history.target_history import estimated, turns_of, with_damage
from engine.inspection import inspector, with_history
from engine.targets import resolve

if TYPE_CHECKING:
    from engine.domain.damage import Damage
    from engine.domain.jobs import ParentJob
    from engine.domain.thresholds import Thresholds
    from engine.store.protocol import Store
    from engine.targets.plans import OperationPlan
    from engine.targets.session import Session
    from engine.targets.target import Target


class Knowledge:
    """Answers as where nothing is known but the claim itself: the base of those that ask a store."""

    store = ""
    """Marks the connections of a store on a server."""

    async def past(self, claim: Claim, options: Options) -> TargetHistory | None:
        """The history of the target of a claim, with the damage on record; None if it is not known."""
        past = TargetHistory(now=claim.started_at, jobs=()) if claim.is_first else await self.history(claim.target)
        if claim.damage and (claim.is_first or past is None):
            past = with_damage(past or TargetHistory(now=claim.started_at), claim.damage)
        if past is None or options.keep is None:
            return past
        return replace(past, maintained_files=await self.maintained_files())

    async def damage(self, claim: Claim, target: Target) -> tuple[Damage, ...]:
        """The damage on record of a target that is open, by each of its names."""
        return claim.damage

    async def history(self, target: str) -> TargetHistory | None:
        """The history of a target; None if it is not known."""
        return None

    async def turns(self, target: str) -> Turns:
        """Which objects of a target come first."""
        return NO_TURNS

    async def estimated(
        self, claim: Claim, plan: OperationPlan, options: Options, before: Facts, known: Sequence[ParentJob] | None
    ) -> OperationPlan:
        """The plan with estimates. `before`: the facts of its database. `known`: as `TargetHistory.jobs`."""
        return plan

    async def maintained_files(self) -> frozenset[str] | None:
        """The paths of all files that are now targets of the config file or of an open job; None if unknown."""
        return None

    async def others_work(self, claim: Claim) -> bool:
        """Whether another job works on the server of a claim now: its connections are free when it ends.

        So it is if that cannot be read. One that waits for the server itself has no connection, and does not count.
        """
        return False

    async def is_of_person(self, claim: Claim) -> bool:
        """Whether a person submitted this very job: no retry and no schedule did."""
        return False

    async def earlier_file(self, claim: Claim) -> str:
        """The key of the file that the operations before this one in its job worked on; "" for none, and unknown."""
        return ""

    async def is_named_check(self, claim: Claim) -> bool:
        """Whether it is a check that stands between the two checks of `verify`."""
        return False

    async def needed_now(
        self, claim: Claim, options: Options, limits: Thresholds, session: Session
    ) -> Options | Outcome:
        """How an operation is carried out; or how it ends, if it is not needed. Raises TargetError, StoreError."""
        return options

    async def check_journal(self, target: str) -> None:
        """Raises TargetError if the journal beside a target is of another file."""

    async def require_owned(self, claim: Claim) -> None:
        """Raises OwnershipLostError if a claim no longer owns its child."""

    async def refusal(self, claim: Claim, target: Target) -> str:
        """Why this process does not carry out a claim on a target; "" if it does."""
        return ""


class StoreKnowledge(Knowledge):
    """Asks the store, and the config file. Without an answer of the store an operation goes on as the base says."""

    def __init__(
        self,
        store: Store,
        fingerprint: str,
        *,
        config: Path | None,
        clock: Callable[[], Micros],
        before_start: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
    ) -> None:
        """
        Args:
            fingerprint: that of the store.
            before_start: asks the store what a child cannot begin without, until it answers.
        """
        self._store, self.store = store, fingerprint
        self._config = config
        self._clock = clock
        self._before_start = before_start
        self._lending = Lending(config)

    async def damage(self, claim: Claim, target: Target) -> tuple[Damage, ...]:
        with suppress(StoreError, TargetError):  # then only the damage on record by its URL counts
            return tuple(await self._store.name_database(claim.target, await target.identify_for_damage()))
        return claim.damage

    async def history(self, target: str) -> TargetHistory | None:
        with suppress(StoreError):
            return await with_history.past_of_file(self._store, target, self._clock())
        return None

    async def turns(self, target: str) -> Turns:
        with suppress(StoreError):
            return await turns_of(self._store, target)
        return NO_TURNS

    async def estimated(
        self, claim: Claim, plan: OperationPlan, options: Options, before: Facts, known: Sequence[ParentJob] | None
    ) -> OperationPlan:
        with suppress(StoreError):
            return await estimated(self._store, claim.target, plan, options, before, known)
        return plan

    async def maintained_files(self) -> frozenset[str] | None:
        return await maintained_files(self._store, self._config)

    async def others_work(self, claim: Claim) -> bool:
        try:
            jobs = await self._store.open_jobs()
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

    async def is_of_person(self, claim: Claim) -> bool:
        with suppress(StoreError):
            parent = await self._store.job(claim.job.parent)
            return parent.retry_of is None and parent.schedule is None
        return False

    async def earlier_file(self, claim: Claim) -> str:
        if claim.job.ordinal == 1:
            return ""
        with suppress(StoreError):
            (parent,) = await self._store.jobs([claim.job.parent])
            earlier = [facts for child in parent.children for facts in (child.before, child.after) if facts]
            return next((str(facts[FILE]) for facts in reversed(earlier) if FILE in facts), "")
        return ""

    async def is_named_check(self, claim: Claim) -> bool:
        with suppress(StoreError):
            request = (await self._store.job(claim.job.parent)).request
            return request.options.verify and not request.options_of((claim.job.ordinal or 1) - 1).verify
        return False

    async def needed_now(
        self, claim: Claim, options: Options, limits: Thresholds, session: Session
    ) -> Options | Outcome:
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

    async def check_journal(self, target: str) -> None:
        await self._before_start(partial(refuse_stale_journal, self._store, target))

    async def require_owned(self, claim: Claim) -> None:
        await self._store.require_owned(claim)

    async def refusal(self, claim: Claim, target: Target) -> str:
        return await self._lending.refusal(claim, target)


def _host_key(url: str) -> str | None:
    with suppress(UsageError, NotAvailableError):
        return resolve(url).host_key
    return None
