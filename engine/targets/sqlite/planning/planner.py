"""The plan of an operation, or its refusal, from everything that was read for it; its SQL: `operation_steps.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.domain.advice import TargetHistory, with_replaced
from engine.domain.errors import UsageError
from engine.domain.requests import CheckLevel, Operation, Options, SqliteLibrary
from engine.domain.steps import WHOLE
from engine.domain.turns import NO_TURNS, Turns
from engine.system.mounts import is_local
from engine.targets.disk_space import largest_shortfalls
from engine.targets.plans import ALL_DONE, OperationPlan, by_turn, with_free_space, without_done
from engine.targets.sqlite.connection import bundled
from engine.targets.sqlite.connection.names import folded, quote
from engine.targets.sqlite.planning import (
    backup_steps,
    check_steps,
    copy_costs,
    costs,
    libraries,
    operation_specs,
    operation_steps,
    preflight,
)
from engine.targets.sqlite.planning.copy_costs import Content
from engine.targets.sqlite.planning.libraries import cannot_be_analyzed, parts_to_check, would_optimize
from engine.targets.sqlite.planning.obstacles import REWRITING, against_vacuum, cannot_be_copied
from engine.targets.sqlite.planning.steps import CHECKING, LOSING, WRITING, Method, SqliteStep
from engine.targets.sqlite.planning.tuning import TAKES_MEMORY, TAKES_PROCESSORS, Tuning, as_text, pragmas, tuning
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.catalog import Index, Summary, Table
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.sqlite.reading.shape import named_indexes, named_tables
from engine.targets.sqlite.system import copying, swapping
from engine.targets.sqlite.system.files import temporary_directory
from engine.targets.sqlite.system.machine import available_memory, processors
from engine.targets.sqlite.system.old_backups import BackupSeries, Stays, describe_staying, find
from engine.targets.sqlite.system.opened_file import number_of
from engine.targets.sqlite.system.replicators import described, replicators
from engine.targets.sqlite.system.unfinished_backup import directory_for

_NONE_REMOVED: Final = "no old backup is removed"
WORTH_AN_EXCHANGE: Final = 50_000_000
"""Bytes in use: below that VACUUM in place is over in a moment."""

_WORTH_A_PERCENT: Final = 200_000_000
"""Bytes of tables and indexes from which an ANALYZE of all of them takes long enough to show its progress."""


def needs(operation: Operation, options: Options) -> tuple[Sequence[str], Callable[[Summary], bool]]:
    """What the plan of an operation needs besides the summary: commands that are compiled; and whether the tables."""
    if options.objects_for(operation):
        return (), lambda _: False
    match operation:
        case Operation.ANALYZE:
            return ("ANALYZE main",), operation_steps.is_small
        case Operation.REINDEX:
            return ("REINDEX",), operation_steps.are_rebuilt_soon
        case Operation.CHECK:
            return (check_steps.check_command(options.check_level),), operation_steps.is_small
        case _:
            return (), lambda _: False


async def plan(
    reader: Reader,
    summary: Summary,
    operation: Operation,
    options: Options,
    past: TargetHistory | None = None,
    *,
    shared: bool = False,
) -> OperationPlan:
    """See `Session.plan`. `shared`: there are others who cannot write while a check reads."""
    if (objects := options.objects_for(operation)) != options.objects:
        options = replace(options, objects=objects)
    exchanges = operation is Operation.VACUUM and options.swap
    chosen = tuning(
        operation,
        used_bytes=summary.used,
        size=summary.size,
        memory=available_memory() if operation in TAKES_MEMORY else None,
        processors=processors() if operation in TAKES_PROCESSORS else 1,
        local=is_local(reader.path),
        whole=not options.objects and options.analysis_limit is None,
        in_place=not exchanges,
    )
    # An exchange is refused there, forced or not.
    rewrites = operation in REWRITING and not exchanges
    causes = described(await reader.read(lambda _: replicators(reader.path))) if rewrites else ""
    if causes and not options.force:
        return OperationPlan(operation=operation, refused=f"{causes}. Use --force to go on")
    planning = _planned(reader, summary, operation, options, past, chosen, shared=shared)
    if options.sqlite is SqliteLibrary.BUNDLED and operation is Operation.REINDEX:
        planned, library = await asyncio.gather(planning, asyncio.to_thread(_bundled_library))  # side by side
    else:
        planned, library = await planning, None
    if causes and planned.steps:
        planned = replace(planned, warnings=(*planned.warnings, causes))
    planned = without_done(planned, options.done_by(operation))
    if library is not None and planned.steps:
        planned = await _by_bundled(reader, planned, library)
    if operation in {Operation.VACUUM, Operation.REINDEX} and not options.force:
        planned = _counting_rows(planned, past)
    planned = _with_settings(planned, chosen, summary, options)
    needs_space = any(step.needs for step in planned.steps)
    return await reader.read(lambda _: _with_space(planned, options)) if needs_space else planned


def _counting_rows(plan: OperationPlan, past: TargetHistory | None) -> OperationPlan:
    """The plan, whose steps refuse to remove the last trace of lost rows, also where a person took note of damage: that
    does not say whether the table or its index is right."""
    compares = plan.operation is Operation.REINDEX and past is not None and bool(past.accepted_damage)
    return replace(
        plan,
        steps=tuple(
            replace(step, counts_rows=True, compares_values=compares)
            if isinstance(step, SqliteStep) and step.method in LOSING
            else step
            for step in plan.steps
        ),
    )


def _bundled_library() -> bundled.Library | str:
    """The library, or why it cannot be used, as text."""
    if not bundled.is_installed():
        return libraries.NOT_INSTALLED
    try:
        return bundled.bundled_library()
    except OSError as error:
        return f"the bundled SQLite does not start: {error.strerror}. Leave out --sqlite"


async def _by_bundled(reader: Reader, plan: OperationPlan, library: bundled.Library | str) -> OperationPlan:
    if isinstance(library, str):
        return OperationPlan(operation=plan.operation, refused=library)
    ((version, synchronous, overwrites),) = await reader.rows(query("library"))
    return libraries.by_bundled(
        plan,
        library,
        bundled.Library(version, frozenset(name for (name,) in await reader.rows("PRAGMA compile_options"))),
        (f"PRAGMA main.synchronous = {synchronous}",),
        [name for (name,) in await reader.rows(query("computed_indexes"))],
        overwrites_deleted=bool(overwrites),
    )


async def _planned(
    reader: Reader,
    summary: Summary,
    operation: Operation,
    options: Options,
    past: TargetHistory | None,
    chosen: Tuning,
    *,
    shared: bool,
) -> OperationPlan:
    wal, turns = summary.is_wal, NO_TURNS if past is None else past.turns
    match operation:
        case Operation.VACUUM:
            return await _vacuum(reader, summary, options, chosen)
        case Operation.ANALYZE:
            return await _analyze(reader, summary, options, turns)
        case Operation.REINDEX:
            return await _reindex(reader, summary, options, turns)
        case Operation.OPTIMIZE:
            return await _optimize(reader, summary)
        case Operation.CHECK:
            checking = await _check(reader, summary, options, chosen, shared=shared)
            return replace(checking, steps=tuple(by_turn(checking.steps, operation, turns)))
        case Operation.CHECKPOINT if not wal:
            why = f"the journal mode is {summary.journal_mode}: there is no write-ahead log to write back"
            return OperationPlan(operation=operation, not_needed=why)
        case Operation.CHECKPOINT:
            return _of(operation, operation_steps.checkpoint_steps(summary))
        case Operation.INCREMENTAL_VACUUM if summary.auto_vacuum != catalog.INCREMENTAL:
            why = "auto_vacuum is not incremental: only VACUUM can give pages back"
            return OperationPlan(operation=operation, not_needed=why)
        case Operation.INCREMENTAL_VACUUM if not summary.free_pages:
            return OperationPlan(operation=operation, not_needed="no page is free")
        case Operation.INCREMENTAL_VACUUM:
            return _of(operation, operation_steps.incremental_vacuum_steps(summary))
        case Operation.FTS_OPTIMIZE:
            return await _fts_optimize(reader, summary, turns)
        case Operation.BACKUP:
            return await _backup(reader, summary, options, past)
        case _:
            raise UsageError(str(operation), "SQLite has no such operation")


async def _analyze(reader: Reader, summary: Summary, options: Options, turns: Turns) -> OperationPlan:
    limit, objects = options.analysis_limit, options.objects
    whole = await _why_whole(reader, options)
    done = options.done_by(Operation.ANALYZE)
    steps = operation_steps.analyze_all_steps(summary, limit) if not (whole or objects or done) else []
    if steps and await reader.problem_with("ANALYZE main") is None:
        # A shorter one is over before its percent would be read.
        known = await reader.tables(counting=False) if summary.used >= _WORTH_A_PERCENT else []
        course = costs.analyze_course(known, limit)
        return _of(Operation.ANALYZE, [replace(step, course=course) for step in steps])
    if operation_steps.is_small(summary):
        tables = named_tables(await reader.tables_uncounted(), objects)
    else:
        tables = await reader.tables(objects, counting=False)  # which would take a tenth of the time
    damaged = frozenset(options.leave_out)
    left_out = [table for table in tables if table.name in damaged]
    tables = [table for table in tables if table.name not in damaged | done]
    if done and not tables:
        return OperationPlan(operation=Operation.ANALYZE, not_needed=ALL_DONE)
    left_out_warnings = preflight.left_out((await cannot_be_analyzed(reader, left_out)).items()) if left_out else ()
    problems = await _problems(reader, "ANALYZE main", "ANALYZE", () if whole else [table.name for table in tables])
    steps = operation_steps.analyze_steps(
        tables, summary, limit=limit, objects=objects, whole=whole, failing=problems.keys(), turns=turns
    )
    warnings = (*left_out_warnings, *preflight.certain_to_fail(problems.items()))
    return replace(_of(Operation.ANALYZE, steps), warnings=warnings)


async def _reindex(reader: Reader, summary: Summary, options: Options, turns: Turns) -> OperationPlan:
    soon = operation_steps.are_rebuilt_soon(summary) and not options.objects
    tables = await (reader.tables_uncounted() if soon else reader.tables())
    done = options.done_by(Operation.REINDEX)
    indexes = [index for index in await indexes_of(reader, tables, options.objects) if index.name not in done]
    if done and not indexes:
        why = "an earlier job has rebuilt every index, and its write-ahead log is not written back"
        follow_up = operation_steps.log_written_back(summary, why)
        return replace(_of(Operation.REINDEX, follow_up), not_needed=None if follow_up else ALL_DONE)
    roots = {index.table if index.is_table else index.name for index in indexes}
    sizes = {} if soon else await reader.tree_sizes(roots)
    whole = await _why_whole(reader, options)
    problems = await _problems(reader, "REINDEX", "REINDEX", () if whole else [index.name for index in indexes])
    steps = operation_steps.reindex_steps(
        indexes,
        tables,
        summary,
        reader.path,
        temporary_directory(),
        whole=whole,
        failing=problems.keys(),
        turns=turns,
        sizes=sizes,
    )
    return replace(_of(Operation.REINDEX, steps), warnings=preflight.certain_to_fail(problems.items()))


async def _why_whole(reader: Reader, options: Options) -> str:
    """Why no table or index is processed on its own; "" if they are."""
    nameless = sorted(await reader.names_that_are_no_text()) if not options.objects else []
    return f"all at once: {preflight.no_text(nameless)}" if nameless else ""


async def _fts_optimize(reader: Reader, summary: Summary, turns: Turns) -> OperationPlan:
    segments, nameless = await reader.fts_segments(), await reader.names_that_are_no_text()
    if not segments:
        return OperationPlan(operation=Operation.FTS_OPTIMIZE, not_needed="there is no full-text index (FTS5)")
    left_out = sorted(nameless & segments.keys())
    named = {name: known for name, known in segments.items() if name not in nameless}
    if not named:
        return OperationPlan(operation=Operation.FTS_OPTIMIZE, refused=preflight.no_text(left_out))
    unsafe = await reader.unsafe_full_text(named)
    problems = [preflight.unsafe_full_text(name, table) for name, table in unsafe.items()]
    named = {name: known for name, known in named.items() if name not in unsafe}
    if not named:
        return OperationPlan(operation=Operation.FTS_OPTIMIZE, refused="; ".join(problems))
    warnings = (*((f"{preflight.no_text(left_out)}, and not optimized",) if left_out else ()), *problems)
    steps = operation_steps.fts_optimize_steps(named, summary, turns)
    return replace(_of(Operation.FTS_OPTIMIZE, steps), warnings=warnings)


async def indexes_of(reader: Reader, tables: Sequence[Table], objects: Sequence[str]) -> list[Index]:
    """The indexes that were named, or whose tables were; all where nothing was named.

    Raises UsageError for a name that is neither, and for a table that has none.
    """
    indexes = [*named_indexes(tables, objects), *await _keys(reader, tables, objects)]
    known = {folded(name) for index in indexes for name in (index.name, index.table)}
    for name in objects:
        if folded(name) not in known:
            raise UsageError(f"object {name}", "has no index", "name another, or leave it out")
    return indexes


async def _keys(reader: Reader, tables: Sequence[Table], objects: Sequence[str]) -> list[Index]:
    """WITHOUT ROWID tables, as the indexes that they are: of those that were asked for, or of all.

    Without the tables in which a virtual table keeps its own data.
    """
    if not any(table.without_rowid for table in tables):
        return []
    named = {folded(name) for name in objects}
    by_name = {folded(table.name): table for table in tables}
    virtual = {folded(name) for name, _ in await reader.rows(query("virtual_tables"))}
    return [
        Index(name=key, table=name, automatic=True, unique=True, columns=table.columns, rows=table.rows, is_table=True)
        for name, key in await reader.rows(query("keys_without_rowid"))
        for table in [by_name.get(folded(name), Table(name=name))]
        if (not named or folded(name) in named) and folded(name).rpartition("_")[0] not in virtual
    ]


async def _vacuum(reader: Reader, summary: Summary, options: Options, chosen: Tuning) -> OperationPlan:
    obstacles = await against_vacuum(reader, force=options.force)
    if obstacles.refused is not None:
        return OperationPlan(operation=Operation.VACUUM, refused=obstacles.refused)
    if options.swap:
        if problem := await asyncio.to_thread(swapping.problem_with, reader.path):
            return OperationPlan(operation=Operation.VACUUM, refused=problem)
        if await asyncio.to_thread(swapping.keeps_journal, reader.opened):
            return OperationPlan(operation=Operation.VACUUM, refused=swapping.KEEPS_JOURNAL)
    fill = await reader.page_fill(summary)
    content = operation_steps.content_of(summary, fill, () if fill is None else await reader.copied_trees(summary))
    steps = operation_steps.vacuum_steps(
        summary,
        reader.path,
        in_memory=bool(chosen.temporary),
        temporary_directory=temporary_directory(),
        fts_to_rebuild=obstacles.rebuild,
        may_renumber=options.force,
        fill=fill,
        content=content,
        unfinished=directory_for(reader.path) if options.swap else "",
        compared=options.verify,
    )
    may_be_offered = not options.swap and summary.used >= WORTH_AN_EXCHANGE
    offer = (
        await asyncio.to_thread(_offer_of_exchange, reader, content, steps[0], compared=options.verify)
        if may_be_offered
        else ""
    )
    warnings = preflight.rowids_changed(obstacles.renumbering)
    if options.swap and await asyncio.to_thread(swapping.lacks_file_system_journal, reader.path):
        warnings = (*warnings, swapping.NO_FILE_SYSTEM_JOURNAL)
    return replace(_of(Operation.VACUUM, steps), warnings=warnings, offer=offer)


def _offer_of_exchange(reader: Reader, content: Content, vacuum: SqliteStep, *, compared: bool) -> str:
    """The gain of an exchange, if it is possible now; "" if not. `compared`: with its copy compared."""
    if swapping.problem_with(reader.path) is not None or swapping.lacks_file_system_journal(reader.path):
        return ""
    if swapping.who_else_has_it_open(reader.opened) or swapping.keeps_journal(reader.opened):
        return ""
    usual, seconds = vacuum.estimate, copy_costs.exchange(content, compared=compared).seconds
    if usual is None or seconds is None or seconds >= usual:
        return ""
    return (
        f"--swap takes {seconds / usual:.0%} of the time: no other process has the file open, so a copy can replace it"
    )


async def _optimize(reader: Reader, summary: Summary) -> OperationPlan:
    tables = await reader.tables_uncounted()
    problems = await cannot_be_analyzed(reader, tables)
    outdated = await would_optimize(reader, tables) if problems else []
    left_out = preflight.left_out([(table.name, problems[table.name]) for table in outdated if table.name in problems])
    if not left_out:
        return _of(Operation.OPTIMIZE, operation_steps.optimize_steps(tables, summary))
    possible = [table for table in outdated if table.name not in problems]
    if not possible:
        return OperationPlan(operation=Operation.OPTIMIZE, refused="; ".join(left_out))
    steps = operation_steps.analyze_steps(possible, summary, limit=operation_steps.OPTIMIZE_LIMIT)
    return replace(_of(Operation.OPTIMIZE, steps), warnings=left_out)


async def _check(reader: Reader, summary: Summary, options: Options, chosen: Tuning, *, shared: bool) -> OperationPlan:
    parallel = options.jobs or (1 if shared else chosen.parallel)
    is_full = options.check_level is CheckLevel.FULL
    if operation_steps.is_small(summary) and not options.objects and options.jobs is None:
        tables = await reader.tables_uncounted()
    else:
        tables = await reader.with_check_opcodes(summary, await reader.tables(options.objects), full=is_full)
    foreign_keys, virtual_tables = await reader.read(
        lambda db: (db.execute(query("foreign_keys")).fetchall(), db.execute(query("virtual_tables")).fetchall())
    )
    keys = dict(foreign_keys)
    parts = [] if options.objects else await parts_to_check(reader, tables, options.check_level)
    warnings: tuple[str, ...] = ()
    if parts and not any(part.level for part in parts):
        why = "; ".join(part.warning for part in parts)
        if options.verify:  # the operations between the two checks know what they need themselves
            return OperationPlan(operation=Operation.CHECK, not_needed="nothing can be checked here", warnings=(why,))
        return OperationPlan(operation=Operation.CHECK, refused=why)
    if parts:
        missing = await reader.missing_code("PRAGMA main.foreign_key_check")
        steps = check_steps.steps_of_parts(parts, summary, foreign_keys=missing is None, keys=keys)
        warnings = tuple(filter(None, (part.warning for part in parts)))
        if missing is not None:
            warnings += (f"foreign keys are not checked: {missing}, which only its application has",)
    else:
        steps = check_steps.check_steps(
            tables,
            summary,
            options.check_level,
            named=bool(options.objects),
            in_parts=(parallel > 1 or shared)
            and (summary.size >= operation_specs.CHECKED_IN_PARTS or options.jobs is not None)
            and not await _why_whole(reader, options),
            keys=keys,
            texts=await reader.checked_texts(summary, virtual_tables),
        )
        if options.objects:
            commands = {table.name: check_steps.check_command(CheckLevel.FULL, table.name) for table in tables}
            problems = [(name, await reader.missing_code(command)) for name, command in commands.items()]
            warnings = preflight.certain_to_fail((name, why) for name, why in problems if why is not None)
    warnings += () if options.objects else await _unreadable_virtual_tables(reader, virtual_tables)
    return replace(_of(Operation.CHECK, steps), parallel=parallel if len(steps) > 2 else 1, warnings=warnings)


async def _unreadable_virtual_tables(
    reader: Reader, virtual_tables: Sequence[tuple[str, str | None]]
) -> tuple[str, ...]:
    """A sentence for each virtual table that only its application can read: SQLite passes over it in silence."""
    problems = [(name, await reader.missing_code(f"SELECT 1 FROM main.{quote(name)}")) for name, _ in virtual_tables]
    return tuple(
        f"{name} is not checked: {problem}, which only its application has"
        for name, problem in problems
        if problem is not None
    )


async def _backup(reader: Reader, summary: Summary, options: Options, past: TargetHistory | None) -> OperationPlan:
    today = datetime.now(UTC).date()
    destination = await asyncio.to_thread(copying.destination, reader.path, options.backup_to, today)
    numbered = destination != options.backup_to
    renumbering = await reader.renumbering(into=True)
    if problem := await asyncio.to_thread(copying.problem_with, destination, numbered=numbered):
        return OperationPlan(operation=Operation.BACKUP, refused=problem)
    obstacle = await cannot_be_copied(reader)
    by_pages = preflight.rowids_in_use_of_copy(renumbering) if obstacle is None else obstacle.why
    place, written_twice = await asyncio.to_thread(copying.place_for, destination)
    is_known_damaged = past is not None and (past.damage is not None or bool(past.damaged_indexes))
    planned = backup_steps.PlannedCopy(
        destination=destination,
        unfinished=directory_for(destination, place),
        numbered=numbered,
        written_twice=written_twice,
        compared=options.verify,
        is_known_damaged=is_known_damaged,
        by_pages=by_pages,
    )
    steps = backup_steps.backup_steps(summary, planned, await reader.tables(counting=False))
    changed = () if by_pages else preflight.rowids_changed(renumbering)
    if options.keep is None:
        return replace(_of(Operation.BACKUP, steps), warnings=changed)
    if is_known_damaged:
        kept = f"{_NONE_REMOVED}: the database is on record as damaged"
        return replace(_of(Operation.BACKUP, steps), warnings=(*changed, kept))
    removal, warnings = await _removal(reader, summary, destination, options.keep, past, numbered=numbered)
    return replace(_of(Operation.BACKUP, [*steps, *removal]), warnings=(*changed, *warnings))


async def _removal(
    reader: Reader, summary: Summary, destination: str, keep: int, past: TargetHistory | None, *, numbered: bool
) -> tuple[list[SqliteStep], tuple[str, ...]]:
    """The step that removes the oldest backups, if there are more than `keep`; and warnings of those that stay."""
    if not numbered:
        hint = "give a directory, or leave out --keep"
        return [], (f"{_NONE_REMOVED}: --backup-to names a file, and only names that dbtend chooses count ({hint})",)
    if past is None or past.maintained_files is None:
        why = "there is no job history to go by" if past is None else "the config file cannot be read"
        return [], (f"{_NONE_REMOVED}: {why}",)
    directory = str(Path(destination).parent)
    sources = frozenset(map(number_of, with_replaced(reader.opened.key, past.replaced_files)))
    series = BackupSeries(database=reader.path, sources=sources, directory=directory, recorded=past.backups)
    try:
        old = await asyncio.to_thread(find, series, keep, past.maintained_files)
    except OSError as error:
        return [], (f"{_NONE_REMOVED}: {directory} cannot be read ({error.strerror or error})",)
    step = backup_steps.removal_step(summary, series, old, keep)
    told = {name: reason for name, reason in old.staying.items() if reason != Stays.UNKNOWN}
    return [] if step is None else [step], describe_staying(told)


async def _problems(reader: Reader, whole: str, command: str, names: Sequence[str]) -> dict[str, str]:
    """What keeps `command` from some of these tables or indexes, as SQLite knows without running it.

    Without names: what keeps `whole`, which is for all, from everything.
    """
    problem = await reader.problem_with(whole)
    if problem is None or not names:
        return {WHOLE: problem} if problem is not None else {}
    problems = {name: await reader.problem_with(f"{command} main.{quote(name)}") for name in names}
    return {name: problem for name, problem in problems.items() if problem is not None}


def _of(operation: Operation, steps: Sequence[SqliteStep]) -> OperationPlan:
    return OperationPlan(operation=operation, steps=tuple(steps))


def _with_settings(plan: OperationPlan, chosen: Tuning, summary: Summary, options: Options) -> OperationPlan:
    """The plan, with everything that the execution of its steps needs."""
    if not plan.steps:
        return plan
    settings = pragmas(chosen)
    has_follow_up = any(step.missing_effect for step in plan.steps)
    checks = sum(isinstance(step, SqliteStep) and step.method is Method.CHECK for step in plan.steps)
    steps = [
        replace(
            step,
            settings=(*settings, *step.settings),
            read_ahead=chosen.read_ahead and number == 0,
            write_behind=chosen.write_behind and step.method in WRITING,
            is_wal=summary.is_wal,
            blocks_writers=_blocks_writers(step, plan, summary),
            ignores_space=options.force,
            has_follow_up=has_follow_up,
            check_level=options.check_level,
            checks=checks,
        )
        for number, step in enumerate(plan.steps)
        if isinstance(step, SqliteStep)
    ]
    if plan.parallel != chosen.parallel:
        chosen = replace(chosen, parallel=plan.parallel)
    return replace(
        plan,
        steps=tuple(steps),
        settings=steps[0].settings,
        settings_reason=", ".join(filter(None, (as_text(chosen), plan.settings_reason))),
    )


def _blocks_writers(step: SqliteStep, plan: OperationPlan, summary: Summary) -> bool:
    if step.method in WRITING:
        return True
    # While several checks run at once, one always holds the lock: a pause of another one is useless.
    return step.method in CHECKING and not summary.is_wal and plan.parallel == 1


def _with_space(plan: OperationPlan, options: Options) -> OperationPlan:
    """The plan, refused where the disk has no room for it; with `force` that is a warning."""
    problems = largest_shortfalls(step.needs for step in plan.steps)  # of steps that take their space one after another
    plan = replace(plan, steps=tuple(map(with_free_space, plan.steps)))
    if not problems:
        return plan
    if options.force:
        return replace(plan, warnings=(*plan.warnings, *problems))
    hint = "Free some space, or use --force: a full disk does not damage the data"
    return replace(plan, steps=(), settings=(), settings_reason="", refused=f"{'; '.join(problems)}. {hint}")
