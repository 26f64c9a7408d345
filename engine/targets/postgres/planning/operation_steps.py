"""The SQL of VACUUM, ANALYZE, REINDEX and others on PostgreSQL, step by step, the longest first: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from engine.domain.humanize import counted
from engine.domain.option_specs import BY_NAME
from engine.domain.requests import IndexCleanup, Operation, Options, ServerOptions
from engine.targets.lock_impact import BLOCKS_MAINTENANCE, BLOCKS_NOBODY, Lock
from engine.targets.plans import longest_first
from engine.targets.postgres.connection.names import literal, quote
from engine.targets.postgres.planning.costs import STEP_OVERHEAD, weight
from engine.targets.postgres.planning.operation_specs import BLOCKS_WRITERS, SPECS
from engine.targets.postgres.planning.steps import Method, Model, PgStep, index_subject, table_subject
from engine.targets.postgres.reading.ages import NOT_OLD, Old
from engine.targets.postgres.reading.collations import CollationDrift, marks_of
from engine.targets.postgres.reading.relations import Index, Table

Settings = tuple[tuple[str, str], ...]
Columns = Mapping[int, Sequence[str]]
"""The columns of tables to collect statistics on, by the oid of the table."""
ALL_COLUMNS: Final[Columns] = MappingProxyType({})
PAGE: Final = 8192
SMALL: Final = 100
"""Pages. A smaller table without dead rows is not measured: for thousands that would take long."""
FEW: Final = 100
"""With more tables than this, small clean tables run without VERBOSE."""
STAGES: Final = (("1", "0"), ("10", None), (None, None))
"""Stages of an ANALYZE: the statistics target, and vacuum_cost_delay; None: the setting of the server."""
_OPTIONS_SINCE: Final = {"buffer_usage_limit": 16, "process_main": 16, "process_toast": 14, "tablespace": 14}


def unsupported_option(options: ServerOptions, version: int) -> str:
    """The option that this server does not support, and which version does; "" if it supports all."""
    asked = Options(server=options)
    for name, since in _OPTIONS_SINCE.items():
        if BY_NAME[name].differs_from_default(asked) and version < since * 10_000:
            option = BY_NAME[name].as_typed(asked)
            return f"{option} needs PostgreSQL {since} or newer, this one is {version // 10_000}"
    return ""


def unsafe_rebuild(options: ServerOptions, version: int) -> str:
    """Why this server must not rebuild indexes with these options; "" if it may."""
    if options.is_concurrent and 140_000 <= version < 140_004:
        return "REINDEX CONCURRENTLY of PostgreSQL 14.0 to 14.3 can damage indexes: upgrade first, or use --offline"
    return ""


def vacuum_steps(
    tables: Iterable[Table],
    options: Options,
    version: int,
    reasons: Mapping[int, str],
    old: Mapping[int, Old] | None = None,
    columns: Columns = ALL_COLUMNS,
) -> list[PgStep]:
    """`reasons`: why a table needs it, by oid. `old`: tables whose transaction ids must become younger.

    `columns`: see `analyze_steps`.
    """
    old = old or {}
    hurried, settings = _in_emergency(options.server), _speed(options)
    usual_words, hurried_words = (_vacuum_words(asked, version) for asked in (options.server, hurried))
    whole = [table for table in tables if not table.is_partitioned]
    steps = []
    for table in whole:
        aged = old.get(table.oid, NOT_OLD)
        asked = hurried if aged.is_emergency else options.server
        steps.append(
            _table_step(
                Operation.VACUUM,
                replace(table, visible_share=0.0) if asked.disable_page_skipping else table,
                hurried_words if aged.is_emergency else usual_words,
                Model.VACUUM_ANALYZE if asked.analyze else Model.VACUUM,
                version,
                lock=BLOCKS_MAINTENANCE if asked.truncate is False else SPECS[Operation.VACUUM].lock,
                tells=_tells(table, len(whole), asked),
                reason=reasons.get(table.oid) or aged.reason or _vacuum_reason(table, options.server),
                is_measured=_may_have_dead_rows(table),
                settings=(*settings, *aged.settings),
                columns=columns.get(table.oid, ()) if asked.analyze else (),
                is_followed=_leaves_work(table, aged, options.server),
            )
        )
    return oldest_first(longest_first(steps), old)


def after_emergency(
    tables: Iterable[Table],
    options: Options,
    version: int,
    old: Mapping[int, Old],
    columns: Columns = ALL_COLUMNS,
) -> list[PgStep]:
    """The usual VACUUM of the tables whose indexes or statistics the emergency left out. See `vacuum_steps`."""
    left = [table for table in tables if _leaves_work(table, old.get(table.oid, NOT_OLD), options.server)]
    reasons = {table.oid: "indexes and statistics, which the emergency left out" for table in left}
    return vacuum_steps(left, options, version, reasons, columns=columns)


def _leaves_work(table: Table, aged: Old, asked: ServerOptions) -> bool:
    """Whether VACUUM in an emergency leaves something undone; see `_in_emergency`."""
    has_dead_entries = table.indexes > 0 and (table.dead_rows > 0 or not table.is_counted)
    return aged.is_emergency and (asked.analyze or (asked.index_cleanup is None and has_dead_entries))


def oldest_first(steps: Iterable[PgStep], old: Mapping[int, Old]) -> list[PgStep]:
    """The steps of tables that must become young at once come first, the oldest before all."""
    ages = {oid: aged.age for oid, aged in old.items() if aged.is_emergency}
    return sorted(steps, key=lambda step: -ages.get(step.subject.oid, 0) if step.subject else 0)


def emergency(tables: Iterable[Table], old: Mapping[int, Old]) -> list[str]:
    """What to know where tables must become young at once; nothing where none must."""
    number = sum(old.get(table.oid, NOT_OLD).is_emergency for table in tables)
    if not number:
        return []
    how = "the oldest first, without ANALYZE and without their indexes. Both follow once all are young"
    return [f"{counted(number, 'table')} must become younger before the server refuses writes: {how}"]


def _in_emergency(asked: ServerOptions) -> ServerOptions:
    """The options that make a table young fastest: no ANALYZE; index cleanup and truncation only if asked for."""
    cleanup = IndexCleanup.OFF if asked.index_cleanup is None else asked.index_cleanup
    return replace(asked, index_cleanup=cleanup, truncate=bool(asked.truncate), analyze=False)


def _table_step(
    operation: Operation,
    table: Table,
    words: str,
    model: Model,
    version: int,
    *,
    lock: Lock,
    tells: bool,
    reason: str,
    is_measured: bool,
    settings: Settings,
    columns: Sequence[str],
    is_followed: bool = False,
) -> PgStep:
    """VACUUM or ANALYZE of a table. `words`: its options; `tells`: the server is asked what it does."""
    spec, name, what = SPECS[operation], operation.upper(), _only(table, version) + table.sql
    what += f" ({', '.join(map(quote, columns))})" if columns else ""
    verbose = f"{name} ({_all('VERBOSE', words)}) {what}"
    brackets = f" ({words})" if words else ""
    is_plain = not (tells or columns or table.has_children or table.is_partitioned or table.is_foreign)
    command = verbose if tells else f"{name}{brackets} {what}"
    subject = table_subject(table)
    return PgStep(
        object=subject.table,
        operation=operation,
        command=_with_settings(settings, command),
        first_command=command if settings else "",
        verbose_command="" if tells else verbose,
        group_command=f"{name} ({_all('SKIP_LOCKED', words)})" if is_plain else "",
        reason=reason,
        lock=lock,
        after_cancel=spec.after_cancel,
        conflict=subject.table,
        weight=weight(model, subject),
        method=Method.VACUUM,
        model=model,
        is_measured=is_measured,
        settings=settings,
        subject=subject,
        is_followed=is_followed,
    )


def _all(word: str, words: str) -> str:
    return f"{word}, {words}" if words else word


def _vacuum_reason(table: Table, asked: ServerOptions) -> str:
    if not asked.process_main:
        return "only its TOAST table, as you asked"
    if table.dead_rows:
        of_all = f", {table.dead_share:.0%} of all" if table.rows > 0 else ""
        return f"{counted(table.dead_rows, 'dead row')}{of_all}"
    if table.is_counted or not table.pages:
        return "no dead rows; freezes old rows and updates the visibility map"
    return "removes dead rows; the server has not counted them"


def _may_have_dead_rows(table: Table) -> bool:
    return table.dead_rows > 0 or not table.is_counted or table.pages >= SMALL


def _tells(table: Table, among: int, asked: ServerOptions) -> bool:
    """Whether the server is to tell what it does; it must where it may leave the table out."""
    return _may_have_dead_rows(table) or among <= FEW or asked.skip_locked


def _vacuum_words(asked: ServerOptions, version: int) -> str:
    words = ["FREEZE"] if asked.freeze else []
    words += ["ANALYZE"] if asked.analyze else []
    words += ["SKIP_LOCKED"] if asked.skip_locked else []
    if asked.index_cleanup is not None and (asked.index_cleanup is not IndexCleanup.AUTO or version >= 140_000):
        words.append(f"INDEX_CLEANUP {asked.index_cleanup.upper()}")
    if asked.truncate is not None:
        words.append(f"TRUNCATE {'ON' if asked.truncate else 'OFF'}")
    words += ["DISABLE_PAGE_SKIPPING"] if asked.disable_page_skipping else []
    words += [] if asked.process_main else ["PROCESS_MAIN OFF"]
    words += [] if asked.process_toast else ["PROCESS_TOAST OFF"]
    if asked.parallel_workers is not None:
        words.append(f"PARALLEL {asked.parallel_workers}")
    if version >= 160_000:
        words += _buffers(asked)
        words.append("SKIP_DATABASE_STATS")
    return ", ".join(words)


def _buffers(asked: ServerOptions) -> list[str]:
    return [] if asked.buffer_usage_limit is None else [f"BUFFER_USAGE_LIMIT '{asked.buffer_usage_limit} kB'"]


def database_statistics(version: int) -> list[PgStep]:
    """What comes once after many VACUUMs; before PostgreSQL 16 each does it itself."""
    if version < 160_000:
        return []
    return [
        PgStep(
            object="database",
            command="VACUUM (ONLY_DATABASE_STATS)",
            reason="renews the age of the whole database, once after all tables",
            lock=BLOCKS_NOBODY,
            mandatory_follow_up=True,
            weight=STEP_OVERHEAD,
            method=Method.STATISTICS,
        )
    ]


def supports_only(version: int) -> bool:
    """Whether a partitioned table can be analyzed without its partitions."""
    return version >= 180_000


def _only(table: Table, version: int) -> str:
    """From PostgreSQL 18 on a table's children would be done with it, and again as themselves."""
    return "ONLY " if supports_only(version) and table.has_children else ""


