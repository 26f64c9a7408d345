"""Parses the text of a config file to a `Config`."""

from __future__ import annotations

from engine.config.model import (
    FOR_FILES,
    MAX_ANALYSIS_LIMIT,
    MAX_JOBS,
    MAX_KEEP_LAST,
    MAX_WORKERS,
    SHARED,
    Config,
    ConsoleConfig,
    Defaults,
    TargetEntry,
    expand_home,
)
from engine.config.servers import SERVER_KEYS, server_settings
from engine.config.typed_table import Table, root_table
from engine.domain.requests import CheckLevel, OnFailure
from engine.domain.retention import Retention
from engine.targets import names_server


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


def _target(entry: Table) -> TargetEntry:
    entry.allow_only("url", "label", "groups", "exclude", "operations", *SHARED, *SERVER_KEYS)
    url = entry.text("url")
    if not url:
        entry.fail("url", "is missing", 'give a path or a URL, such as url = "/srv/sales.db"')
    _refuse_inapplicable(entry, is_server=names_server(url))
    return TargetEntry(
        name=entry.path[-1],
        url=_expanded(url, entry),
        label=entry.text("label"),
        groups=entry.names("groups") or (),
        exclude=entry.names("exclude") or (),
        operations=entry.operations("operations"),
        on_failure=entry.choice("on_failure", OnFailure),
        on_step_failure=entry.choice("on_step_failure", OnFailure),
        lock_timeout=entry.seconds("lock_timeout"),
        verify=entry.flag("verify"),
        check=entry.choice("check", CheckLevel),
        jobs=entry.count("jobs", MAX_JOBS),
        analysis_limit=entry.count("analysis_limit", MAX_ANALYSIS_LIMIT, least=0),
        server=server_settings(entry),
    )


def _refuse_inapplicable(entry: Table, *, is_server: bool) -> None:
    """Raise ConfigError for a key that does not apply to this kind of database."""
    for key in FOR_FILES if is_server else SERVER_KEYS:
        if entry.has(key):
            kind = "a database server" if is_server else "a SQLite file"
            entry.fail(key, f"does not apply to {kind}", "leave it out here")


def _expanded(url: str, entry: Table) -> str:
    try:
        return expand_home(url)
    except RuntimeError:
        entry.fail("url", f"begins with {url.partition('/')[0]}, which has no home directory", "give the full path")


def _defaults(table: Table) -> Defaults:
    table.allow_only(*SHARED, *SERVER_KEYS, "workers", "grace")
    given = Defaults()
    on_failure = table.choice("on_failure", OnFailure)
    on_step_failure = table.choice("on_step_failure", OnFailure)
    lock_timeout = table.seconds("lock_timeout")
    workers = table.count("workers", MAX_WORKERS)
    grace = table.seconds("grace")
    return Defaults(
        on_failure=given.on_failure if on_failure is None else on_failure,
        on_step_failure=given.on_step_failure if on_step_failure is None else on_step_failure,
        lock_timeout=given.lock_timeout if lock_timeout is None else lock_timeout,
        verify=bool(table.flag("verify")),
        check=table.choice("check", CheckLevel),
        jobs=table.count("jobs", MAX_JOBS),
        analysis_limit=table.count("analysis_limit", MAX_ANALYSIS_LIMIT, least=0),
        server=server_settings(table),
        workers=given.workers if workers is None else workers,
        grace=given.grace if grace is None else grace,
    )


def _console(table: Table) -> ConsoleConfig:
    table.allow_only("theme", "refresh", "mouse", "read_only", "keys")
    refresh = table.seconds("refresh")
    if refresh is not None and refresh < 0.05:
        table.fail("refresh", "must be at least 0.05 seconds", "0.25 suits most terminals")
    mouse = table.flag("mouse")
    return ConsoleConfig(
        theme=table.text("theme"),
        refresh=ConsoleConfig().refresh if refresh is None else refresh,
        mouse=mouse is not False,
        read_only=bool(table.flag("read_only")),
        keys=table.table("keys").texts(),
    )


def _retention(table: Table) -> Retention:
    table.allow_only("completed", "failed", "cancelled", "keep_last")
    given = Retention()
    keep_last = table.count("keep_last", MAX_KEEP_LAST, least=0)
    return Retention(
        completed=table.age("completed", given.completed),
        failed=table.age("failed", given.failed),
        cancelled=table.age("cancelled", given.cancelled),
        keep_last=given.keep_last if keep_last is None else keep_last,
    )
