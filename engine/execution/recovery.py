"""Recovers the database of a child whose process died, where it does not run again: clean up, follow up, report.

So it is after the last attempt and a cancel, and where an exchange of the file was killed when its copy was in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.claims import Claim, Outcome
from engine.domain.damage import NO_CHANGE, Damage, DamageChange, DamageSource
from engine.domain.errors import TargetError, UsageError
from engine.domain.humanize import listed
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FILE, REPLACED_FILE, SIZE_BEFORE, Facts, LogLevel, Step
from engine.execution.damage_changes import after_crash
from engine.execution.preparation import known_damage_of
from engine.execution.step_runner import describe_missing_effect, run_step
from engine.history.target_history import damage_record
from engine.store.ending_texts import DIED_BEFORE_ITS_STOP, KILLED, format_worker_death
from engine.targets.step_execution import StepContext

if TYPE_CHECKING:
    from engine.domain.advice import TargetHistory
    from engine.execution.attempt import Attempt
    from engine.targets.plans import PlannedStep
    from engine.targets.session import Recovery, Session
    from engine.targets.target import Target


async def recover(attempt: Attempt, target: Target, exchange: Step | None) -> Outcome:
    """Recover the database of an operation that is not run again.

    `exchange`: see `find_exchange`; where there is one, nothing of the operation is missing but its follow-ups.

    Raises TargetError, OwnershipLostError, and NotBegunError if it is cancelled while it waits.
    """
    claim, reporter = attempt.claim, attempt.reporter
    writes = target.operations[attempt.operation].writes
    async with AsyncExitStack() as stack:
        session = await attempt.open(target, stack)
        attempt = await attempt.knowing_damage(target)
        record = await attempt.past()
        past = known_damage_of(record)
        await attempt.require_owned()
        settled = await attempt.unless_cancelled(session.cleanup_orphans(claim.earlier))
        for warning in await attempt.unless_cancelled(session.lock()):
            reporter.log(LogLevel.WARNING, warning)
        await attempt.require_owned()
        for line in settled:
            reporter.log(LogLevel.INFO, line)
        context = StepContext(cancel=attempt.cancel, window=attempt.window)
        state = await session.recover(claim.earlier, attempt.options, context)
        kept = completed_commands(claim.earlier, exchange) if writes else []
        followed, missing = await _follow_up(session, attempt, past, kept, state) if writes else ([], [])
        after = await _facts(session, past)
    done = f"what it had finished stays done ({listed(kept)}), the rest" if kept else "what it had not finished"
    texts = [f"{done} {state.unfinished}, {'and' if state.is_well else 'but'} {state.found}", *settled]
    texts += [f"{listed(followed)} has run since"] if followed else []
    texts += missing
    warnings = (*([] if state.is_well else [state.found]), *missing)
    outcome = replace(recovery_outcome(claim, "; ".join(texts)), warnings=warnings, after=after)
    if exchange is not None and exchange.effect is not None:
        if not warnings:
            lost = f"{format_worker_death(claim.deaths, claim.signal)} once the copy had replaced the file"
            outcome = Outcome(status=Status.COMPLETED, warnings=(lost,))
        names = {name: exchange.effect[name] for name in (FILE, REPLACED_FILE)}
        outcome = replace(outcome, before={"size": exchange.effect[SIZE_BEFORE]}, after={**(after or {}), **names})
    written = after_crash(damage_record(record) if writes else (), claim, target.engine)
    return replace(outcome, damage=written + (_met(state, claim) if state.is_damaged else NO_CHANGE))


def _met(state: Recovery, claim: Claim) -> DamageChange:
    found = Damage(source=DamageSource.RECOVERY, found_at=claim.started_at, text=state.found, job=claim.job.parent)
    return DamageChange(found=(found,))


async def find_exchange(target: Target, earlier: Sequence[Step]) -> Step | None:
    """The step of an earlier attempt that replaced the file of the target by the one that is there now.

    Its process may have died before it could tell. Raises TargetError.
    """
    noted = {effect[FILE]: step for step in earlier if REPLACED_FILE in (effect := step.effect or {})}
    return noted.get(await target.identify()) if noted else None


async def _follow_up(
    session: Session, attempt: Attempt, past: TargetHistory, kept: Sequence[str], state: Recovery
) -> tuple[list[str], list[str]]:
    """Run the mandatory follow-ups of the completed commands `kept`; returns the commands that ran, and the problems
    left. Nothing runs on a damaged database."""
    try:  # a lack of disk space must not skip follow-ups
        planned = await session.plan(attempt.operation, replace(attempt.options, force=True), past)
    except (TargetError, UsageError) as error:
        return [], [f"required follow-up steps are unknown: {error}"]
    steps = [step for step in planned.plan.steps if step.missing_effect and follow_up_required(step, attempt.claim)]
    if state.is_damaged:
        return [], [describe_missing_effect(step, kept) for step in steps]
    attempt.reporter.begin(steps)
    results = []
    for number, step in enumerate(steps, 1):
        await attempt.require_owned()
        results.append((step, await run_step(planned, number, step, attempt, done=kept)))
    return (
        [step.command for step, result in results if result.status is Status.COMPLETED],
        [
            result.error or describe_missing_effect(step, kept)
            for step, result in results
            if result.status is not Status.COMPLETED
        ],
    )


def follow_up_required(step: PlannedStep, claim: Claim) -> bool:
    """Whether an earlier attempt may have run what `step` must follow, without `step` itself.

    A dead process may have done more than it reported: only a step stored as completed counts as done.
    """
    last = max((earlier.attempt for earlier in claim.earlier), default=0)
    return bool(claim.earlier or claim.deaths) and not any(
        (earlier.attempt, earlier.command, earlier.status) == (last, step.command, Status.COMPLETED)
        for earlier in claim.earlier
    )


def completed_commands(steps: Sequence[Step], exchange: Step | None = None) -> list[str]:
    """The completed commands, without duplicates. `exchange`: see `find_exchange`."""
    return list(dict.fromkeys(step.command for step in steps if step.status is Status.COMPLETED or step is exchange))


def recovery_outcome(claim: Claim, found: str) -> Outcome:
    """The outcome of a child whose process died and that is not run again. `found`: the state of its database."""
    reason = claim.recovering or Reason.OWNER_LOST
    return Outcome(
        status=Status.FAILED if reason is Reason.OWNER_LOST else Status.CANCELLED,
        reason=reason,
        error=f"{_cause_of_death(claim)}: {found}",
    )


def _cause_of_death(claim: Claim) -> str:
    if claim.recovering in {None, Reason.OWNER_LOST}:
        return format_worker_death(claim.deaths, claim.signal)
    return KILLED if claim.forced else DIED_BEFORE_ITS_STOP


async def _facts(session: Session, past: TargetHistory) -> Facts | None:
    try:
        return await session.facts(past)
    except TargetError:  # already reported
        return None