def analyze_steps(
    tables: Iterable[Table],
    options: Options,
    version: int,
    reasons: Mapping[int, str],
    columns: Columns = ALL_COLUMNS,
) -> list[PgStep]:
    """`reasons`: why a table needs it, by oid. `columns`: the only ones to collect statistics on."""
    asked = options.server
    words = ", ".join(
        [*(["SKIP_LOCKED"] if asked.skip_locked else []), *(_buffers(asked) if version >= 160_000 else [])]
    )
    to_analyze, steps = list(tables), []
    for target, delay in STAGES if asked.in_stages else STAGES[-1:]:
        settings: Settings = (("default_statistics_target", target),) if target is not None else ()
        settings += _speed(options) or ((("vacuum_cost_delay", delay),) if delay is not None else ())
        staged = f"statistics with {f'target {target}' if target else 'the usual target'}" if asked.in_stages else ""
        of_stage = [
            _table_step(
                Operation.ANALYZE,
                table,
                words,
                Model.ANALYZE,
                version,
                lock=SPECS[Operation.ANALYZE].lock,
                tells=_tells(table, len(to_analyze), asked),
                reason=staged or reasons.get(table.oid, _analyze_reason(table)),
                is_measured=False,
                settings=settings,
                columns=columns.get(table.oid, ()),
            )
            for table in to_analyze
        ]
        steps += longest_first(of_stage)
    return steps


