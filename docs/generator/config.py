"""The keys of the config file: which there are, and their defaults, as the engine declares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from docs.generator.tables import Block, code, table
from engine.config.keys import (
    ADVICE_KEYS,
    ALLOW_KEYS,
    CONSOLE_KEYS,
    DEFAULTS_KEYS,
    NOTIFY_KEYS,
    RETENTION_KEYS,
    SCHEDULE_KEYS,
    STORE_KEYS,
    TARGET_KEYS,
)
from engine.config.model import ConsoleConfig, Defaults, StoreConfig, WorkerConfig
from engine.config.worker_keys import Key
from engine.domain.engines import EngineName, engine_spec
from engine.domain.notifications import Method, Recipient
from engine.domain.number_types import Age, Bytes, Duration, Share
from engine.domain.option_spec import OptionSpec, Place
from engine.domain.option_specs import options_at
from engine.domain.retention import Retention
from engine.domain.thresholds import DEFAULT_THRESHOLDS
from engine.domain.value_types import ValueType
from engine.targets.duckdb import DUCKDB

COLUMNS: Final = ["key", "value", "default", "meaning"]
PRODUCTS: Final = {
    EngineName.SQLITE: "SQLite",
    EngineName.POSTGRESQL: "PostgreSQL",
    EngineName.MYSQL: "MariaDB, MySQL",
    DUCKDB: "DuckDB",
}


def targets() -> str:
    rows = [[code(name), key.type.rule, "all", key.help] for name, key in TARGET_KEYS.items()]
    rows.append([code("advice"), "a table", "all", "thresholds of its own: the keys of [`[advice]`](#advice)"])
    specs = options_at(Place.TARGET).values()
    rows += [[code(spec.name), spec.type.rule, _kinds(spec), spec.full_help] for spec in specs]
    return table(["key", "value", "for", "meaning"], rows)


def defaults() -> str:
    specs = [spec for spec in options_at(Place.DEFAULTS).values() if not spec.of_server]
    rows = [
        [code(spec.name), spec.type.rule, spec.default_text or _shown(spec.type, spec.default), spec.meaning]
        for spec in specs
    ]
    return table(COLUMNS, [*rows, *_rows(DEFAULTS_KEYS, Defaults())])


def advice() -> str:
    """Of each threshold the engine that it is for, besides."""
    rows = _rows(ADVICE_KEYS, DEFAULT_THRESHOLDS)
    kinds = [_engines(name, key) for name, key in ADVICE_KEYS.items()]
    columns = [*COLUMNS[:-1], "for", COLUMNS[-1]]
    return table(columns, [[*row[:-1], kind, row[-1]] for row, kind in zip(rows, kinds, strict=True)])


def console() -> str:
    keys = [code("keys"), "a table", "-", "other [keys](keys.md), by the name of the action"]
    return table(COLUMNS, [*_rows(CONSOLE_KEYS, ConsoleConfig()), keys])


def retention() -> str:
    return table(COLUMNS, _rows(RETENTION_KEYS, Retention()))


def worker() -> str:
    return table(COLUMNS, _rows(ALLOW_KEYS, WorkerConfig()))


def store() -> str:
    return table(COLUMNS, _rows(STORE_KEYS, StoreConfig()))


def schedules() -> str:
    rows = [[code(name), key.type.rule, key.help] for name, key in SCHEDULE_KEYS.items()]
    return table(["key", "value", "meaning"], rows)


def notify() -> str:
    usual = Recipient(name="", method=Method.COMMAND)
    rows = []
    for name, key in NOTIFY_KEYS.items():
        default = getattr(usual, name, None) if key.only is None or name in {"tls", "json"} else None
        shown = "all" if name == "on" else _shown(key.type, default)
        rows.append([code(name), key.type.rule, shown, key.only or "all", key.help])
    return table([*COLUMNS[:-1], "for", COLUMNS[-1]], rows)


def _kinds(spec: OptionSpec) -> str:
    engines = [engine for engine in PRODUCTS if spec.is_for(engine)]
    return "all" if len(engines) == len(PRODUCTS) else ", ".join(PRODUCTS[engine] for engine in engines)


def _engines(name: str, key: Key) -> str:
    """For which engines a threshold is."""
    if not isinstance(key.only, EngineName):
        return "all"
    others = (engine for engine in PRODUCTS if name in engine_spec(engine).thresholds)
    return ", ".join(PRODUCTS[engine] for engine in (key.only, *others))


def _rows(keys: Mapping[str, Key], usual: object) -> Iterator[list[str]]:
    for name, key in keys.items():
        yield [code(name), key.type.rule, _shown(key.type, getattr(usual, name)), key.help]


def _shown(type: ValueType, value: Any) -> str:  # noqa: A002
    """A default, written as in the file."""
    if value in (None, ()):
        return "-"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(type, Age | Bytes | Duration | Share) or isinstance(value, str):
        return code(f'"{type.text(value)}"')
    return code(f"{value:g}")


BLOCKS: Final[Mapping[str, Block]] = {
    "config-targets": targets,
    "config-defaults": defaults,
    "config-advice": advice,
    "config-console": console,
    "config-retention": retention,
    "config-worker": worker,
    "config-store": store,
    "config-schedules": schedules,
    "config-notify": notify,
}
