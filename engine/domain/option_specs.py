"""Each option declared once: its engines and the operations it applies to.

The command line and the engine refuse an option that would be ignored; an option from the config file is dropped where
it does not apply; help and reference are generated from this table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.requests import DEFAULT_OPTIONS, NO_SERVER_OPTIONS, EngineName, Operation, Options

SQLITE, POSTGRESQL = EngineName.SQLITE, EngineName.POSTGRESQL
_WHATEVER: Final = frozenset(Operation)
_EVERYWHERE: Final = dict.fromkeys(EngineName, _WHATEVER)
_DATABASES: Final = {SQLITE: "a SQLite file is no database server", POSTGRESQL: "PostgreSQL has nothing like it"}


@frozen(kw_only=True)
class OptionSpec:
    """One option of a request."""

    name: str
    """The name of the field in `Options` or `ServerOptions`."""
    option: str
    """Its spelling on the command line."""
    applies_to: Mapping[EngineName, Collection[Operation]]
    """The operations it applies to, including the checks around them."""
    of_server: bool = False
    narrows: bool = False
    """Whether it limits what an operation works on: without it more would be done than was asked for."""
    hint: str = ""
    """What to do instead on an engine that does not have it."""

    def value_in(self, options: Options) -> Any:
        return getattr(options.server if self.of_server else options, self.name)

    def differs_from_default(self, options: Options) -> bool:
        usual = NO_SERVER_OPTIONS if self.of_server else DEFAULT_OPTIONS
        return bool(self.value_in(options) != getattr(usual, self.name))

    def is_applicable(self, engine: EngineName, operations: Collection[Operation]) -> bool:
        return not self._for(engine).isdisjoint(operations)

    def as_typed(self, options: Options) -> str:
        """The option as typed for its value: `--no-truncate`."""
        is_negated = self.differs_from_default(options) and self.value_in(options) is False
        return f"--no-{self.option.removeprefix('--')}" if is_negated else self.option

    def problem(self, engine: EngineName, operations: Collection[Operation], options: Options) -> UsageError:
        """The error for an option that would be ignored."""
        option = self.as_typed(options)
        known = [operation.value for operation in Operation if operation in self._for(engine)]
        if not known:
            return UsageError(option, _DATABASES[engine], self.hint or "leave it out")
        asked = ", ".join(operations)
        why = f"does not apply to {asked}, only to {', '.join(known)}"
        return UsageError(option, why, f"add --op {known[0]}, or leave it out")

    def _for(self, engine: EngineName) -> frozenset[Operation]:
        return frozenset(self.applies_to.get(engine, ()))


def _servers(name: str, *operations: Operation, option: str = "", narrows: bool = False) -> OptionSpec:
    return OptionSpec(
        name=name,
        option=option or f"--{name.replace('_', '-')}",
        applies_to={POSTGRESQL: operations or _WHATEVER},
        of_server=True,
        narrows=narrows,
    )


def _any(name: str, option: str = "") -> OptionSpec:
    return OptionSpec(name=name, option=option or f"--{name.replace('_', '-')}", applies_to=_EVERYWHERE)


_VACUUMS: Final = (Operation.VACUUM, Operation.OPTIMIZE)
_READ_TABLES: Final = (Operation.VACUUM, Operation.ANALYZE, Operation.OPTIMIZE)
_BY_OBJECT: Final = (Operation.ANALYZE, Operation.REINDEX, Operation.CHECK)
OPTION_SPECS: Final = (
    _any("on_failure"),
    _any("on_step_failure"),
    _any("lock_timeout"),
    _any("time_limit"),
    _any("until"),
    _any("stop_at_limit"),
    _any("verify"),
    _any("check_first", "check first"),
    _any("confirmed", "--yes"),
    OptionSpec(
        name="force",
        option="--force",
        applies_to={SQLITE: _WHATEVER},
        hint="leave it out: PostgreSQL has no check that it could override",
    ),
    OptionSpec(name="jobs", option="--jobs", applies_to={SQLITE: (Operation.CHECK,), POSTGRESQL: _WHATEVER}),
    OptionSpec(name="objects", option="--object", applies_to={SQLITE: _BY_OBJECT, POSTGRESQL: _WHATEVER}, narrows=True),
    OptionSpec(
        name="rebuild",
        option="rebuild",
        applies_to={SQLITE: (Operation.REINDEX,), POSTGRESQL: (Operation.REINDEX,)},
        narrows=True,
    ),
    OptionSpec(name="leave_out", option="leave out", applies_to=_EVERYWHERE, narrows=True),
    OptionSpec(
        name="analysis_limit",
        option="--analysis-limit",
        applies_to={SQLITE: (Operation.ANALYZE,)},
        hint="leave it out: default_statistics_target says how much ANALYZE reads",
    ),
    OptionSpec(name="check", option="--check", applies_to=dict.fromkeys((SQLITE, POSTGRESQL), (Operation.CHECK,))),
    OptionSpec(
        name="backup_to",
        option="--backup-to",
        applies_to={SQLITE: (Operation.BACKUP,)},
        hint="leave it out: pg_dump and pg_basebackup make backups",
    ),
    _servers("schemas", option="--schema", narrows=True),
    _servers("analyze", *_VACUUMS),
    _servers("freeze", *_VACUUMS),
    _servers("index_cleanup", *_VACUUMS),
    _servers("truncate", *_VACUUMS),
    _servers("parallel_workers", *_VACUUMS),
    _servers("skip_locked", *_READ_TABLES),
    _servers("buffer_usage_limit", *_READ_TABLES),
    _servers("missing_only", Operation.ANALYZE),
    _servers("in_stages", Operation.ANALYZE, Operation.OPTIMIZE),
    _servers("offline", Operation.REINDEX, Operation.OPTIMIZE),
    _servers("speed", *_READ_TABLES),
    _servers("max_lag"),
    _servers("pause_while"),
    _servers("yield_after"),
    _servers("snapshot_wait", Operation.REINDEX, Operation.OPTIMIZE),
    _servers("server_wait"),
)
BY_NAME: Final = {spec.name: spec for spec in OPTION_SPECS}


def refuse_inapplicable(
    names: Iterable[str], engine: EngineName, operations: Collection[Operation], options: Options = DEFAULT_OPTIONS
) -> None:
    """Raise UsageError for the first of these options, by name, that would be ignored.

    `operations`: including checks. `options`: their values.
    """
    for name in names:
        if name in BY_NAME and not BY_NAME[name].is_applicable(engine, operations):
            raise BY_NAME[name].problem(engine, operations, options)


def changed_options(options: Options) -> Iterator[str]:
    """The names of the options that differ from their defaults."""
    return (spec.name for spec in OPTION_SPECS if spec.differs_from_default(options))


def applicable(options: Options, engine: EngineName, operations: Collection[Operation]) -> Options:
    """The options without those that apply to none of these operations.

    An option that narrows an operation stays.
    """
    idle = [
        spec
        for spec in OPTION_SPECS
        if spec.differs_from_default(options) and not (spec.narrows or spec.is_applicable(engine, operations))
    ]
    server = {spec.name: getattr(NO_SERVER_OPTIONS, spec.name) for spec in idle if spec.of_server}
    other = {spec.name: getattr(DEFAULT_OPTIONS, spec.name) for spec in idle if not spec.of_server}
    return replace(options, **other, server=replace(options.server, **server)) if idle else options