def _analyze_reason(table: Table) -> str:
    if table.is_partitioned or table.is_foreign:
        return f"autovacuum never analyzes {'partitioned' if table.is_partitioned else 'foreign'} tables"
    return "collects current statistics"


def reindex_steps(
    indexes: Iterable[Index],
    tables: dict[int, Table],
    options: Options,
    reasons: Mapping[int, str],
    drifts: Sequence[CollationDrift] = (),
    expected: Collection[int] = (),
) -> list[PgStep]:
    """One step for each index. Two concurrent rebuilds on one table would deadlock.

    `expected`: the oids of indexes that are looked at again after VACUUM.
    """
    spec, offline, tablespace = SPECS[Operation.REINDEX], not options.server.is_concurrent, options.server.tablespace
    moved = "" if tablespace is None else f"(TABLESPACE {quote(tablespace)}) "
    model = Model.REINDEX if offline else Model.REINDEX_CONCURRENTLY
    marks = marks_of(drifts)
    steps = [
        PgStep(
            object=index.shown,
            operation=Operation.REINDEX,
            command=f"REINDEX {'' if index.of_toast else moved}INDEX {'' if offline else 'CONCURRENTLY '}{index.sql}",
            reason=reasons.get(index.oid)
            or (f"TOAST of {index.table_shown}" if index.of_toast else "rebuilt because you asked"),
            lock=BLOCKS_WRITERS if offline else spec.lock,
            after_cancel="nothing changed" if offline else spec.after_cancel,
            disk_needed=index.pages * PAGE,
            conflict=index.table_shown,
            frees_conflict_early=True,
            weight=weight(model, index_subject(index, tables.get(index.table_oid))),
            method=Method.REINDEX if offline else Method.REINDEX_CONCURRENTLY,
            model=model,
            subject=index_subject(index, tables.get(index.table_oid)),
            collations=marks.get(index.oid, ()),
            expects_vacuum=index.oid in expected,
        )
        for index in indexes
    ]
    return longest_first(steps)


