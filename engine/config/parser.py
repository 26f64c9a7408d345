"""Parses the text of a config file to a `Config`."""

from __future__ import annotations

from typing import Final

from engine.config.model import MAX_KEEP_LAST, MAX_WORKERS, Config, ConsoleConfig, Defaults, TargetEntry, expand_home
from engine.config.typed_table import Table, root_table
from engine.domain.option_spec import KINDS, Place
from engine.domain.option_specs import BY_NAME, OPTION_SPECS
from engine.domain.requests import Operation
from engine.domain.retention import Retention
from engine.domain.value_types import Age, ChoiceList, Flag, Names, Seconds, Text, ValueType, Whole
from engine.targets import engine_named

_TEXT: Final = Text()
_NAMES: Final = Names("name")
OF_TARGET: Final = {
    "url": _TEXT,
    "label": _TEXT,
    "groups": _NAMES,
    "exclude": _NAMES,
    "operations": ChoiceList("operation", Operation),
}
_OF_ALL: Final = {"workers": Whole("number of workers", MAX_WORKERS), "grace": Seconds()}
_OF_CONSOLE: Final = {"theme": _TEXT, "refresh": Seconds(), "mouse": Flag(), "read_only": Flag()}
_OF_RETENTION: Final = {
    **dict.fromkeys(("completed", "failed", "cancelled"), Age()),
    "keep_last": Whole("number of jobs", MAX_KEEP_LAST, least=0),
}


def parse_config(text: str, file: str) -> Config:
    """The config in `text`; `file` is its name in errors. Raises ConfigError."""
    root = root_table(text, file)
    root.allow_only("targets", "defaults", "console", "retention")
    return Config(
        targets=tuple(_target(entry) for entry in root.table("targets").tables()),
        defaults=_defaults(root.table("defaults")),
        console=_console(root.table("console")),
        retention=_retention(root.table("retention")),
    )


def _options_at(place: Place) -> dict[str, ValueType]:
    return {spec.name: spec.type for spec in OPTION_SPECS if place in spec.places}


def _target(entry: Table) -> TargetEntry:
    options = _options_at(Place.TARGET)
    entry.allow_only(*OF_TARGET, *options)
    url = entry.value("url", _TEXT)
    if not url:
        entry.fail("url", "is missing", 'give a path or a URL, such as url = "/srv/sales.db"')
    engine = engine_named(url)
    for key in options:
        if entry.has(key) and not BY_NAME[key].is_for(engine):
            entry.fail(key, f"does not apply to {KINDS[engine]}", "leave it out here")
    values = entry.values(OF_TARGET) | {"url": _expanded(url, entry)}
    return TargetEntry(name=entry.path[-1], **values, settings=entry.values(options))


def _expanded(url: str, entry: Table) -> str:
    try:
        return expand_home(url)
    except RuntimeError:
        entry.fail("url", f"begins with {url.partition('/')[0]}, which has no home directory", "give the full path")


def _defaults(table: Table) -> Defaults:
    options = _options_at(Place.DEFAULTS)
    table.allow_only(*options, *_OF_ALL)
    return Defaults(**table.values(_OF_ALL), settings=table.values(options))


def _console(table: Table) -> ConsoleConfig:
    table.allow_only(*_OF_CONSOLE, "keys")
    values = table.values(_OF_CONSOLE)
    if values.get("refresh", 1) < 0.05:
        table.fail("refresh", "must be at least 0.05 seconds", "0.25 suits most terminals")
    return ConsoleConfig(**values, keys=table.table("keys").texts())


def _retention(table: Table) -> Retention:
    table.allow_only(*_OF_RETENTION)
    return Retention(**table.values(_OF_RETENTION))
