"""Each option of a request declared once, in the order of the fields of `Options`, then of `ServerOptions`.

Command line, config file, store, JSON, validation, the text of a request and the reference follow from this table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from engine.domain.engines import EngineName
from engine.domain.humanize import counted
from engine.domain.number_types import Duration, Limits, RowLimit, Seconds, Size, TimeLimit, Whole
from engine.domain.option_spec import ANY_OPERATION, MYSQL, POSTGRESQL, SQLITE, OptionSpec, Place
from engine.domain.requests import (
    DEFAULT_OPTIONS,
    MAX_WAIT,
    CheckLevel,
    IndexCleanup,
    OnFailure,
    Operation,
    Options,
    Speed,
    SqliteLibrary,
)
from engine.domain.value_types import (
    Choice,
    FilePath,
    Flag,
    Names,
    ObjectsDone,
    QueueName,
    SchemaNames,
    Text,
    TimeOfDay,
)


def _postgresql(*operations: Operation) -> dict[EngineName, Collection[Operation]]:
    return {POSTGRESQL: operations or ANY_OPERATION}


def _check_text(options: Options) -> str:
    return "" if options.verify else f"{options.check_level} check{' first' if options.check_first else ''}"


_VACUUMS: Final = _postgresql(Operation.VACUUM, Operation.OPTIMIZE)
_READ_TABLES: Final = _postgresql(Operation.VACUUM, Operation.ANALYZE, Operation.OPTIMIZE)
_VACUUM_ALONE: Final = _postgresql(Operation.VACUUM)
_AGED: Final = _postgresql(Operation.VACUUM, Operation.ANALYZE, Operation.VACUUM_FULL)
_REWRITES: Final = _postgresql(Operation.VACUUM_FULL, Operation.CLUSTER, Operation.REPACK)
_REBUILDS: Final = _postgresql(Operation.REINDEX, Operation.OPTIMIZE)
_SERVERS: Final = dict.fromkeys((POSTGRESQL, MYSQL), ANY_OPERATION)
_OFFLINE: Final = {**_REBUILDS, MYSQL: (Operation.REBUILD, Operation.OPTIMIZE)}
_CHECKS: Final = frozenset({Operation.CHECK})
_REINDEXES: Final = dict.fromkeys((SQLITE, POSTGRESQL), (Operation.REINDEX,))
_BY_OBJECT: Final = {
    SQLITE: (Operation.ANALYZE, Operation.REINDEX, Operation.CHECK),
    POSTGRESQL: ANY_OPERATION,
    MYSQL: ANY_OPERATION - {Operation.PURGE_UNDO},
}
_BY_JOBS: Final = {SQLITE: (Operation.CHECK,), POSTGRESQL: ANY_OPERATION, MYSQL: ANY_OPERATION - {Operation.PURGE_UNDO}}
BACKED_UP_BY: Final = {
    POSTGRESQL: "pg_dump and pg_basebackup make backups",
    MYSQL: "mariadb-backup, mariadb-dump or mysqldump make backups",
}
_BACKUPS: Final = {name: f"leave it out: {tools}" for name, tools in BACKED_UP_BY.items()}
_KB, _GB = 1024, 1024**3
_MAX_AGE: Final = 2**31 - 1

# fmt: off
OPTION_SPECS: Final = (
    OptionSpec(
        "on_failure", Choice("value of --on-failure", OnFailure), "what follows a failed operation",
        places=Place.USER, always_told=True,
    ),
    OptionSpec(
        "on_step_failure", Choice("value of --on-step-failure", OnFailure),
        "what follows a table or index that failed, inside one operation",
        places=Place.USER, text="stop at the first step that fails",
    ),
    OptionSpec(
        "lock_timeout", Seconds(most=86_400.0), "how long to wait for a lock", places=Place.USER, always_told=True
    ),
    OptionSpec("time_limit", TimeLimit(), "30m, 2h: no operation and no step begins after it", text=""),
    OptionSpec("until", TimeOfDay(), "no operation and no step begins after it", text=""),
    OptionSpec("stop_at_limit", Flag(), "at the limit, also stop running operations safely", text=""),
    OptionSpec(
        "fit", Flag(has_negation=True), "with a limit: do not begin what by its estimate would end after it",
        places=Place.USER, default_text="on", text="begins what may not fit",
    ),
    OptionSpec(
        "verify", Flag(has_negation=True),
        "check the database before and after; nothing else runs if the first check finds damage, or cannot complete; a"
        " copy of a SQLite file is compared with it by a hash of all contents",
        places=Place.USER, text=lambda options: f"verified by {options.check_level} checks",
    ),
    OptionSpec("check_first", Flag(), "skip what follows a check that failed", places=Place.NOWHERE, text=""),
    OptionSpec(
        "check", Choice("level of a check", CheckLevel), "how thorough; full also compares indexes with tables",
        _CHECKS, places=Place.USER, default_text="full; quick with --verify", text=_check_text,
    ),
    OptionSpec(
        "jobs", Whole("number of objects at once", most=64), "how many objects at once inside one operation", _BY_JOBS,
        places=Place.USER, text="{} at once",
    ),
    OptionSpec(
        "objects", Names("object"), "only this table or index", _BY_OBJECT,
        spelling="--object", text="only {}", narrows=True,
    ),
    OptionSpec(
        "rebuild", Names("index"), "only these indexes", _REINDEXES,
        places=Place.NOWHERE, text="reindex only {}", narrows=True,
    ),
    OptionSpec("leave_out", Names("table"), "not these tables", places=Place.NOWHERE, text="", narrows=True),
    OptionSpec(
        "done", ObjectsDone(), "not what an earlier job did",
        places=Place.NOWHERE, text="without {} that an earlier job did", narrows=True,
    ),
    OptionSpec(
        "analysis_limit", RowLimit(most=1_000_000), "read about N rows of each index", {SQLITE: (Operation.ANALYZE,)},
        places=Place.USER, default_text="0, all rows",
        hints={
            POSTGRESQL: "leave it out: default_statistics_target says how much ANALYZE reads",
            MYSQL: "leave it out: innodb_stats_persistent_sample_pages says how much ANALYZE reads",
        },
    ),
    OptionSpec(
        "backup_to", FilePath(), "the new file, or the directory where it goes", {SQLITE: (Operation.BACKUP,)},
        default_text="beside the database", hints=_BACKUPS,
    ),
    OptionSpec(
        "keep", Whole("value of --keep", most=10_000),
        "after a sound backup, remove the oldest of this database in the same directory until N stay",
        {SQLITE: (Operation.BACKUP,)},
        places=Place.USER, default_text="all", text=lambda options: f"keep {counted(options.keep or 0, 'backup')}",
        hints=_BACKUPS,
    ),
    OptionSpec(
        "swap", Flag(has_negation=True),
        "faster from some 50 MB on: make a compact copy that replaces the file; only while no other process has the "
        "file open",
        {SQLITE: (Operation.VACUUM,)}, places=Place.USER, text="by exchange (--swap)",
    ),
    OptionSpec(
        "sqlite", Choice("SQLite library", SqliteLibrary),
        "which library rebuilds indexes: bundled is that of the package apsw, which may be newer and faster",
        {SQLITE: (Operation.REINDEX,)}, places=Place.USER, text="by the {} SQLite",
    ),
    OptionSpec(
        "if_needed", Limits(), "only operations that are needed when they begin", places=Place.NOWHERE, text="if needed"
    ),
    OptionSpec("limits", Limits(), "by the thresholds of the config file", places=Place.NOWHERE, text=""),
    OptionSpec(
        "confirmed", Flag(),
        "confirm what dbtend asks about: operations that block everyone, production, more than 10,000 targets",
        spelling="--yes", text="",
    ),
    OptionSpec(
        "force", Flag(),
        "override a refusal: space is missing, VACUUM changes rowids that an index, view or trigger uses, another"
        " program copies the database, a rebuild stops a cluster, or what it would write to is known to be damaged",
        text="forced",
    ),
    OptionSpec(
        "schemas", SchemaNames("schema"), "only this schema", _postgresql(),
        places=Place.USER, spelling="--schema", narrows=True,
    ),
    OptionSpec(
        "exclude_schemas", SchemaNames("schema"), "not this schema", _postgresql(),
        places=Place.USER, spelling="--exclude-schema", text="without schema {}", narrows=True,
    ),
    OptionSpec(
        "system", Flag(), "only the system catalog; not concurrently, and all sessions may wait",
        _postgresql(Operation.REINDEX, Operation.VACUUM_FULL), text="of the catalog", narrows=True,
    ),
    OptionSpec("analyze", Flag(), "also collect statistics", _VACUUMS),
    OptionSpec("freeze", Flag(), "freeze all rows", _VACUUMS),
    OptionSpec(
        "index_cleanup", Choice("value of --index-cleanup", IndexCleanup), "whether to clean indexes", _VACUUMS
    ),
    OptionSpec(
        "truncate", Flag(has_negation=True), "give back empty pages at the end, which locks the table for a moment",
        _VACUUMS, places=Place.USER,
    ),
    OptionSpec(
        "parallel_workers", Whole("number of processes", most=1024, least=0),
        "server processes for the indexes of a table", _VACUUMS, places=Place.USER,
    ),
    OptionSpec("skip_locked", Flag(has_negation=True), "leave out locked tables", _READ_TABLES, places=Place.USER),
    OptionSpec(
        "buffer_usage_limit", Size("buffer usage limit", least=128 * _KB, most=16 * _GB, unit=_KB, or_zero=True),
        "shared buffers to use, such as 2MB; 0: any number (PostgreSQL 16 or newer)", _READ_TABLES, places=Place.USER,
    ),
    OptionSpec("disable_page_skipping", Flag(), "also read pages that look clean", _VACUUM_ALONE),
    OptionSpec(
        "process_main", Flag(has_negation=True), "vacuum the table itself (PostgreSQL 16 or newer)", _VACUUM_ALONE,
        default_text="on",
    ),
    OptionSpec(
        "process_toast", Flag(has_negation=True), "vacuum its TOAST table (PostgreSQL 14 or newer)", _VACUUM_ALONE,
        default_text="on",
    ),
    OptionSpec(
        "min_xid_age", Whole("number of transactions", most=_MAX_AGE),
        "only tables whose oldest transaction id is this old", _AGED, narrows=True,
    ),
    OptionSpec(
        "min_mxid_age", Whole("number of multixacts", most=_MAX_AGE),
        "only tables whose oldest multixact is this old", _AGED, narrows=True,
    ),
    OptionSpec(
        "missing_only", Flag(), "only tables that lack some statistics: of columns, expressions, children, or extended",
        _postgresql(Operation.ANALYZE),
    ),
    OptionSpec(
        "in_stages", Flag(), "three times, each time more thoroughly",
        _postgresql(Operation.ANALYZE, Operation.OPTIMIZE),
    ),
    OptionSpec("offline", Flag(), "not concurrently; writers wait until it ends", _OFFLINE),
    OptionSpec(
        "tablespace", Text("NAME"), "move the rebuilt indexes into this tablespace (PostgreSQL 14 or newer)",
        _postgresql(Operation.REINDEX),
    ),
    OptionSpec("speed", Choice("speed", Speed), "pauses during the work", _READ_TABLES, places=Place.USER),
    OptionSpec(
        "max_lag", Size("lag", least=0, most=1024 * _GB),
        "pause between steps while a standby is further behind, such as 64MB", _postgresql(), places=Place.USER,
        hints={MYSQL: "use --max-delay SECONDS"},
    ),
    OptionSpec(
        "ignored_standbys", Names("standby", '["delayed"]'),
        "with --max-lag or --max-delay: do not wait for this standby, such as one that is delayed on purpose; its"
        " application_name, or HOST:PORT of a replica",
        _postgresql() | {MYSQL: ANY_OPERATION}, places=Place.USER, spelling="--ignore-standby",
    ),
    OptionSpec(
        "max_delay", Seconds(most=86_400.0),
        "pause between steps while a replica is more seconds behind",
        {MYSQL: ANY_OPERATION}, places=Place.USER, hints={POSTGRESQL: "use --max-lag SIZE"},
    ),
    OptionSpec(
        "max_running", Whole("number of threads", most=100_000),
        "pause between steps while more threads of the server are running",
        {MYSQL: ANY_OPERATION}, places=Place.USER, hints={POSTGRESQL: "use --pause-while QUERY"},
    ),
    OptionSpec(
        "pause_while", Text("QUERY"), "pause between steps while this SELECT returns true or more than 0",
        _SERVERS, places=Place.USER,
    ),
    OptionSpec(
        "yield_after", Seconds(),
        "end a step that others have waited behind for this long; it runs again later, 3 times at most",
        _SERVERS, places=Place.USER,
    ),
    OptionSpec(
        "snapshot_wait", Duration(MAX_WAIT),
        "how long a concurrent rebuild may wait for older transactions; this blocks no one",
        _postgresql(Operation.REINDEX, Operation.OPTIMIZE, Operation.REPACK), places=Place.USER,
        default_text="until the time limit, or 1h; repack of 19: as for a lock",
    ),
    OptionSpec(
        "server_wait", Duration(MAX_WAIT),
        "how long to wait for a server that is down or full: an operation, and a run before it submits",
        _SERVERS, places=Place.USER, default_text="10m",
    ),
    OptionSpec(
        "no_binlog", Flag(), "keep the work out of the binary log: replicas do not repeat it",
        {MYSQL: ANY_OPERATION}, places=Place.USER, text="not in the binary log: replicas stay as they are",
    ),
    OptionSpec(
        "queue", QueueName(), "in a shared store: only workers of this queue carry it out (dbtend worker --queue NAME)",
        _SERVERS, places=Place.USER, default_text="workers of any host",
    ),
)
# fmt: on
BY_NAME: Final = {spec.name: spec for spec in OPTION_SPECS}


def options_at(place: Place) -> dict[str, OptionSpec]:
    """The options that may stand there, by name."""
    return {spec.name: spec for spec in OPTION_SPECS if place in spec.places}


def with_values(options: Options, values: Mapping[str, Any]) -> Options:
    """The options with these values, by name."""
    server = {name: value for name, value in values.items() if BY_NAME[name].of_server}
    own = {name: value for name, value in values.items() if name not in server}
    return replace(options, **own, server=replace(options.server, **server)) if values else options


def refuse_inapplicable(
    names: Iterable[str], engine: EngineName, operations: Collection[Operation], options: Options = DEFAULT_OPTIONS
) -> None:
    """Raise UsageError for the first of these options, by name, that would be ignored.

    `operations`: including checks. `options`: their values.
    """
    for name in names:
        if not BY_NAME[name].is_applicable(engine, operations):
            raise BY_NAME[name].problem(engine, operations, options)


@lru_cache(maxsize=64)  # thousands of targets have the same
def changed_options(options: Options) -> tuple[str, ...]:
    """The names of the options that differ from their defaults."""
    return tuple(spec.name for spec in OPTION_SPECS if spec.differs_from_default(options))


def applicable(options: Options, engine: EngineName, operations: Collection[Operation]) -> Options:
    """The options without those that apply to none of these operations.

    An option that narrows an operation stays.
    """
    changed = [BY_NAME[name] for name in changed_options(options)]
    idle = [spec for spec in changed if not (spec.narrows or spec.is_applicable(engine, operations))]
    return with_values(options, {spec.name: spec.default for spec in idle})


def covers_whole_database(operation: Operation, options: Options) -> bool:
    """Whether an operation covers the whole database: one that began only if needed may have rebuilt a few indexes."""
    if options.if_needed is not None and operation is Operation.REINDEX:
        return False
    narrowed = options.objects_for(operation) or options.left_out_by(operation) or options.done_by(operation)
    return not narrowed and not any(
        spec.of_server and spec.narrows and spec.differs_from_default(options) for spec in OPTION_SPECS
    )
