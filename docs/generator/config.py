"""The keys of the config file: which there are, and their defaults, as the engine declares them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from docs.generator.tables import Block, code, table
from engine.config.model import ConsoleConfig, Defaults, TargetEntry
from engine.config.parser import OF_TARGET
from engine.domain.option_spec import OptionSpec, Place
from engine.domain.option_specs import OPTION_SPECS
from engine.domain.requests import EngineName
from engine.domain.retention import DAY, Retention

MEANINGS: Final[Mapping[str, str]] = {
    "url": "a path or a URL; a password in it is refused",
    "label": "such as `PROD`: shown wherever the target is named ([production](../how-to/production.md))",
    "groups": "the groups it belongs to: `@eu` stands for all targets of the group eu",
    "exclude": "where the URL is a pattern: names, paths or databases that it leaves out",
    "operations": "the operations chosen by default",
    "workers": "databases at once, over all runs and workers of a store",
    "grace": "seconds that running operations may go on for at a shutdown",
    "theme": "`dbtend`, `dbtend-light`, `high-contrast`, `ansi-dark` or `ansi-light`",
    "refresh": "seconds between two looks at running jobs",
    "mouse": "whether the console uses the mouse",
    "keys": "other [keys](keys.md), by the name of the action",
    "read_only": "show everything, run nothing",
    "completed": "how long completed jobs are kept; `forever` keeps them all",
    "failed": "how long failed jobs are kept",
    "cancelled": "how long cancelled jobs are kept",
    "keep_last": "the newest jobs of each target stay, whatever their age",
}
"""What each key means that is no option. A key without a meaning here fails the generator."""
PRODUCTS: Final = {EngineName.SQLITE: "SQLite", EngineName.POSTGRESQL: "PostgreSQL"}


def targets() -> str:
    own = [field.name for field in fields(TargetEntry) if field.name not in {"name", "settings"}]
    rows = [[code(name), OF_TARGET[name].rule, "all", MEANINGS[name]] for name in own]
    rows += [[code(spec.name), spec.type.rule, _kinds(spec), spec.full_help] for spec in _options_at(Place.TARGET)]
    return table(["key", "value", "for", "meaning"], rows)


def defaults() -> str:
    options = [spec for spec in _options_at(Place.DEFAULTS) if not spec.of_server]
    rows = [[code(spec.name), spec.default_text or _value(spec.name, spec.default), spec.meaning] for spec in options]
    own = [field for field in fields(Defaults) if field.name != "settings"]
    return table(["key", "default", "meaning"], [*rows, *_rows(own)])


def console() -> str:
    return table(["key", "default", "meaning"], _rows(fields(ConsoleConfig)))


def retention() -> str:
    return table(["key", "default", "meaning"], _rows(fields(Retention)))


def _options_at(place: Place) -> list[OptionSpec]:
    return [spec for spec in OPTION_SPECS if place in spec.places]


def _kinds(spec: OptionSpec) -> str:
    engines = [engine for engine in EngineName if spec.is_for(engine)]
    return "all" if len(engines) == len(EngineName) else ", ".join(PRODUCTS[engine] for engine in engines)


def _rows(declared: Iterable[Field[Any]]) -> Iterator[list[str]]:
    for field in declared:
        yield [code(field.name), _value(field.name, field.default), MEANINGS[field.name]]


def _value(name: str, value: Any) -> str:
    if value is MISSING or value is None:
        return "-"
    if name in {"completed", "failed", "cancelled"}:
        return code(f'"{value / DAY:.0f}d"')
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(f'"{value}"' if isinstance(value, str) else f"{value:g}")


BLOCKS: Final[Mapping[str, Block]] = {
    "config-targets": targets,
    "config-defaults": defaults,
    "config-console": console,
    "config-retention": retention,
}
