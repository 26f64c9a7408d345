"""What the job history says of a database: its checks, findings, rebuilds and backups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from engine.domain.advice import CheckFinding, CompletedStep, PastJob, TargetHistory, with_replaced
from engine.domain.damage import Damage, DamagedKind, DamageSource, after_change, newly_seen
from engine.domain.effects import CheckResult
from engine.domain.events import HistoryFilter
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.option_specs import covers_whole_database
from engine.domain.past_runs import PastStep, RecordedBackup
from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import (
    FILE,
    FREED_PAGES,
    MAX_FINDINGS,
    MOVES_PAGES,
    REPLACED_FILE,
    REWRITTEN,
    Facts,
    Micros,
)
from engine.domain.turns import Turns
from engine.history import estimates
from engine.targets import engine_named

if TYPE_CHECKING:
    from engine.store.protocol import JobReader
    from engine.targets.plans import OperationPlan

HISTORY_WINDOW: Final = 90 * 86_400 * 1_000_000
"""Microseconds: older jobs say little of the database, and are slow to find among many jobs."""
REBUILDS: Final = (Operation.REINDEX, Operation.OPTIMIZE)
"""The operations that may rebuild an index."""
MAX_JOBS_READ: Final = 50
"""The newest jobs with an operation that are read."""
TURN_JOBS_READ: Final = 1_000
"""The newest jobs among which the last run of each operation is looked for."""
TURN_STEPS_READ: Final = 100_000
"""The newest steps that give objects their turn: those of many nights, if each completes few objects."""
_READ_ALWAYS: Final = (Operation.CHECK, Operation.VACUUM, Operation.BACKUP, Operation.COMPACT)
_MOVED: Final = frozenset({FREED_PAGES, REWRITTEN, REPLACED_FILE})
"""Facts of an operation that moved pages."""
LAST_JOBS: Final = 10
"""The newest jobs whose completed operations are reported."""


class _JobsOfTarget:
    """Reads the jobs that only a finding makes worth reading."""

    def __init__(self, store: JobReader, target: str, since: Micros) -> None:
        self._store, self._target, self._since = store, target, since

    async def newest(self, operation: Operation) -> list[ParentJob]:
        where = HistoryFilter(target=self._target, operation=operation, since=self._since)
        return await self._store.history(where, before=None, limit=MAX_JOBS_READ)

    async def with_steps(self, jobs: Iterable[ParentJob], found: Mapping[str, JobId]) -> list[ParentJob]:
        """The jobs from the oldest finding on, with steps."""
        since = min(found.values(), default=None)
        return await self._store.whole_jobs([job.id for job in jobs if since is not None and job.id >= since.parent])


async def target_history(store: JobReader, target: str, now: Micros, file: str | None = None) -> TargetHistory:
    """The history of the database with this canonical URL. `file`: the fingerprint of its file, from `fingerprint`."""

    since = now - HISTORY_WINDOW
    records = await store.records(target, _READ_ALWAYS, since=since, last=LAST_JOBS, limit=MAX_JOBS_READ)
    if not records.jobs:
        return with_damage(TargetHistory(now=now, jobs=(), measured=records.measured), records.damage)
    jobs = _JobsOfTarget(store, target, since)
    checks, vacuums = records.newest[Operation.CHECK], records.newest[Operation.VACUUM]
    replaced = replaced_files([*vacuums, *records.newest[Operation.COMPACT]])
    checked = check_history(checks, () if file is None else with_replaced(file, replaced))

    def done(*operations: Operation) -> dict[str, CompletedStep]:
        """The last step of each object by these operations, or by any."""
        steps = records.last_done.items()
        return {name: step for (operation, name), step in steps if not operations or operation in operations}

    found = checked.damaged | checked.damaged_tables
    well = set(cleared_since(found, await jobs.with_steps(checks, found)))
    in_doubt = {name: check for name, check in checked.damaged.items() if name not in well}
    rebuilds = {job.id: job for operation in REBUILDS for job in await jobs.newest(operation)} if in_doubt else {}
    damaged = tuple(still_damaged(in_doubt, await jobs.with_steps(rebuilds.values(), in_doubt)))
    in_vain = failed_rebuilds(damaged, rebuilds.values(), since=last_clean_check(checks)) if damaged else {}
    tables_in_doubt = {name: check for name, check in checked.damaged_tables.items() if name not in well}
    repairs = await jobs.newest(Operation.REPAIR) if tables_in_doubt else []
    repaired = tuple(repaired_since(tables_in_doubt, await jobs.with_steps(repairs, tables_in_doubt)))
    tables = tuple(name for name in tables_in_doubt if name not in repaired)
    moves = [job for operation in MOVES_PAGES for job in await jobs.newest(operation)] if checked.damaged_pages else []
    moved_at = pages_moved_at(moves)
    history = TargetHistory(
        now=now,
        checked_at=checked.clean_at,
        others_checked_at=checked.others_clean_at,
        # Where older checks are not read, the first was long ago.
        first_quick_at=checked.first_quick_at if len(checks) < MAX_JOBS_READ else 0,
        compared_at=checked.compared_at,
        is_checked=checked.is_checked,
        checked_other_file=checked.checked_other_file,
        damaged_indexes=damaged,
        damaged_tables=tables,
        damaged_pages=tuple(sorted(page for page, at in checked.damaged_pages.items() if at > moved_at)),
        repaired_tables=repaired,
        rebuilt_indexes=tuple(name for name in in_doubt if name not in damaged),
        failed_rebuilds=in_vain,
        damage=None if checked.damaged_tables and not tables else checked.damage,
        broken_rule=checked.broken_rule,
        broken_rule_found=checked.broken_rule_found,
        found=checked.found,
        vacuumed=vacuumed(vacuums),
        replaced_files=replaced,
        backed_up_at=backed_up_at(records.newest[Operation.BACKUP], records.backups),
        backups=tuple(records.backups),
        jobs=records.jobs if len(records.jobs) < LAST_JOBS else None,
        ran=ran(records.jobs),
        measured=records.measured,
        dead_rows_kept={name: step for name, step in done(Operation.VACUUM).items() if "rows_kept" in step.effect},
        indexes_tended={name: step for name, step in done().items() if "pages_covered" in step.effect},
        rebuilt=done(Operation.REINDEX, Operation.REBUILD),
    )
    return with_damage(history, records.damage)


def with_damage(past: TargetHistory, record: Sequence[Damage]) -> TargetHistory:
    """The history with this record of damage, instead of the one it had."""
    accepted = tuple(one for one in record if one.accepted_at is not None)
    counting = [one for one in record if one.accepted_at is None]
    known = (*counting, *_of_checks(past, {one.object for one in record}))
    past = _without_accepted(replace(past, accepted_damage=accepted), known) if accepted else past
    if not known:
        return replace(past, known_damage=())
    open_ = [one for one in counting if not one.is_repaired]
    names = {
        kind: dict.fromkeys([*of_checks, *(one.object for one in open_ if one.kind is kind)])
        for kind, of_checks in (
            (DamagedKind.INDEX, past.damaged_indexes),
            (DamagedKind.TABLE, past.damaged_tables),
        )
    }
    first = next((one for one in open_ if one.kind is not DamagedKind.INDEX), None) if past.damage is None else None
    return replace(
        past,
        known_damage=known,
        damaged_indexes=tuple(names[DamagedKind.INDEX]),
        damaged_tables=tuple(names[DamagedKind.TABLE]),
        damage=past.damage if first is None else first.text,
        damage_by=past.damage_by if first is None else first,
    )


def _without_accepted(past: TargetHistory, known: Sequence[Damage]) -> TargetHistory:
    """The history without what checks found and a person has taken note of."""
    gone = {one.object for one in past.accepted_damage} - {one.object for one in known}
    is_over = all(one.kind is DamagedKind.INDEX for one in known)
    return replace(
        past,
        damaged_indexes=tuple(name for name in past.damaged_indexes if name not in gone),
        damaged_tables=tuple(name for name in past.damaged_tables if name not in gone),
        damage=None if is_over else past.damage,
        damage_by=None if is_over else past.damage_by,
    )


def with_seen(past: TargetHistory | None, seen: Sequence[Damage]) -> TargetHistory | None:
    """The history with damage that was seen since."""
    if not seen:
        return past
    past = past or TargetHistory(now=0)
    record = damage_record(past)
    return with_damage(past, after_change(record, newly_seen(record, seen)))


def damage_record(past: TargetHistory | None) -> tuple[Damage, ...]:
    """The damage on record, with what a person has taken note of."""
    return (*past.known_damage, *past.accepted_damage) if past is not None else ()


def after_rebuilds(past: TargetHistory) -> TargetHistory:
    """The history once all indexes are rebuilt."""
    known = tuple(replace(one, is_repaired=True) if one.kind is DamagedKind.INDEX else one for one in past.known_damage)
    return replace(past, damaged_indexes=(), known_damage=known)


def without_findings(past: TargetHistory) -> TargetHistory:
    """The history as if a check had found nothing."""
    nothing = {"damaged_indexes": (), "damaged_tables": (), "damage": None, "damage_by": None, "known_damage": ()}
    return replace(past, **nothing)  # type: ignore[arg-type]


def _of_checks(past: TargetHistory, recorded: Collection[str]) -> Iterator[Damage]:
    """What checks found before there was a record of damage."""
    names = {
        **dict.fromkeys(past.damaged_indexes, DamagedKind.INDEX),
        **dict.fromkeys(past.damaged_tables, DamagedKind.TABLE),
        **({"": DamagedKind.DATABASE} if past.damage is not None and not past.damaged_tables else {}),
    }
    for name, kind in names.items():
        if name not in recorded and past.damage_by is None:
            yield Damage(
                object=name,
                kind=kind,
                source=DamageSource.CHECK,
                found_at=past.found.at if past.found is not None else past.now,
                text=f"index {name} is damaged" if kind is DamagedKind.INDEX else past.damage or f"{name} is damaged",
                job=past.found.job if past.found is not None else None,
                level=CheckLevel.FULL,
            )


async def estimated(
    store: JobReader,
    target: str,
    plan: OperationPlan,
    options: Options,
    before: Facts,
    known: Sequence[ParentJob] | None = None,
) -> OperationPlan:
    """The plan of an operation on this canonical URL, with estimates from earlier runs, there or elsewhere.

    `known`: as `TargetHistory.jobs`.
    """
    plan = replace(plan, size_estimate=plan.estimate)
    where = HistoryFilter(target=target, operation=plan.operation)
    jobs = [job for job in known or () if where.matches(job)]
    for limit in estimates.JOBS_READ if known is None else ():
        jobs = await store.history(where, before=None, limit=limit)
        if len(jobs) < limit or estimates.suffice(plan.operation, options, jobs):
            break
    past_steps: Mapping[str, PastStep] = {}
    if any(child.operation is plan.operation and child.finished_at for job in jobs for child in job.children):
        past_steps = await store.past_steps(
            target, plan.operation, speed=options.server.speed, jobs=MAX_JOBS_READ, runs=estimates.RUNS
        )
    found = estimates.with_estimates(plan, jobs, options, before, past_steps)
    if found.estimated_from or any(step.command in past_steps for step in plan.steps):
        return found
    # Runs that are over in a moment say nothing of others, nor others of them.
    is_short = plan.size_estimate is not None and plan.size_estimate < estimates.LONG_ENOUGH
    elsewhere = [] if is_short else await store.runs_by_size(estimates.RUNS_ELSEWHERE)
    return estimates.first_guess(found, target, engine_named(target), elsewhere)


async def turns_of(store: JobReader, target: str) -> Turns:
    """When the objects of the database with this canonical URL were last worked on."""
    return await store.turns(target, jobs=TURN_JOBS_READ, steps=TURN_STEPS_READ)


@dataclass(kw_only=True)
class CheckHistory:
    """The results of the checks on record of a database, while they are read from the newest to the oldest."""

    clean_at: dict[CheckLevel, Micros] = field(default_factory=dict)
    others_clean_at: dict[CheckLevel, Micros] = field(default_factory=dict)
    """See `TargetHistory.others_checked_at`."""
    damaged: dict[str, JobId] = field(default_factory=dict)
    """The damaged indexes, each with the check that found it."""
    damaged_tables: dict[str, JobId] = field(default_factory=dict)
    damaged_pages: dict[int, Micros] = field(default_factory=dict)
    """The pages that findings name, each with the end of the newest check that does."""
    damage: str | None = None
    broken_rule: str | None = None
    """The newest constraint violation; no damage."""
    broken_rule_found: CheckFinding | None = None
    """The check that found it."""
    found: CheckFinding | None = None
    """The check that found the damage; without damage, the newest with findings."""
    compared_at: Micros | None = None
    """When a full check last covered the whole database, clean or not."""
    first_quick_at: Micros | None = None
    """When the oldest quick check after the last full one was clean."""
    is_checked: bool = False
    """Whether the result of any check of this file is on record."""
    outdated: set[CheckLevel] = field(default_factory=set)
    """The levels whose older checks count no more, as a newer one of the whole database replaces them."""
    outdated_elsewhere: set[CheckLevel] = field(default_factory=set)
    """The same for checks of another file at the same path."""

    @property
    def checked_other_file(self) -> bool:
        """Whether a check on record was of another file at the same path."""
        return bool(self.outdated_elsewhere)

    def add(self, job: ParentJob, check: ChildJob, *, is_this: bool) -> None:
        """Take in the next older check. `is_this`: it was of the current file."""
        result = check.check_result
        if result is None:
            return
        level, is_clean = result.level, not result.findings
        self.is_checked |= is_this
        covers_all = covers_whole_database(Operation.CHECK, job.request.options)
        is_clean_quick = is_this and check.is_complete and covers_all and is_clean and level is CheckLevel.QUICK
        if is_clean_quick and CheckLevel.FULL not in self.outdated:
            self.first_quick_at = check.finished_at
        if level in (self.outdated if is_this else self.outdated | self.outdated_elsewhere):
            return
        self._add_findings(job, check, result, is_this=is_this)
        # `complete` covers pages and indexes, not foreign keys.
        is_over = check.status is Status.FAILED and not is_clean and result.complete
        if not (covers_all and (check.is_complete or is_over)):
            return
        levels = set(CheckLevel) if level is CheckLevel.FULL else {level}
        if not is_this:
            self.outdated_elsewhere |= levels
            return
        if result.suspected_tables:
            if is_clean and check.finished_at is not None:
                for clean in levels:
                    self.others_clean_at.setdefault(clean, check.finished_at)
            return
        if level is CheckLevel.FULL:
            self.compared_at = self.compared_at or check.finished_at
        if self.found is None and check.finished_at is not None:
            for clean in levels:
                self.clean_at.setdefault(clean, check.finished_at)
        if not result.only_indexes:
            self.outdated |= levels

    def _add_findings(self, job: ParentJob, check: ChildJob, result: CheckResult, *, is_this: bool) -> None:
        self.damaged = dict.fromkeys(result.damaged_indexes, check.id) | self.damaged
        self.damaged_tables = dict.fromkeys(result.damaged_tables or (), check.id) | self.damaged_tables
        if is_this and check.finished_at is not None:
            self.damaged_pages = dict.fromkeys(result.damaged_pages, check.finished_at) | self.damaged_pages
        seen = _found(job, check, result)
        if self.damage is None and result.damage is not None:
            self.damage, self.found = result.damage, seen
        if self.broken_rule is None and result.broken_rule is not None:
            self.broken_rule, self.broken_rule_found = result.broken_rule, seen
        self.found = self.found or seen


def check_history(jobs: Iterable[ParentJob], files: Collection[str] = ()) -> CheckHistory:
    """The results of the checks in these jobs, newest first, that no later check replaces.

    A check of the whole database replaces all earlier ones of the same or a lower level. A check of some objects, or an
    incomplete one, replaces nothing and proves nothing about the rest; its findings count.

    A check of another file at the same path replaces only checks of other files. Its findings count until the current
    file is checked. `files`: those that the database has been, by exchange; none: not known.
    """
    history = CheckHistory()
    for job, check in _children_of(jobs, Operation.CHECK):
        facts = check.after or {}
        history.add(job, check, is_this=not files or FILE not in facts or facts[FILE] in files)
    return history


def cleared_since(damaged: Mapping[str, JobId], jobs: Iterable[ParentJob]) -> Iterator[str]:
    """The damaged objects that a later complete check of at least the same level found sound.

    The jobs have their steps; they include the checks that found the damage.
    """
    checks = {check.id: check for _, check in _children_of(jobs, Operation.CHECK)}
    for name, found_by in damaged.items():
        finder = checks[found_by].check_result if found_by in checks else None
        level = CheckLevel.QUICK if finder is None else finder.level
        if any(_finds_well(check, name, level) for id_, check in checks.items() if id_ > found_by):
            yield name


def _finds_well(check: ChildJob, name: str, level: CheckLevel) -> bool:
    result = check.check_result
    if result is None or not result.complete or level is CheckLevel.FULL is not result.level:
        return False
    return name not in result.damaged and any(s.object == name and s.status is Status.COMPLETED for s in check.steps)


def repaired_since(damaged: Mapping[str, JobId], jobs: Sequence[ParentJob]) -> Iterator[str]:
    """The damaged tables that one of these jobs, with steps, has repaired since."""
    for name, found_by in damaged.items():
        repairs = (child for _, child in _children_of(jobs, Operation.REPAIR) if child.id > found_by)
        if any(name in step.done for child in repairs for step in child.steps):
            yield name


def _found(job: ParentJob, check: ChildJob, result: CheckResult) -> CheckFinding | None:
    if not result.findings or check.finished_at is None:
        return None
    # A check that stopped at damage stops there the next time, too.
    is_whole = result.complete or result.damage is not None or result.findings >= MAX_FINDINGS
    return CheckFinding(
        job=job.id,
        at=check.finished_at,
        findings=result.findings,
        orphans=result.orphans or 0,
        is_all=is_whole
        and result.level is CheckLevel.FULL
        and covers_whole_database(Operation.CHECK, job.request.options),
    )


def still_damaged(damaged: dict[str, JobId], jobs: Sequence[ParentJob]) -> Iterator[str]:
    """The damaged indexes that none of these jobs, with steps, has rebuilt since."""
    for name, found_by in damaged.items():
        rebuilds = (
            _rebuilds(job, child, name)
            for operation in REBUILDS
            for job, child in _children_of(jobs, operation)
            if child.id > found_by
        )
        if not any(rebuilds):
            yield name


def _rebuilds(job: ParentJob, child: ChildJob, name: str) -> bool:
    of_all = child.operation is Operation.REINDEX and covers_whole_database(child.operation, job.request.options)
    if of_all and child.is_complete and job.engine.is_file:
        return True  # one command may cover all indexes; a server skips some
    return any(name in step.done for step in child.steps if step.operation is Operation.REINDEX)


def failed_rebuilds(damaged: Collection[str], jobs: Iterable[ParentJob], since: Micros) -> dict[str, int]:
    """The damaged indexes whose last rebuild failed after `since`, each with the id of that job: one by name, or one of
    all that were damaged when it began."""
    last: dict[str, ChildJob] = {}
    for job, child in sorted(_children_of(jobs, Operation.REINDEX), key=lambda one: one[1].id):
        if (child.finished_at or 0) > since:
            options = job.request.options
            names = damaged if options.if_needed is not None else options.objects_for(Operation.REINDEX)
            last |= dict.fromkeys(names, child)
    failed = {name: child.id.parent for name, child in last.items() if child.reason is Reason.OPERATION_ERROR}
    return {name: failed[name] for name in damaged if name in failed}


def last_clean_check(checks: Iterable[ParentJob]) -> Micros:
    """When the newest clean check of the whole database ended; 0 without one."""
    clean = (
        child.finished_at or 0
        for job, child in _children_of(checks, Operation.CHECK)
        if child.is_complete
        and covers_whole_database(Operation.CHECK, job.request.options)
        and not ((check := child.check_result) and check.suspected_tables)
    )
    return next(clean, 0)


def vacuumed(jobs: Iterable[ParentJob]) -> PastJob | None:
    """The newest finished job with a completed VACUUM: its operations after VACUUM leave no free pages."""
    for job, child in _children_of(jobs, Operation.VACUUM):
        if child.is_complete and job.finished_at is not None:
            return PastJob(job.id, job.finished_at)
    return None


def replaced_files(jobs: Iterable[ParentJob]) -> dict[str, str]:
    """See `TargetHistory.replaced_files`."""
    facts = [child.after or {} for job in sorted(jobs, key=lambda job: -job.id) for child in reversed(job.children)]
    return {str(after.get(FILE)): str(after[REPLACED_FILE]) for after in reversed(facts) if REPLACED_FILE in after}


def pages_moved_at(jobs: Iterable[ParentJob]) -> Micros:
    """When an operation last moved the pages of a file in one of these jobs; 0 if none did. It may have done so and
    not have completed."""
    children = (child for job in jobs for child in job.children if child.operation in MOVES_PAGES)
    return max((child.finished_at or 0 for child in children if _has_moved_pages(child)), default=0)


def _has_moved_pages(child: ChildJob) -> bool:
    after = child.after or {}
    return child.status is Status.COMPLETED or any(after.get(fact) for fact in _MOVED)


def ran(jobs: Iterable[ParentJob]) -> dict[Operation, PastJob]:
    """By operation: the newest of these jobs, newest first, in which it completed in full."""
    newest: dict[Operation, PastJob] = {}
    for job in jobs:
        for child in job.children:
            is_whole = child.is_complete and covers_whole_database(child.operation, job.request.options)
            if is_whole and job.finished_at is not None:
                newest.setdefault(child.operation, PastJob(job.id, job.finished_at))
    return newest


def backed_up_at(jobs: Iterable[ParentJob], backups: Sequence[RecordedBackup] = ()) -> Micros | None:
    """When the newest backup completed: of these jobs and of these on record, both newest first.

    Old versions recorded no backup of a job; and a job may end early after its backup.
    """
    of_jobs = [child.finished_at for _, child in _children_of(jobs, Operation.BACKUP) if child.is_complete][:1]
    return max((at for at in (*of_jobs, *(one.finished_at for one in backups[:1])) if at is not None), default=None)


def _children_of(jobs: Iterable[ParentJob], operation: Operation) -> Iterator[tuple[ParentJob, ChildJob]]:
    """Newest first, as the jobs."""
    for job in jobs:
        yield from ((job, child) for child in reversed(job.children) if child.operation is operation)
