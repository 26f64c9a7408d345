"""The keys of the config file: which there are, and their defaults, as the engine declares them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from docs.generator.tables import Block, code, table
from engine.config.model import FOR_FILES, ConsoleConfig, Defaults, TargetEntry
from engine.config.servers import SERVER_KEYS
from engine.domain.retention import DAY, Retention

MEANINGS: Final[Mapping[str, str]] = {
    "url": "a path or a URL; a password in it is refused",
    "label": "such as `PROD`: shown wherever the target is named ([production](../how-to/production.md))",
    "groups": "the groups it belongs to: `@eu` stands for all targets of the group eu",
    "exclude": "where the URL is a pattern: names, paths or databases that it leaves out",
    "operations": "the operations chosen by default",
    "on_failure": "`continue` or `stop`: what follows an operation that failed",
    "on_step_failure": "`continue` or `stop`: what follows a table or index that failed, inside one operation",
    "lock_timeout": "seconds to wait for a lock",
    "verify": "check the database before and after",
    "check": "`quick` or `full`",
    "jobs": "objects at once inside one operation",
    "analysis_limit": "rows of each index that ANALYZE reads; 0 for all",
    "schemas": "only these schemas",
    "truncate": "whether VACUUM gives empty pages at the end of a table back",
    "parallel_workers": "processes of the server for the indexes of a table",
    "skip_locked": "leave out locked tables",
    "buffer_usage_limit": "shared buffers that VACUUM and ANALYZE use (PostgreSQL 16 or newer)",
    "speed": "`gentle`, `normal` or `full`: pauses in between",
    "max_lag": "pause between steps while a standby is further behind",
    "pause_while": "pause between steps while this SELECT gives true, or more than 0",
    "yield_after": "seconds after which a step ends that others wait behind",
    "snapshot_wait": "how long a concurrent rebuild waits for older transactions",
    "server_wait": "how long to wait for a server that is down",
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
"""What each key means. A key without a meaning here fails the generator."""


def targets() -> str:
    own = [field.name for field in fields(TargetEntry) if field.name not in {"name", "server"}]
    rows = ([code(name), _kinds(name), MEANINGS[name]] for name in (*own, *SERVER_KEYS))
    return table(["key", "for", "meaning"], rows)


def defaults() -> str:
    own = [field for field in fields(Defaults) if field.name != "server"]
    return table(["key", "default", "meaning"], _rows(own))


def console() -> str:
    return table(["key", "default", "meaning"], _rows(fields(ConsoleConfig)))


def retention() -> str:
    return table(["key", "default", "meaning"], _rows(fields(Retention)))


def _kinds(name: str) -> str:
    return "SQLite" if name in FOR_FILES else "PostgreSQL" if name in SERVER_KEYS else "all"


def _rows(declared: Iterable[Field[Any]]) -> Iterator[list[str]]:
    for field in declared:
        yield [code(field.name), _shown(field), MEANINGS[field.name]]


def _shown(field: Field[Any]) -> str:
    if field.default is MISSING or field.default is None:
        return "-"
    if field.name in {"completed", "failed", "cancelled"}:
        return code(f'"{field.default / DAY:.0f}d"')
    if isinstance(field.default, bool):
        return code(str(field.default).lower())
    return code(f'"{field.default}"' if isinstance(field.default, str) else f"{field.default:g}")


BLOCKS: Final[Mapping[str, Block]] = {
    "config-targets": targets,
    "config-defaults": defaults,
    "config-console": console,
    "config-retention": retention,
}