def rewrite_steps(operation: Operation, tables: Iterable[Table], options: Options, version: int) -> list[PgStep]:
    """VACUUM FULL, or CLUSTER of tables that have an index to go by; each with ANALYZE.

    Without that the server, and our advice, go on with the dead rows that it had counted before.
    """
    spec = SPECS[operation]
    method = Method.VACUUM_FULL if operation is Operation.VACUUM_FULL else Method.CLUSTER
    steps = []
    for table in tables:
        only = _only(table, version)
        full, cluster = f"VACUUM (FULL, VERBOSE) {only}{table.sql}", f"CLUSTER {table.sql} USING"
        first = full if operation is Operation.VACUUM_FULL else f"{cluster} {quote(table.clustered_by or '')}"
        then = f"ANALYZE (VERBOSE) {only}{table.sql}"
        steps.append(
            PgStep(
                object=table.shown,
                command=_with_settings(_speed(options), f"{first}; {then}"),
                first_command=first,
                follow_up_command=then,
                settings=_speed(options),
                reason="rewritten because you asked; ANALYZE then renews its statistics",
                lock=spec.lock,
                after_cancel=f"{spec.after_cancel}; after the rewrite, only ANALYZE is left out",
                disk_needed=(table.pages + table.index_pages) * PAGE,
                conflict=table.shown,
                weight=weight(Model.REWRITE, table_subject(table)),
                method=method,
                model=Model.REWRITE,
                subject=table_subject(table),
            )
        )
    return longest_first(steps)


def drop_steps(leftovers: Iterable[Index]) -> list[PgStep]:
    spec = SPECS[Operation.CLEAN_LEFTOVERS]
    return [
        PgStep(
            object=index.shown,
            command=f"DROP INDEX CONCURRENTLY IF EXISTS {index.sql}",
            reason=f"an interrupted REINDEX CONCURRENTLY of {index.table_shown} left it: no query uses it",
            lock=spec.lock,
            after_cancel=spec.after_cancel,
            conflict=index.table_shown,
            weight=STEP_OVERHEAD,
            method=Method.DROP_LEFTOVER,
            subject=index_subject(index),
        )
        for index in leftovers
    ]


_TENDED_BY: Final = {"gin": "gin_clean_pending_list", "brin": "brin_summarize_new_values"}


def tend_steps(indexes: Iterable[Index], reasons: Mapping[int, str], table_pages: Mapping[int, int]) -> list[PgStep]:
    """What VACUUM would do to these indexes, without the rest of it."""
    return [
        PgStep(
            object=index.shown,
            operation=Operation.VACUUM,
            command=f"SELECT pg_catalog.{_TENDED_BY[index.method]}({literal(index.sql)}::pg_catalog.regclass)",
            reason=reasons[index.oid],
            lock=BLOCKS_MAINTENANCE if index.method == "brin" else BLOCKS_NOBODY,
            after_cancel="the part that is done stays done",
            conflict=index.table_shown,
            weight=STEP_OVERHEAD,
            method=Method.TEND_INDEX,
            is_measured=False,
            subject=replace(index_subject(index), table_pages=table_pages[index.oid]),
        )
        for index in indexes
    ]


def _with_settings(settings: Settings, command: str) -> str:
    """The command after its settings."""
    return "; ".join([*(f"SET {name} = {literal(value)}" for name, value in settings), command])


def _speed(options: Options) -> Settings:
    """The cost settings of a manual VACUUM, which has no delay by default."""
    delay = {"gentle": "10", "normal": "2"}.get(options.server.speed)
    limit = {"gentle": "200", "normal": "400"}.get(options.server.speed)
    return (("vacuum_cost_delay", f"{delay}ms"), ("vacuum_cost_limit", str(limit))) if delay else ()
