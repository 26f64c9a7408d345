"""The declaration of an option: its type, where it may stand, its operations, and its words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, field
from enum import Flag, StrEnum, auto
from typing import Any, Final

from engine.domain.engines import EngineName, engine_spec
from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options, ServerOptions
from engine.domain.value_types import ValueType

SQLITE, POSTGRESQL, MYSQL = EngineName.SQLITE, EngineName.POSTGRESQL, EngineName.MYSQL
_DECLARED_HERE: Final = frozenset({SQLITE, POSTGRESQL, MYSQL})
"""The engines whose options stand in `option_specs`; those of any other stand in its `EngineSpec`."""
ANY_OPERATION: Final = frozenset(Operation)


class Place(Flag):
    """Where an option may stand."""

    COMMAND_LINE = auto()
    DEFAULTS = auto()
    """In the config file for all targets."""
    TARGET = auto()
    """In the config file for one target."""
    CONFIG = DEFAULTS | TARGET
    USER = COMMAND_LINE | CONFIG
    NOWHERE = 0
    """Set by dbtend itself."""


class Lent(StrEnum):
    """The options by which a request uses powers of the worker that carries it out: what that may write or call."""

    PAUSE_WHILE = "pause_while"
    BACKUP_TO = "backup_to"


@frozen
class OptionSpec:
    """One option of a request."""

    name: str
    """The name of the field in `Options` or `ServerOptions`, and of the key in the config file."""
    type: ValueType
    help: str
    applies_to: Mapping[EngineName, Collection[Operation]] | Collection[Operation] = ANY_OPERATION
    """The operations it applies to, including the checks around them: of some engines, or of any."""
    _: KW_ONLY
    places: Place = Place.COMMAND_LINE
    spelling: str = ""
    """Its spelling on the command line, if that is not its name."""
    default_text: str = ""
    """The default as help gives it, if the value does not say it."""
    text: str | Callable[[Options], str] | None = None
    """The text of a request about it, with {} for the value; "": none; None: its name and value."""
    always_told: bool = False
    """Whether it is stored and shown even at its default."""
    narrows: bool = False
    """Whether it limits what an operation works on: without it more would be done than was asked for."""
    hints: Mapping[EngineName, str] = field(default_factory=dict)
    """What to do instead on an engine that does not have it."""

    @property
    def of_server(self) -> bool:
        """Whether it is a field of `ServerOptions`."""
        return self.name in ServerOptions.__dataclass_fields__

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")

    @property
    def option(self) -> str:
        """How a person names it: as on the command line, if it stands there."""
        if Place.COMMAND_LINE not in self.places:
            return self.label
        return self.spelling or f"--{self.name.replace('_', '-')}"

    @property
    def default(self) -> Any:
        return self.value_in(DEFAULT_OPTIONS)

    @property
    def meaning(self) -> str:
        """Its help, after the operations it is limited to."""
        of_engines = self.applies_to
        every = [*map(frozenset, of_engines.values())] if isinstance(of_engines, Mapping) else [frozenset(of_engines)]
        if ANY_OPERATION in every:
            return self.help
        only = frozenset[Operation]().union(*every)
        return f"{', '.join(operation for operation in Operation if operation in only)}: {self.help}"

    @property
    def full_help(self) -> str:
        """Its meaning and its default."""
        default = self.default_text or ("" if self.default in (None, False, ()) else shown_value(self.default))
        return f"{self.meaning} (default: {default})" if default else self.meaning

    def value_in(self, options: Options) -> Any:
        return getattr(options.server if self.of_server else options, self.name)

    def differs_from_default(self, options: Options) -> bool:
        return bool(self.value_in(options) != self.default)

    def is_told(self, options: Options) -> bool:
        """Whether it is stored and shown."""
        return self.always_told or self.differs_from_default(options)

    def is_for(self, engine: EngineName) -> bool:
        return bool(self.operations_of(engine))

    def is_applicable(self, engine: EngineName, operations: Collection[Operation]) -> bool:
        return not self.operations_of(engine).isdisjoint(operations)

    def as_typed(self, options: Options) -> str:
        """The option as typed for its value: `--no-truncate`."""
        is_negated = self.type.has_negation and self.value_in(options) is False
        return f"--no-{self.option.removeprefix('--')}" if is_negated else self.option

    def problem(self, engine: EngineName, operations: Collection[Operation], options: Options) -> UsageError:
        """The error for an option that would be ignored."""
        option = self.as_typed(options)
        known = [operation.value for operation in Operation if operation in self.operations_of(engine)]
        if not known:
            return UsageError(option, engine_spec(engine).lacks, self.hints.get(engine, "leave it out"))
        asked = ", ".join(operations)
        why = f"does not apply to {asked}, only to {', '.join(known)}"
        return UsageError(option, why, f"add --op {known[0]}, or leave it out")

    def validate(self, options: Options) -> None:
        """Raise UsageError for a value that is not possible."""
        value = self.value_in(options)
        if value is not None or self.default is not None:
            self.type.validate(self.label, value)

    def to_json(self, options: Options) -> Any:
        value = self.value_in(options)
        return None if value is None else self.type.to_json(value)

    def from_json(self, stored: Any) -> Any:
        """Raises ValueError."""
        return None if stored is None and self.default is None else self.type.from_json(stored)

    def text_in(self, options: Options) -> str:
        """The text of a request about it; "" without any."""
        if callable(self.text):
            return self.text(options)
        value = self.value_in(options)
        if self.text is not None:
            return self.text.format(self.type.text(value))
        if isinstance(value, bool):
            return self.label if value else f"no {self.label}"
        return f"{self.label} {self.type.text(value)}"

    def operations_of(self, engine: EngineName) -> frozenset[Operation]:
        """The operations of this engine that it applies to."""
        if not isinstance(self.applies_to, Mapping):
            return frozenset(self.applies_to)
        granted = (
            self.applies_to if engine in _DECLARED_HERE else {engine: engine_spec(engine).options.get(self.name, ())}
        )
        return frozenset(granted.get(engine, ()))


def shown_value(value: Any) -> str:
    """A default in a help text."""
    return f"{value:g}" if isinstance(value, float) else str(value)
