"""What a request would do now: operations, and the steps of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from typing import Final, TypeVar

from engine.domain.damage import NO_CHECK_ON_RECORD
from engine.domain.engines import EngineName
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.domain.statuses import Reason
from engine.domain.steps import Facts
from engine.domain.turns import NO_TURNS, Turns
from engine.targets.disk_space import Need, fit_at_once, least_free, problems_now
from engine.targets.lock_impact import Lock, strongest

KEPT_FREE: Final = 3
"""Connections of a server that are left to others."""
NEEDS_TWO: Final = "dbtend needs two connections: one runs the steps, the other watches and cancels them"
ALL_DONE: Final = "an earlier job has done everything"


class Verdict(StrEnum):
    """The result of preflight for an operation."""

    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"


@frozen(kw_only=True)
class PlannedStep:
    """One SQL command that would run now."""

    object: str
    command: str
    reason: str
    lock: Lock
    operation: Operation | None = None
    """The kind of work, if it differs from the operation of the plan: OPTIMIZE plans steps of VACUUM and REINDEX."""
    after_cancel: str = ""
    """What remains after a cancel while it runs, as text."""
    disk_needed: int | None = None
    """Bytes of free disk space that the step needs while it runs; None where it needs next to none."""
    needs: tuple[Need, ...] = ()
    """The disk space that the step needs, by directory, if known; the free space is compared with it."""
    disk_free: int | None = None
    """Bytes free at that place; None if next to none are needed, or if that is unknown."""
    estimate: float | None = None
    """Expected seconds; None where unknown."""
    past_course: tuple[int, ...] = ()
    """The counts of its work in its last run, see `COURSE`; empty: not known."""
    mandatory_follow_up: bool = False
    """Whether the steps before it are incomplete without it: it runs if one of them completed, even after a cancel."""
    lost_without_next: bool = False
    """Whether its effect is lost unless the next step completes."""
    missing_effect: str = ""
    """What stays wrong until it has run, as text; "" where skipping it does no harm."""
    conflict: str = ""
    """Steps with the same key never run at the same time; "" conflicts with none."""
    frees_conflict_early: bool = False
    """Whether the next step of the same `conflict` may begin when its command has finished, before its result is
    measured."""
    by_advice: bool = False
    """Whether the reason of the advice, where there is one, replaces `reason`."""
    manner: str = ""
    """How it is done, as text: the end of `reason`, which stays where the advice replaces the rest."""
    not_begun: Reason | None = None
    """Why it would not begin if the request ran now; None if it would, or without a time limit."""
    weight: float | None = None
    """Its share of the work relative to the other steps, where seconds are unknown."""
    objects: tuple[str, ...] = ()
    """The tables, indexes or files of a step for several; `object` then says how many."""

    @property
    def all_objects(self) -> tuple[str, ...]:
        return self.objects or (self.object,)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it works on, whole or by their indexes."""
        return self.all_objects


_Step = TypeVar("_Step", bound=PlannedStep)


def with_free_space(step: _Step) -> _Step:
    """The step with the bytes that are free where it writes."""
    with suppress(OSError):  # a directory is gone: the step itself tells
        return replace(step, disk_free=least_free(step.needs))
    return step


def fitting(steps: Iterable[_Step], hint: str, *, force: bool) -> tuple[list[_Step], list[str], list[str]]:
    """The steps for which the disk has room, why the others are left out, and what to warn of where force keeps all."""
    placed = [with_free_space(step) for step in steps]
    problems = {step.object: "; ".join(problems_now(step.needs)) for step in placed}
    texts = [f"{name}: {problem}" for name, problem in problems.items() if problem]
    if force or not texts:
        return placed, [], texts
    return [step for step in placed if not problems[step.object]], [f"{listed(texts, 3)}. {hint}"], []


def longest_first(steps: Iterable[_Step]) -> list[_Step]:
    """Order steps that run at the same time so that no long one is left alone at the end."""
    return sorted(steps, key=lambda step: -(step.estimate or step.weight or 0.0))


def by_turn(steps: Sequence[_Step], operation: Operation, turns: Turns) -> list[_Step]:
    """The steps of `operation` with those first whose turn it is, else in the given order.

    From the first mandatory follow-up on they stay where they are.
    """
    if turns == NO_TURNS:
        return list(steps)
    end = next((number for number, step in enumerate(steps) if step.mandatory_follow_up), len(steps))

    def rank(step: _Step) -> tuple[bool, int]:
        return turns.rank(operation, step.operation or operation, step.all_objects)

    return [*sorted(steps[:end], key=rank), *steps[end:]]


