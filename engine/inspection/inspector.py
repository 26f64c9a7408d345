"""Looks at a database that need no store of jobs, and change nothing.

`read_only`: not even what an earlier crash has left half done is put in order, as any other look does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain import option_specs
from engine.domain.errors import DbtendError, PasswordNeededError, ServerUnavailableError, TargetBusyError, TargetError
from engine.domain.requests import Operation
from engine.submission.validation import validate_request
from engine.targets import engine_named, names_server, resolve

if TYPE_CHECKING:
    from engine.domain.advice import Advice, Measurement, TargetHistory
    from engine.domain.requests import EngineName, Options, Request
    from engine.targets.protocol import OperationPlan, Plan, Session, Waiting
    from engine.targets.target_info import TargetInfo

LOCK_TIMEOUT = 1.0
"""Seconds that a mere look waits for a lock."""
BUDGET = 3.0
"""Seconds for each target that facts which are dear to get may take, where somebody waits for advice or a plan."""


@contextmanager
def _at_worst_an_error(target: str) -> Iterator[None]:
    """Whatever is wrong with a database is an error of that database: it ends nothing else."""
    try:
        yield
    except (DbtendError, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"what it tells makes no sense: {type(error).__name__}"
        hint = "check that it is a database of this kind; if it is, this is a defect of dbtend"
        raise TargetError(canonical_url(target), why, hint) from error


def canonical_url(target: str) -> str:
    """How jobs on this target name it, whether it exists or not. Raises UsageError, NotAvailableError."""
    return resolve(target).url


def environment_of(target: str) -> Mapping[str, str]:
    """What a process takes from its environment to connect to this target: variables and their values.

    What the canonical URL says is none of it. Raises UsageError, NotAvailableError.
    """
    return resolve(target).environment


def engine_of(target: str) -> EngineName:
    """What kind of database this names; no disk is touched. Raises as `canonical_url`."""
    return resolve(target).engine


def is_on_server(target: str) -> bool:
    """Whether it names a database on a server rather than a file; no driver is needed to know that."""
    return names_server(target)


def applicable(request: Request) -> Request:
    """Without the options that mean nothing to it, as those of a config file are meant for whatever is asked for."""
    options = option_specs.applicable(request.options, engine_named(request.target), request.children)
    return replace(request, options=options)


def default_operations(target: str) -> tuple[Operation, ...]:
    """What runs on this target when nothing else is asked for, in the order that suits its engine."""
    return tuple(resolve(target).default_operations)


def operations(target: str) -> tuple[Operation, ...]:
    """All that can be asked for on this target."""
    return tuple(resolve(target).operations)


def needs_confirmation(request: Request) -> list[tuple[Operation, str]]:
    """The operations that somebody has to say yes to, and why."""
    target = resolve(request.target)
    found = ((operation, target.needs_confirmation(operation, request.options)) for operation in request.children)
    return [(operation, what) for operation, what in found if what]


def after_cancel(target: str, operation: Operation) -> str:
    """What a cancel while it runs leaves behind, in words."""
    return resolve(target).after_cancel(operation)


async def plan(
    request: Request, past: TargetHistory | None = None, *, advice: Sequence[Advice] = (), read_only: bool = False
) -> Plan:
    """The exact steps `request` would execute now, with what is known of the past of the database.

    `advice`: what is known of what it needs, so that the plan gives the same reasons; where there is none, it is looked
    for as far as the plan has need of it.

    Raises UsageError and TargetError, as submitting it would.
    """
    with _at_worst_an_error(request.target):
        return await _plan(request, past, advice, read_only)


async def _plan(request: Request, past: TargetHistory | None, advice: Sequence[Advice], read_only: bool) -> Plan:
    from engine.domain.advice import TargetHistory
    from engine.targets.protocol import Plan  # not before something is planned

    target = resolve(request.target)
    request = validate_request(request, target)
    writing = any(map(target.writes, request.children))
    lock_timeout = request.options.lock_timeout
    async with target.connect(
        lock_timeout=lock_timeout, writing=writing, planning=True, read_only=read_only
    ) as session:
        operations = [
            replace(
                await _planned(session, operation, request.options, past),
                needs_confirmation=target.needs_confirmation(operation, request.options),
            )
            for operation in request.children
        ]
        if not advice and any(step.by_advice for operation in operations for step in operation.steps):
            with suppress(TargetError):  # it goes without
                advice = await session.advise(past or TargetHistory(now=0), budget=BUDGET)
        return Plan(
            target=target.url,
            engine=target.engine,
            before=await session.facts(),
            operations=tuple(_explained(operation, advice, past) for operation in operations),
            warnings=await session.remarks(request.operations, past),
            options=request.options,
        )


async def _planned(
    session: Session, operation: Operation, options: Options, past: TargetHistory | None
) -> OperationPlan:
    planned = await session.plan(operation, options, past)
    waiting = await session.find_blockers(operation) if planned.steps else ""
    return replace(planned, warnings=(*planned.warnings, waiting), waits=True) if waiting else planned


def _explained(plan: OperationPlan, advice: Sequence[Advice], past: TargetHistory | None) -> OperationPlan:
    """The plan, with the reasons that the advice gives, and of an index that the last check gives."""
    if past and plan.operation is Operation.REINDEX:
        found, damaged = "the last check found it damaged", past.damaged_indexes
        return replace(plan, steps=tuple(replace(s, reason=found) if s.object in damaged else s for s in plan.steps))
    reason = next((one.reason for one in advice if one.operation is plan.operation), None)
    if reason is None:
        return plan
    return replace(plan, steps=tuple(replace(s, reason=reason) if s.by_advice else s for s in plan.steps))


async def password_needed(target: str) -> PasswordNeededError | None:
    """What is to be said where its server asks for a password that nobody has; None where it does not.

    Nothing but databases on servers is looked at. Raises UsageError and TargetError where it cannot be connected to
    for another reason.
    """
    if names_server(target):
        try:
            await resolve(target).identify()
        except PasswordNeededError as error:
            return error
        except TargetBusyError:
            return None
    return None


async def wait_for_server(target: str, *, seconds: float, waiting: Waiting) -> None:
    """Return once a database can be connected to, or cannot for a reason that no wait helps against.

    Raises ServerUnavailableError where its server is away for longer than `seconds`.
    """
    try:
        async with resolve(target).connect(
            lock_timeout=LOCK_TIMEOUT, writing=False, read_only=True, waiting=waiting, server_wait=seconds
        ):
            pass
    except ServerUnavailableError:
        raise
    except TargetError:
        pass  # who goes on with it says so


async def inspect(target: str, *, read_only: bool = False) -> TargetInfo:
    """What a database is and what can be done with it. Raises TargetError where it cannot be maintained."""
    with _at_worst_an_error(target):
        async with resolve(target).look(lock_timeout=LOCK_TIMEOUT, read_only=read_only) as look:
            return await look.info()


def fingerprint(target: str) -> str:
    """The same for as long as the same database is there and may be read. Cheap: it is not opened.

    Raises UsageError; TargetUnavailableError where it is not there.
    """
    return resolve(target).fingerprint()


async def advise(
    target: str, past: TargetHistory, *, budget: float | None, read_only: bool = False
) -> tuple[Advice, ...]:
    """What a database needs and why, given what is known of its past. `budget`: see `Session.advise`.

    Raises TargetError where it cannot be looked at.
    """
    advice, _ = await survey(target, past, budget=budget, read_only=read_only)
    return advice


async def survey(
    target: str, past: TargetHistory, *, budget: float | None, read_only: bool = False
) -> tuple[tuple[Advice, ...], Measurement | None]:
    """As `advise`, with what is worth keeping for the next time."""
    with _at_worst_an_error(target):
        async with resolve(target).look(lock_timeout=LOCK_TIMEOUT, read_only=read_only) as look:
            return await look.advise(past, budget=budget), look.measured
