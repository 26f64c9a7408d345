"""Inspects and plans for a database without a store of jobs. Changes nothing.

A SQLite file with a hot journal is refused, except by a plan, and where `recover` is true: those roll it back.
`read_only`: a plan does not, either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from engine.domain import option_specs
from engine.domain.advice import Advice, Measurement, TargetHistory
from engine.domain.damage import NO_CHECK_ON_RECORD, Damage, DamagedKind, describe, newly_seen
from engine.domain.engines import EngineName
from engine.domain.errors import (
    DbtendError,
    PasswordNeededError,
    ServerDiedError,
    ServerUnavailableError,
    TargetBusyError,
    TargetError,
    TargetRefusedError,
    UsageError,
)
from engine.domain.extent import Extent
from engine.domain.humanize import counted
from engine.domain.lazy_import import lazy
from engine.domain.requests import OnFailure, Operation, Request
from engine.domain.server_names import names_server
from engine.domain.steps import WaitsFor
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.domain.time_limits import deadline, has_limit
from engine.targets import engine_named, real_urls, resolve
from engine.targets.database_files import file_size
from engine.targets.file_target import FileTarget
from engine.targets.host_queue import open_each
from engine.targets.operation_specs import Autovacuum, TargetInfo, operation_infos
from engine.targets.sqlite.connection import bundled
from engine.targets.sqlite.target import SqliteTarget

if TYPE_CHECKING:
    from engine.domain import page_map as page_maps
    from engine.domain.page_map import PageMap, ReadTimes
    from engine.domain.steps import Micros
    from engine.history import estimates, target_history
    from engine.submission import validation
    from engine.targets import check_policy, damage_gate, plans, window_fit
    from engine.targets.plans import OperationPlan, Plan, PlannedStep
    from engine.targets.session import Inspection, Session
    from engine.targets.target import Target, Waiting
else:
    check_policy = lazy("engine.targets.check_policy", "only accepted damage needs it")
    estimates = lazy("engine.history.estimates", "only a plan needs it")
    page_maps = lazy("engine.domain.page_map", "only the map needs it")
    validation = lazy("engine.submission.validation", "only a plan needs it")
    window_fit = lazy("engine.targets.window_fit", "only a plan with a time limit needs it")
    plans = lazy("engine.targets.plans", "only a plan needs it")
    damage_gate = lazy("engine.targets.damage_gate", "only a plan needs it")
    target_history = lazy("engine.history.target_history", "only a plan needs it")

LOCK_TIMEOUT = 1.0
"""Seconds that an inspection waits for a lock."""
_T = TypeVar("_T")
BUDGET = 3.0
"""Seconds per target for expensive measurements while a user waits for advice or a plan."""


@contextmanager
def _as_target_error(target: str) -> Iterator[None]:
    """Turn an unexpected exception into an error of this target."""
    try:
        yield
    except (DbtendError, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"its answers cannot be read: {type(error).__name__}"
        hint = "check that it is a database of this kind; if it is, this is a defect of dbtend"
        raise TargetError(canonical_url(target), why, hint) from error


def canonical_url(target: str) -> str:
    """The canonical URL of a target, existing or not. Raises UsageError, NotAvailableError."""
    return resolve(target).url


def canonical_urls(targets: Iterable[str]) -> Mapping[str, str]:
    """The canonical URL of each; what names no database stands for itself. Quicker than one after the other."""
    return real_urls(targets)


def environment_of(target: str) -> Mapping[str, str]:
    """The environment variables that affect a connection to this target, beyond its canonical URL.

    Raises UsageError, NotAvailableError.
    """
    return resolve(target).environment


def engine_of(target: str) -> EngineName:
    """The database engine of a target; no disk is touched. Raises as `canonical_url`."""
    return resolve(target).engine


def engine_named_by(target: str) -> EngineName:
    """The engine that any text names, like `engine_of`, but without a driver."""
    return engine_named(target)


def elsewhere(target: str) -> str | None:
    """The other host whose file it is; None for all others."""
    return resolve(target).elsewhere


def applicable(request: Request) -> Request:
    """The request without options that do not apply: options of a config file are meant for all requests."""
    options = option_specs.applicable(request.options, engine_named(request.target), request.children)
    return replace(request, options=options)


def default_operations(target: str) -> tuple[Operation, ...]:
    """The default operations of this target, in the recommended order."""
    return tuple(resolve(target).default_operations)


def operations(target: str) -> tuple[Operation, ...]:
    """All operations that this target offers."""
    return tuple(resolve(target).operations)


def needs_confirmation(request: Request) -> list[tuple[Operation, str]]:
    """The operations that need confirmation, each with its reason."""
    target = resolve(request.target)
    found = ((operation, target.needs_confirmation(operation, request.options)) for operation in request.children)
    return [(operation, what) for operation, what in found if what]


def unattended(request: Request | None) -> Request | None:
    """The request without the operations that need confirmation. None if nothing is left."""
    if request is None:
        return None
    to_confirm = {operation for operation, _ in needs_confirmation(request)}
    operations = tuple(operation for operation in request.operations if operation not in to_confirm)
    return replace(request, operations=operations) if operations else None


async def goes_in_turns(request: Request) -> bool:
    """Whether the order of the steps of one of its operations counts. Reads no database."""
    target = resolve(request.target)
    offered = [operation for operation in request.children if operation in target.operations]
    return any([await target.goes_in_turns(operation, request.options) for operation in offered])


def after_cancel(request: Request, operation: Operation, steps_done: int) -> str:
    """The effect of a cancel while the operation runs, as text. `steps_done`: what they changed stays."""
    found = resolve(request.target)
    spec = found.operations[operation]
    if request.options.swap and spec.after_cancel_of_swap:
        return spec.after_cancel_of_swap
    # For a file the text is about the whole operation, on a server about one table.
    if found.engine.is_file or not (steps_done and spec.writes):
        return spec.after_cancel
    return f"what {counted(steps_done, 'step')} did; of what runs now: {spec.after_cancel}"


async def plan(
    request: Request,
    past: TargetHistory | None = None,
    *,
    advice: Sequence[Advice] = (),
    read_only: bool = False,
    has_window: bool = False,
) -> Plan:
    """The exact steps `request` would execute now. `past`: the history of the database.

    `advice`: known advice, so that the plan gives the same reasons; without it, the plan collects what it needs.
    `has_window`: whether a window closes over it, other than by its options.

    Raises UsageError and TargetError, as submitting it would.
    """
    with _as_target_error(request.target):
        return await _plan(request, past, advice, read_only, has_window or has_limit(request.options))


def without_history(plan: Plan) -> Plan:
    """The plan with the estimates of first runs: nothing is known of earlier ones."""
    operations = (
        estimates.first_guess(replace(one, size_estimate=one.estimate), plan.target, plan.engine, ())
        for one in plan.operations
    )
    return replace(plan, operations=tuple(operations))


def in_window(plan: Plan, at: Micros, closes_at: Micros | None = None) -> Plan:
    """The plan with the steps marked that would not begin, if it ran at `at`. `closes_at`: see `Engine.submit`."""
    limit = deadline(plan.options, at, closes_at)
    if limit is None:
        return plan
    return replace(plan, operations=window_fit.in_window(plan.operations, (limit - at) / 1e6, fit=plan.options.fit))


async def _plan(
    request: Request, past: TargetHistory | None, advice: Sequence[Advice], read_only: bool, has_window: bool
) -> Plan:
    target = resolve(request.target)
    request = validation.validate_request(request, target)
    writing = {operation for operation in request.children if target.operations[operation].writes}
    connect = partial(target.connect, lock_timeout=request.options.lock_timeout, planning=True, read_only=read_only)
    refusal = None
    async with AsyncExitStack() as stack:
        try:
            session = await stack.enter_async_context(connect(writing=bool(writing)))
        except TargetRefusedError as error:
            if writing.issuperset(request.children):
                raise
            session = await stack.enter_async_context(connect(writing=False))
            refusal = error.why_and_hint
        past = target_history.with_seen(past, await session.seen_damage())
        operations = [
            plans.OperationPlan(operation=operation, refused=refusal)
            if refusal is not None and operation in writing
            else replace(
                await _planned(session, target, operation, request, past, request.children[:at], has_window),
                needs_confirmation=target.needs_confirmation(operation, request.options),
            )
            for at, operation in enumerate(request.children)
        ]
        if not advice and any(step.by_advice for operation in operations for step in operation.steps):
            try:
                advice, _ = await session.advise(past or TargetHistory(now=0), budget=BUDGET)
            except ServerDiedError:
                raise
            except TargetError:
                pass  # plan without advice
        remarks = await session.remarks([one for one in operations if one.refused is None and not _repairs(one, past)])
        is_checked = past is not None and past.is_checked
        unchecked = not is_checked and writes_unchecked(target.url, (one.operation for one in operations if one.steps))
        return plans.Plan(
            target=target.url,
            engine=target.engine,
            before=await session.facts(past),
            operations=tuple(_explained(operation, advice, past) for operation in operations),
            warnings=(*([NO_CHECK_ON_RECORD] if unchecked else []), *remarks),
            is_unchecked=unchecked,
            options=request.options,
        )


def writes_unchecked(target: str, operations: Iterable[Operation]) -> bool:
    """Whether one of them writes before another one checks the database."""
    offered = resolve(target).operations
    before_check = takewhile(lambda one: one is not Operation.CHECK, operations)
    return any(one in offered and offered[one].writes for one in before_check)


async def _planned(
    session: Session,
    target: Target,
    operation: Operation,
    request: Request,
    past: TargetHistory | None,
    before: Sequence[Operation],
    has_window: bool,
) -> OperationPlan:
    """`before`: the operations of the request that come first. A check among them may end what is known."""
    writes = target.operations[operation].writes
    open_ = target_history.after_rebuilds(past) if past is not None and Operation.REINDEX in before else past
    options = request.options_of(len(before))
    ends = options.check_first or options.verify or options.on_failure is OnFailure.STOP
    goes_on = options.force and not ends
    is_after_check = writes and Operation.CHECK in before and not goes_on
    if past is not None and is_after_check:
        losses = [one for one in target_history.damage_record(past) if one.is_loss]
        open_ = target_history.with_damage(target_history.without_findings(past), losses)
    gated = await damage_gate.plan_gated(session, target, operation, options, open_, open_, is_named=True)
    found = gated.plan
    if past is not None and is_after_check and past.known_damage:
        why = f"runs only where the check before it finds no damage: {describe(past.known_damage)}"
        found = replace(found, warnings=(*found.warnings, why)) if found.steps else found
    waiting = await gated.planned.find_blockers(has_window=has_window) if gated.planned and found.steps else ""
    return replace(found, warnings=(*found.warnings, waiting), waits=True) if waiting else found


def _repairs(plan: OperationPlan, past: TargetHistory | None) -> bool:
    """Whether it rebuilds a damaged index: it repeats no work of other operations."""
    damaged = past.damaged_indexes if past is not None and plan.operation is Operation.REINDEX else ()
    return any(step.object in damaged for step in plan.steps)


def _explained(plan: OperationPlan, advice: Sequence[Advice], past: TargetHistory | None) -> OperationPlan:
    """The plan with reasons from the advice, and for damaged indexes from the last check."""
    if past and plan.operation is Operation.REINDEX:
        found, damaged = "the last check found it damaged", past.damaged_indexes
        return replace(plan, steps=tuple(replace(s, reason=found) if s.object in damaged else s for s in plan.steps))
    reason = next((item.reason for item in advice if item.operation is plan.operation), None)
    if reason is None:
        return plan
    return replace(plan, steps=tuple(_with_advice(step, reason) if step.by_advice else step for step in plan.steps))


def _with_advice(step: PlannedStep, reason: str) -> PlannedStep:
    return replace(step, reason=f"{reason}; {step.manner}" if step.manner else reason)


async def password_needed(target: str) -> PasswordNeededError | None:
    """The error if its server asks for a password that is missing; None if no password is needed.

    Files are not opened. Raises UsageError and TargetError if it cannot be connected to for another reason.
    """
    if names_server(target):
        try:
            await resolve(target).identify()
        except PasswordNeededError as error:
            return error
        except TargetBusyError:
            return None
    return None


async def wait_for_server(target: str, *, seconds: float, waiting: Waiting | None) -> None:
    """Return once a database accepts connections, or refuses them for a reason other than a server that is down.

    Raises ServerUnavailableError if its server is down for longer than `seconds`.
    """
    try:
        async with resolve(target).connect(
            lock_timeout=LOCK_TIMEOUT, writing=False, read_only=True, waiting=waiting, server_wait=seconds
        ):
            pass
    except ServerUnavailableError:
        raise
    except TargetError:
        pass  # the next connection reports it


async def again_if_server_died(
    target: str,
    inspect: Callable[[float | None], Awaitable[_T]],
    budget: float | None,
    *,
    seconds: float,
    waiting: Waiting | None = None,
) -> _T:
    """What `inspect` gives for this budget. If the server dies under it, what it gives after the restart for a budget
    of 0: then no rows are sampled.

    Raises as `inspect`, and ServerUnavailableError if the server stays down for longer than `seconds`; 0: not waited.
    """
    try:
        return await inspect(budget)
    except ServerDiedError as error:
        if not seconds:
            raise
        if waiting is not None:
            waiting(error.why_and_hint, WaitsFor.SERVER)
        await wait_for_server(target, seconds=seconds, waiting=waiting)
        return await inspect(0)


async def inspect(target: str, past: TargetHistory | None = None, *, read_only: bool = False) -> TargetInfo:
    """Facts of a database and the operations it offers. Raises TargetError if it cannot be maintained."""
    with _as_target_error(target):
        async with resolve(target).look(lock_timeout=LOCK_TIMEOUT, read_only=read_only) as look:
            return await look.info(past)


def info_elsewhere(target: str) -> TargetInfo:
    """A file of another host, with the operations that it offers; its facts are unknown here."""
    file = resolve(target)
    offered = operation_infos(file.operations)
    return TargetInfo(
        url=file.url, engine=file.engine, version="", facts={}, operations=offered, elsewhere=file.elsewhere
    )


def plan_elsewhere(request: Request) -> Plan:
    """What would run on a file of another host: its operations. The worker there plans their steps."""
    target, options = resolve(request.target), request.options
    operations = tuple(
        plans.OperationPlan(operation=one, needs_confirmation=target.needs_confirmation(one, options))
        for one in request.children
    )
    return plans.Plan(
        target=target.url, engine=target.engine, before={}, operations=operations, options=options,
        made_on=target.elsewhere,
    )  # fmt: skip


async def autovacuum(target: str, *, read_only: bool = False) -> Autovacuum | None:
    """Whether the server keeps up by itself; None where nothing of the kind runs. Raises TargetError."""
    with _as_target_error(target):
        async with resolve(target).look(lock_timeout=LOCK_TIMEOUT, read_only=read_only) as look:
            return await look.autovacuum()


def bundled_sqlite() -> str | None:
    """The version of the SQLite that the package apsw brings; None without it. Raises OSError if it does not start."""
    return bundled.bundled_library().version if bundled.is_installed() else None


async def page_map(target: str) -> PageMap:
    """What the pages of a SQLite file hold. Raises UsageError for another database, TargetError.

    Nothing is written, so it is refused while a crash must be rolled back first.
    """
    file = _sqlite_file(target)
    with _as_target_error(target):
        async with file.look(lock_timeout=LOCK_TIMEOUT) as look:
            found = await look.page_map()
    if isinstance(found, page_maps.NotMapped):
        is_slow = found is page_maps.NotMapped.SLOW
        why = "reading its pages takes too long" if is_slow else "its pages cannot be read one by one here"
        raise TargetError(file.url, why, "use `dbtend advise --thorough` instead")
    return found


async def read_times(target: str) -> ReadTimes | None:
    """What the order of the pages of a SQLite file costs, as measured; None where all tables and indexes are too small.

    A cancel stops it at once. Raises as `page_map`.
    """
    file = _sqlite_file(target)
    with _as_target_error(target):
        async with file.look(lock_timeout=LOCK_TIMEOUT) as look:
            return await look.read_times()


def _sqlite_file(target: str) -> SqliteTarget:
    file = resolve(target)
    if file.elsewhere is not None:
        file.fingerprint()  # raises
    if not isinstance(file, SqliteTarget):
        raise UsageError(file.url, "is no SQLite file", "only SQLite files have a page map")
    return file


def fingerprint(target: str) -> str:
    """A fingerprint of the database file. Cheap: it is not opened.

    Raises UsageError; TargetUnavailableError if it is missing.
    """
    return resolve(target).fingerprint()


def extent(target: str) -> Extent:
    """Which database it is, and how large its file. Cheap: it is not opened. Raises as `fingerprint`."""
    database = resolve(target)
    return Extent(database.fingerprint(), file_size(database.path) if isinstance(database, FileTarget) else 0)


async def advise(
    target: str,
    past: TargetHistory,
    *,
    budget: float | None,
    limits: Thresholds = DEFAULT_THRESHOLDS,
    read_only: bool = False,
    recover: bool = False,
) -> tuple[Advice, ...]:
    """The operations a database needs and why, given its history. `budget`: see `Session.advise`.

    Raises TargetError if it cannot be inspected.
    """
    advice, _ = await advise_and_measure(
        target, past, budget=budget, limits=limits, read_only=read_only, recover=recover
    )
    return advice


async def advise_and_measure(
    target: str,
    past: TargetHistory,
    *,
    budget: float | None,
    limits: Thresholds,
    read_only: bool,
    recover: bool,
) -> tuple[tuple[Advice, ...], Measurement | None]:
    """Advise as `advise`; also returns the measurement to keep for the next call."""
    with _as_target_error(target):
        async with resolve(target).look(lock_timeout=LOCK_TIMEOUT, read_only=read_only, recover=recover) as look:
            return await _advice_of(look, past, budget, limits)


async def inspect_and_advise(
    target: str,
    past: TargetHistory,
    *,
    budget: float | None,
    limits: Thresholds,
    read_only: bool,
    recover: bool,
    opened: Callable[[], object],
) -> tuple[TargetInfo, tuple[Advice, ...], Measurement | None]:
    """`inspect` and `advise_and_measure` by one connection. `opened`: called once it is open."""
    with _as_target_error(target):
        async with resolve(target).look(lock_timeout=LOCK_TIMEOUT, read_only=read_only, recover=recover) as look:
            opened()
            return await look.info(past), *await _advice_of(look, past, budget, limits)


async def _advice_of(
    look: Inspection, past: TargetHistory, budget: float | None, limits: Thresholds
) -> tuple[tuple[Advice, ...], Measurement | None]:
    """The advice with what this look at the database shows of damage."""
    seen = newly_seen(target_history.damage_record(past), await look.seen_damage()).found
    past = target_history.with_seen(past, seen) or past
    advice, measured = await look.advise(past, budget=budget, limits=limits)
    return tuple(_with_record(one, seen, past) for one in advice), measured


def _with_record(item: Advice, seen: tuple[Damage, ...], past: TargetHistory) -> Advice:
    """Advice on CHECK with all damage that a person accepted, and the damage that was seen now. Advice on REINDEX with
    the accepted damage that may be in indexes. Other advice stays the same."""
    is_check, accepted = item.operation is Operation.CHECK, past.accepted_damage
    if item.operation is Operation.REINDEX:
        accepted = tuple(one for one in accepted if one.kind is not DamagedKind.TABLE)
    elif not is_check:
        return item
    if accepted:
        reason = f"{item.reason}; {check_policy.accepted_text(accepted, past.now)}"
        facts = {**item.facts, "accepted_damage": tuple(one.object for one in accepted)}
        item = replace(item, reason=reason, facts=facts)
    return replace(item, seen_damage=seen) if is_check else item


async def for_each(targets: Sequence[str], do: Callable[[str], Awaitable[_T]]) -> list[_T | TargetError]:
    """The results of `do` for each target, in order, or the error that it raised. Raises UsageError.

    A server that does not answer is not asked for its other databases.
    """
    return await open_each([resolve(target) for target in targets], lambda place: do(targets[place]))