@frozen(kw_only=True)
class OperationPlan:
    """The steps that one child job would execute now: none where it would be refused or has nothing to do."""

    operation: Operation
    steps: tuple[PlannedStep, ...] = ()
    warnings: tuple[str, ...] = ()
    """What to know before confirming; a warning does not refuse the operation."""
    refused: str | None = None
    """Why preflight refuses it, and what to do."""
    is_damaged: bool = False
    """Whether it is refused as what it would write to is known to be damaged."""
    not_needed: str | None = None
    """Why there is nothing to do."""
    settings: tuple[str, ...] = ()
    """The commands that set up the connection for the steps."""
    settings_reason: str = ""
    """The reason for these settings, as text."""
    offer: str = ""
    """An option with which it would take less time, and how much, as text; "" for none."""
    parallel: int = 1
    """How many steps run at the same time."""
    estimated_from: str = ""
    """The source of the estimates, as text; "" where there are none."""
    is_first_guess: bool = False
    """Whether it never ran on this target: the estimates go by size."""
    size_estimate: float | None = None
    """Seconds by sizes alone, as if all were in memory on an ordinary machine; None where they do not say."""
    needs_confirmation: str = ""
    """What a person must confirm before it runs, as text; "" for nothing."""
    by_force: str = ""
    """The known damage that `--force` writes to, as text; "" for none. A warning says the same."""
    waits: bool = False
    """Whether it would wait for a lock now; a warning names the holder."""
    left_out: int = 0
    """How many tables or indexes are left out for lack of a privilege or of disk space, or although they, or what they
    belong to, were named; a warning names them. `suspected` counts beside it."""
    forbidden: tuple[str, ...] = ()
    """The tables and indexes that it leaves out for lack of a privilege."""
    suspected: tuple[str, ...] = ()
    """The tables that a check leaves out because the server went down under them."""

    @property
    def lock(self) -> Lock:
        """The strongest lock of its steps."""
        return strongest(step.lock for step in self.steps)

    @property
    def estimate(self) -> float | None:
        """Seconds that the steps with an estimate take together; None if none has one."""
        known = [step.estimate for step in self.steps if step.estimate is not None]
        return max(sum(known) / self.parallel, *known) if known else None

    @property
    def verdict(self) -> Verdict:
        if self.refused is not None:
            return Verdict.REFUSE
        return Verdict.WARN if self.warnings else Verdict.OK


def plan_of(
    operation: Operation,
    steps: Sequence[PlannedStep],
    turns: Turns,
    *,
    why_left_out: Sequence[str],
    left_out: int,
    forbidden: tuple[str, ...],
    warnings: Sequence[str],
    not_needed: str,
) -> OperationPlan:
    """The plan with these steps, in turn. Without steps it is refused where something is left out, else not needed.

    Args:
        why_left_out: a sentence for each reason. `left_out`, `forbidden`: see `OperationPlan`.
        not_needed: why there is nothing to do, where there are no steps.
    """
    if not steps and why_left_out:
        return OperationPlan(operation=operation, refused=". ".join([*why_left_out, *warnings]), forbidden=forbidden)
    if not steps:
        return OperationPlan(operation=operation, not_needed=not_needed)
    return OperationPlan(
        operation=operation,
        steps=tuple(by_turn(steps, operation, turns)),
        warnings=(*(f"left out: {why}" for why in why_left_out), *warnings),
        left_out=left_out,
        forbidden=forbidden,
    )


async def in_parallel(
    plan: OperationPlan, options: Options, connections: Callable[[], Awaitable[tuple[int, str]]]
) -> OperationPlan:
    """Set how many steps run at once, and warn if these are fewer than requested.

    `connections`: asks the server how many it has for them, and why it has no more.
    """
    requested = min(options.jobs or 1, len(plan.steps))
    if requested <= 1:
        return plan
    most, why = await connections()
    allowed = min(requested, most)
    needs = [step.needs for step in plan.steps if step.needs]
    if not options.force and (with_room := fit_at_once(needs, allowed)) < allowed:
        allowed, why = with_room, "the disk has no room for the new files of more"
    if allowed == requested:
        return replace(plan, parallel=requested)
    at_once = "one step runs at a time" if allowed == 1 else f"{allowed} steps run at once"
    warning = f"{at_once} instead of {requested}: {why}"
    return replace(plan, parallel=allowed, warnings=(*plan.warnings, warning))


def without_done(plan: OperationPlan, done: AbstractSet[str]) -> OperationPlan:
    """The plan without steps whose objects are all `done`, but with the steps that must follow the others.

    If only that is left, it runs by itself.
    """
    if not (done and plan.steps):
        return plan
    left = [step for step in plan.steps if step.mandatory_follow_up or not done >= {*step.all_objects}]
    if all(step.mandatory_follow_up for step in left):
        left = [replace(step, mandatory_follow_up=False) for step in left]
    return replace(plan, steps=tuple(left), not_needed=None if left else ALL_DONE)


@frozen(kw_only=True)
class Plan:
    """What a request would do now, operation by operation."""

    target: str
    engine: EngineName
    before: Facts
    operations: tuple[OperationPlan, ...]
    warnings: tuple[str, ...] = ()
    """Warnings about the request as a whole."""
    is_unchecked: bool = False
    """Whether it would write to the database before any check of it; a warning says so."""
    options: Options = DEFAULT_OPTIONS
    """The options of the request."""
    made_on: str | None = None
    """The other host whose worker plans the steps when the job begins; None: they were planned here."""

    @property
    def to_run(self) -> tuple[OperationPlan, ...]:
        """The operations that would run."""
        return self.operations if self.made_on else tuple(one for one in self.operations if one.steps)

    @property
    def runs(self) -> bool:
        return bool(self.to_run)

    @property
    def before_writing(self) -> tuple[str, ...]:
        """What a person should know of damage before it writes, as text."""
        forced = dict.fromkeys(one.by_force for one in self.operations if one.by_force)
        return (*([NO_CHECK_ON_RECORD] if self.is_unchecked else []), *forced)
