"""What one operation changes of the damage on record, from the results of its steps: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from engine.domain.claims import Claim, Outcome
from engine.domain.damage import (
    NO_CHANGE,
    REBUILDS,
    WHOLE_DATABASE,
    Damage,
    DamageChange,
    DamagedKind,
    DamageSource,
    after_check,
    after_write,
)
from engine.domain.effects import CheckResult
from engine.domain.engines import EngineName
from engine.domain.option_specs import covers_whole_database
from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.execution.outcomes import StepOutcome
from engine.execution.preparation import Prepared
from engine.targets.plans import PlannedStep


def damage_changes(
    prepared: Prepared,
    results: Sequence[StepOutcome],
    outcome: Outcome,
    engine: EngineName,
    *,
    writes: bool,
    at: Micros,
) -> DamageChange:
    """`writes`: whether the operation does."""
    known: Collection[Damage] = prepared.known
    operation, options, job = prepared.attempt.operation, prepared.attempt.options, prepared.attempt.claim.job.parent
    seen_by = options.check_level if operation is Operation.CHECK else CheckLevel.FULL
    met = DamageChange(found=tuple(_met(results, engine, at, job, seen_by)))
    if operation is Operation.CHECK:
        check = CheckResult.of(outcome.after)
        if check is None:
            return met
        # An index that is sound says nothing about its table.
        sound = {name for step, result in results if result.status is Status.COMPLETED for name in step.all_objects}
        read = _objects(step for step, _ in results)
        known = [one for one in known if one.source is not DamageSource.SERVER_LOST or _is_sound(one, results)]
        return met + after_check(known, check, options, sound=sound, read=read, at=at, job=job)
    if not writes:
        return met
    is_whole = outcome.status is Status.COMPLETED and covers_whole_database(operation, options)
    of_all = {WHOLE_DATABASE} if is_whole else set()
    changes = met
    for kind in dict.fromkeys(step.operation or operation for step, _ in results):
        of_kind = known
        if operation is Operation.OPTIMIZE and not engine.is_file and kind is not Operation.REINDEX:
            of_kind = [one for one in known if one.accepted_at is not None]  # it leaves damaged tables out
        own = [one for one in results if (one[0].operation or operation) is kind]
        begun = _objects(step for step, result in own if result.status is not Status.SKIPPED)
        done = _objects(step for step, result in own if result.status is Status.COMPLETED)
        rebuilt = _rebuilt(own, options) if operation in REBUILDS else ()
        changes += after_write(of_kind, kind, engine, begun=begun, done=done | of_all, rebuilt=rebuilt, job=job)
    return changes


def _rebuilt(results: Sequence[StepOutcome], options: Options) -> set[str]:
    """The tables of a server whose indexes were all rebuilt."""
    if options.if_needed is not None or options.done:  # then some of them may not be among the steps
        return set()
    failed = _objects(step for step, result in results if result.status is not Status.COMPLETED)
    tables = {name for step, _ in results for name in step.tables} - failed
    names = {*options.objects_for(Operation.REINDEX)}
    return {name for name in tables if not names or {name, name.rpartition(".")[2]} & names}


def _is_sound(suspect: Damage, results: Sequence[StepOutcome]) -> bool:
    """Whether a table under which a server went down was checked with its indexes, and nothing was found."""
    own = [(step, result) for step, result in results if suspect.object in {*step.all_objects, *step.tables}]
    is_read = any(suspect.object in step.all_objects for step, _ in own) or suspect.kind is DamagedKind.DATABASE
    return is_read and all(result.status is Status.COMPLETED for _, result in own)


def after_crash(known: Collection[Damage], claim: Claim, engine: EngineName) -> DamageChange:
    """What an operation may have changed whose process died."""
    if not known:
        return NO_CHANGE
    begun = {step.object for step in claim.earlier}
    done = {step.object for step in claim.earlier if step.status is Status.COMPLETED}
    return after_write(known, Operation(claim.operation), engine, begun=begun, done=done, job=claim.job.parent)


def _objects(steps: Iterable[PlannedStep]) -> set[str]:
    return {name for step in steps for name in (*step.all_objects, *step.tables)}


def _met(
    results: Sequence[StepOutcome], engine: EngineName, at: Micros, job: int, seen_by: CheckLevel
) -> Iterator[Damage]:
    """`seen_by`: the least level of a check that may do again what ended a server. What an operation met may lie in an
    index, which a full check alone compares with its table."""
    for step, result in results:
        if result.met_damage or result.reason is Reason.SERVER_DIED:
            tables = step.tables if not engine.is_file else ()
            for name in tables or (result.damaged_index or WHOLE_DATABASE,):
                kind = DamagedKind.TABLE if tables else DamagedKind.DATABASE
                kind = DamagedKind.INDEX if result.damaged_index else kind
                is_seen = bool(result.met_damage)
                source = DamageSource.OPERATION if is_seen else DamageSource.SERVER_LOST
                level = CheckLevel.FULL if is_seen else seen_by
                text = result.met_damage or result.error or ""
                yield Damage(object=name, kind=kind, source=source, found_at=at, text=text, job=job, level=level)
