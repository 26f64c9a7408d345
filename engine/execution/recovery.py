"""Recovers the database of a child whose process died, where it does not run again: clean up, follow up, report.

So it is after the last attempt and a cancel, and where `vacuum --swap` was killed when its copy was in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.claims import Claim, Outcome
from engine.domain.damage import NO_CHANGE, Damage, DamageChange, DamageSource
from engine.domain.errors import TargetError, UsageError
from engine.domain.humanize import listed
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FILE, REPLACED_FILE, SIZE_BEFORE, Facts, LogLevel, Step
from engine.execution.step_runner import describe_missing_effect, run_step
from engine.store.ending_texts import DIED_BEFORE_ITS_STOP, KILLED, format_worker_death
from engine.targets.step_execution import StepContext

if TYPE_CHECKING:
    from engine.domain.advice import TargetHistory
    from engine.execution.ownership import Ownership
    from engine.execution.reporter import Reporter
    from engine.targets.attempt import Attempt
    from engine.targets.plans import PlannedStep
    from engine.targets.protocol import Session, Target


async def recover(
    session: Session,
    claim: Claim,
    options: Options,
    reporter: Reporter,
    attempt: Attempt,
    ownership: Ownership,
    *,
    past: TargetHistory,
    writes: bool,
    exchange: Step | None,
) -> Outcome:
    """Recover the database of an operation that is not run again. `writes`: whether the operation writes.

    `exchange`: see `find_exchange`; where there is one, nothing of the operation is missing but its follow-ups.
    `past`: its known damage. Raises OwnershipLostError, and NotBegunError if it is cancelled while it waits.
    """
    await ownership.require()
    settled = await attempt.unless_cancelled(session.cleanup_orphans(claim.earlier))
    for warning in await attempt.unless_cancelled(session.lock()):
        reporter.log(LogLevel.WARNING, warning)
    await ownership.require()
    for line in settled:
        reporter.log(LogLevel.INFO, line)
    looked = await session.recover(claim.earlier, options, StepContext(cancel=attempt.cancel, window=attempt.window))
    warnings = [] if looked.is_well else [looked.found]
    kept = completed_commands(claim.earlier, exchange) if writes else []
    not_finished = f"what it had finished stays done ({listed(kept)}), the rest" if kept else "what it had not finished"
    texts = [
        f"{not_finished} {looked.unfinished}, {'and' if looked.is_well else 'but'} {looked.found}",
        *settled,
    ]
    if writes:
        followed, missing = await _finish(
            session, claim, options, reporter, attempt, kept, ownership, past=past, damaged=looked.is_damaged
        )
        texts += [f"{listed(followed)} has run since"] if followed else []
        texts, warnings = [*texts, *missing], [*warnings, *missing]
    after = await _facts(session, past)
    damage = DamageChange(found=(_found(looked.found, claim),)) if looked.is_damaged else NO_CHANGE
    if exchange is None or exchange.effect is None:
        outcome = recovery_outcome(claim, "; ".join(texts))
        return replace(outcome, warnings=tuple(warnings), after=after, damage=damage)
    after = {**(after or {}), **{name: exchange.effect[name] for name in (FILE, REPLACED_FILE)}}
    before = {"size": exchange.effect[SIZE_BEFORE]}
    if warnings:
        outcome = recovery_outcome(claim, "; ".join(texts))
    else:
        warnings = [f"{format_worker_death(claim.deaths, claim.signal)} once the copy had replaced the file"]
        outcome = Outcome(status=Status.COMPLETED)
    return replace(outcome, warnings=tuple(warnings), before=before, after=after, damage=damage)


def _found(text: str, claim: Claim) -> Damage:
    return Damage(source=DamageSource.RECOVERY, found_at=claim.started_at, text=text, job=claim.job.parent)


async def find_exchange(target: Target, earlier: Sequence[Step]) -> Step | None:
    """The step of an earlier attempt that replaced the file of the target by the one that is there now.

    Its process may have died before it could tell. Raises TargetError.
    """
    noted = {effect[FILE]: step for step in earlier if REPLACED_FILE in (effect := step.effect or {})}
    return noted.get(await target.identify()) if noted else None


async def _finish(
    session: Session,
    claim: Claim,
    options: Options,
    reporter: Reporter,
    attempt: Attempt,
    kept: Sequence[str],
    ownership: Ownership,
    *,
    past: TargetHistory,
    damaged: bool,
) -> tuple[list[str], list[str]]:
    """Run the mandatory follow-ups of completed steps; returns the commands that ran, and the problems left."""
    try:  # a lack of disk space must not skip follow-ups
        planned = await session.plan(Operation(claim.operation), replace(options, force=True), past)
    except (TargetError, UsageError) as error:
        return [], [f"required follow-up steps are unknown: {error}"]
    steps = [step for step in planned.plan.steps if step.missing_effect and follow_up_required(step, claim)]
    if damaged:
        return [], [describe_missing_effect(step, kept) for step in steps]
    reporter.begin(steps)
    results = []
    for number, step in enumerate(steps, 1):
        await ownership.require()
        results.append((step, await run_step(planned, number, step, reporter, attempt, done=kept)))
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
