"""The checks of the doctor: versions, paths, permissions, limits and targets, with the fix for each problem."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import shutil
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Autovacuum, Engine, TargetInfo, WorkerProcess, store_admin
from engine.config.model import Config, TargetEntry
from engine.domain.engines import EngineName
from engine.domain.errors import ConfigError, DbtendError, StoreError, TargetError, UsageError
from engine.domain.humanize import by_reason, listed
from engine.domain.lazy_import import lazy
from engine.domain.requests import Request
from engine.fleet.expansion import expand, stands_for_many
from engine.fleet.surveyed_elsewhere import is_file_elsewhere
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.system.private_files import require_private_store
from engine.system.wal_checkpoint import FIXED_IN, loses_commits
from tui.commands import estimate_checks, notify_checks
from tui.commands.settings import Settings
from tui.commands.waiting import paused
from tui.presentation import store_format, typed_values
from tui.presentation.health_check import Check, Level
from tui.presentation.text import counted, plain, size, zoned_time
from tui.presentation.worker_format import SEE_LOG, format_unserved, reduced_pools, serving

if TYPE_CHECKING:
    from tui.commands import schedule_checks
    from tui.console import settings as console_settings
else:
    schedule_checks = lazy("tui.commands.schedule_checks", "only where there are schedules")
    console_settings = lazy("tui.console.settings", "it imports Textual")

_LITTLE_SPACE = 100_000_000
Inspect = Callable[[str], Awaitable[TargetInfo]]


async def examine(
    settings: Settings, targets: Callable[[Config], Sequence[TargetEntry]], *, of_each: bool = False
) -> list[Check]:
    """Look at everything.

    Args:
        targets: those to look at, by the config.
        of_each: tell of the estimates of each of them, not of all databases together.
    """
    config, config_check = _config(settings)
    exposed = [] if settings.store.is_shared else list(_exposed_store(settings.store.path))
    has_store = not exposed and (settings.store.is_shared or _is_there(settings.store.path))
    has_config = config_check.level is Level.OK
    may_fire = bool(config.schedules) or not has_config
    return [
        *_versions(),
        config_check,
        *exposed,
        *(_files(settings) if not (exposed or settings.store.is_shared) else []),
        *(await _store(settings, config.defaults.workers) if has_store else []),
        *([store_format.lent(config.worker)] if settings.store.is_shared and has_config else []),
        *(await schedule_checks.schedule_checks(settings, config, has_config=has_config) if may_fire else []),
        *notify_checks.secrets(config.notify),
        *(await notify_checks.deliveries(settings, config.notify) if has_store else []),
        *(await estimate_checks.estimates(settings) if has_store and not of_each else []),
        *await _targets(targets(config), settings, has_store=has_store, of_each=of_each),
    ]


def _exposed_store(store: Path) -> Iterator[Check]:
    """Says that others can reach the store, which is not even opened then."""
    try:
        require_private_store(Path(os.path.realpath(store)))
    except StoreError as error:
        yield Check(Level.PROBLEM, "store", f"{error.what} {error.why}", error.hint)


def _files(settings: Settings) -> list[Check]:
    try:
        settings.require_store()
        return list(store_files(settings.store.path, read_only=settings.read_only))
    except StoreError as error:
        return [Check(Level.PROBLEM, "store", f"{error.what}: {error.why}", error.hint)]
    except OSError as error:
        found = f"{settings.store} cannot be looked at: {error.strerror}"
        return [Check(Level.PROBLEM, "store", found, "see to its disk")]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _versions() -> Iterator[Check]:
    yield Check(Level.OK, "dbtend", typed_values.version())
    yield Check(Level.OK, "python", platform.python_version())
    yield _sqlite(sqlite3.sqlite_version)
    try:
        if (bundled := inspector.bundled_sqlite()) is not None:
            yield Check(Level.OK, "apsw", f"brings SQLite {bundled} (--sqlite bundled)")
    except OSError as error:
        found = f"its SQLite does not start: {error.strerror}"
        yield Check(Level.WARN, "apsw", plain(found), "pip install --force-reinstall apsw")
    for driver, databases in (("psycopg", "PostgreSQL"), ("PyMySQL", "MariaDB and MySQL"), ("duckdb", "DuckDB")):
        with suppress(importlib.metadata.PackageNotFoundError):
            yield Check(Level.OK, driver.lower(), f"{importlib.metadata.version(driver)} (for {databases})")
    try:
        yield Check(Level.OK, "textual", importlib.metadata.version("textual"))
    except importlib.metadata.PackageNotFoundError:
        yield Check(Level.WARN, "textual", "is not installed: there is no console", "pip install textual")


def _sqlite(version: str) -> Check:
    if not loses_commits(version):
        return Check(Level.OK, "sqlite", version)
    found = f"{version}: applications that use it can lose commits at their own checkpoints; those of dbtend do not"
    return Check(Level.WARN, "sqlite", found, f"update it to {FIXED_IN}")


def _config(settings: Settings) -> tuple[Config, Check]:
    path = str(settings.config_path)
    try:
        config = settings.config()
        if config.console.theme is not None or config.console.keys:
            console_settings.apply_console_settings(config.console, settings.config_path)
    except ConfigError as error:
        return Config(), Check(Level.PROBLEM, "config", f"{error.what}: {error.why}", error.hint)
    if not settings.config_path.exists():
        return config, Check(Level.OK, "config", f"{path}: none, everything is at its default")
    return config, Check(Level.OK, "config", f"{path}: {counted(len(config.targets), 'target')}")


def store_files(store: Path, *, read_only: bool) -> Iterator[Check]:
    """Checks paths and permissions: the store must be writable, unless it is read-only, and private."""
    directory = next(place for place in (store.parent, *store.parent.parents) if place.exists())
    if not directory.is_dir() or not (read_only or os.access(directory, os.W_OK | os.X_OK)):
        yield Check(Level.PROBLEM, "store", f"{directory} cannot be written", "allow it, or give another --store")
        return
    free = shutil.disk_usage(directory).free
    level = Level.OK if free >= _LITTLE_SPACE else Level.WARN
    yield Check(level, "disk space", f"{size(free)} free beside the store", "" if level is Level.OK else "make room")
    if not store.exists():
        yield Check(Level.OK, "store", f"{store}: none yet, the first run creates it")
        return
    for path, wanted in ((store.parent, 0o700), (store, 0o600)):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Check(Level.WARN, "permissions", f"{path} is open to others ({mode:04o})", f"chmod {wanted:o} {path}")
    if not read_only and (not store.stat().st_mode & 0o222 or not os.access(store, os.W_OK)):
        yield Check(Level.PROBLEM, "permissions", f"{store} cannot be written", f"chmod 600 {store}")


async def _store(settings: Settings, max_running: int) -> list[Check]:
    """`max_running`: how many jobs run at once, by the config."""
    try:
        async with settings.engine() as engine:
            jobs, open_jobs = await engine.count(), await engine.open_jobs()
            await engine.history()  # what cannot be read of the newest jobs says so
            alive = [process for process in await engine.workers() if process.alive]
            holdups = await store_holdups(engine)
        name = plain(str(settings.store))
        if settings.store.is_shared:
            checks = store_format.store_checks(await store_admin.check(settings.store), name)
        else:
            found = f"{settings.store}: {counted(jobs, 'job')}, {len(open_jobs)} open"
            checks = [Check(Level.OK, "store", found), _workers(alive, len(open_jobs), max_running)]
    except DbtendError as error:
        return [Check(Level.PROBLEM, "store", f"{error.what}: {error.why}", error.hint)]
    return checks + holdups


async def store_holdups(engine: Engine) -> list[Check]:
    """What keeps jobs of the store from running."""
    workers = await engine.workers()
    checks = [_stalled(process) for process in workers if process.alive and process.stalled]
    checks += [Check(Level.WARN, "pool", found, SEE_LOG) for found in reduced_pools(workers)]
    unserved, drained = await engine.unserved(), await engine.drained_hosts()
    for queue, waiting in unserved.items():
        checks.append(Check(Level.WARN, "queue", format_unserved(queue, len(waiting)), serving(queue, drained)))
    for host, since in drained.items():
        found = f"{plain(host)} takes no jobs since {zoned_time(since.at)}: drained by {plain(since.by)}"
        checks.append(Check(Level.WARN, "drained", found, f"dbtend worker --undrain {plain(host)}"))
    if (pause := await engine.paused()) is not None:
        checks.append(Check(Level.WARN, "paused", f"{paused(pause)}: nothing new starts", "dbtend resume"))
    return checks


def _workers(alive: Sequence[WorkerProcess], open_jobs: int, max_running: int) -> Check:
    if open_jobs and not alive:
        found = f"none alive, and {counted(open_jobs, 'job')} waiting"
        return Check(Level.WARN, "workers", found, "start one: dbtend worker")
    of_runs = sum(not process.serves_all for process in alive)
    pools = sorted({process.pool for process in alive if process.serves_all and process.pool is not None})
    texts = [
        f"{counted(len(alive), 'process')} alive",
        *(f"pool {pool}" for pool in pools),
        *([f"{of_runs} of them for one run only"] if of_runs else []),
        f"{counted(sum(len(process.running) for process in alive), 'job')} running (workers = {max_running})",
    ]
    return Check(Level.OK, "workers", ", ".join(texts))


def _stalled(process: WorkerProcess) -> Check:
    found = f"process {process.pid} on {process.host} lives, and does not move: it was stopped, or hangs"
    fix = (
        f"kill -CONT {process.pid} lets it go on; kill -KILL {process.pid} ends it,"
        " and its job is run again if an attempt is left"
    )
    return Check(Level.WARN, "stalled", found, fix)


async def _targets(
    entries: Sequence[TargetEntry], settings: Settings, *, has_store: bool, of_each: bool
) -> list[Check]:
    """Checks of the targets, by the history where there is one: it may say that a database must not be opened."""
    here = [entry for entry in entries if not (settings.store.is_shared and is_file_elsewhere(entry.url))]
    async with AsyncExitStack() as stack:
        inspect: Inspect = partial(inspector.inspect, read_only=settings.read_only)
        databases: Collection[str] = ()
        if has_store and here:
            with suppress(StoreError):  # the check of the store has reported it
                engine = await stack.enter_async_context(settings.engine())
                inspect, databases = engine.inspect, await engine.known_databases()
        single, checks = await _single_targets(here, databases)
        if there := len(entries) - len(here):
            checks.append(Check(Level.OK, "hosts", f"{counted(there, 'target')} of other hosts, examined there"))
        found = await for_each([entry.url for entry in single], inspect)
    checks += [_target(entry, one) for entry, one in zip(single, found, strict=True)]
    well = [entry for entry, one in zip(single, found, strict=True) if _has_autovacuum(one)]
    kept = await for_each([entry.url for entry in well], partial(inspector.autovacuum, read_only=settings.read_only))
    checks += _autovacuum([(entry.name, one) for entry, one in zip(well, kept, strict=True) if one is not None])
    opened = [entry for entry, one in zip(single, found, strict=True) if isinstance(one, TargetInfo)]
    checks += await _refused([entry for entry in opened if entry.settings or entry.operations])
    if has_store and of_each:
        checks += await estimate_checks.estimates(settings, [inspector.canonical_url(entry.url) for entry in single])
    return checks


async def _single_targets(
    entries: Sequence[TargetEntry], databases: Collection[str]
) -> tuple[list[TargetEntry], list[Check]]:
    """The entries, patterns expanded; and a problem for each that cannot be. `databases`: those on record."""

    async def known() -> Collection[str]:
        return databases

    single: list[TargetEntry] = []
    checks: list[Check] = []
    for entry in entries:
        try:
            if not await asyncio.to_thread(stands_for_many, entry):
                single.append(entry)
                continue
            expansion = await expand([entry], known=known)
        except DbtendError as error:
            checks.append(_problem(entry, error))
        else:
            single += expansion.targets
            checks += [_problem(one.entry, one.error) for one in expansion.unlisted]
    return list({(entry.url, entry.name): entry for entry in single}.values()), checks


async def _refused(entries: Sequence[TargetEntry]) -> list[Check]:
    """A problem for each target whose operations and options, as the config file has them, would be refused."""
    by_url: dict[str, list[TargetEntry]] = {}
    for entry in entries:
        by_url.setdefault(entry.url, []).append(entry)

    async def examined(url: str) -> list[Check]:
        found = [(entry, await _why_refused(entry)) for entry in by_url[url]]
        return [
            Check(Level.PROBLEM, entry.name, f"refused, as the config file has it: {plain(why)}", is_target=True)
            for entry, why in found
            if why
        ]

    checks: list[Check] = []
    for same, found in zip(by_url.values(), await for_each(list(by_url), examined), strict=True):
        checks += [_problem(same[0], found)] if isinstance(found, TargetError) else found
    return checks


async def _why_refused(entry: TargetEntry) -> str:
    operations = entry.operations or inspector.default_operations(entry.url)
    request = inspector.applicable(Request(target=entry.url, operations=operations, options=entry.options))
    try:
        plan = await inspector.plan(request, read_only=True)
    except UsageError as error:
        return f"{error.what}: {error.why}"
    refused = by_reason(
        (operation.operation.value, operation.refused) for operation in plan.operations if operation.refused
    )
    return "; ".join(f"{listed(names)}: {text}" for text, names in refused.items())


def _problem(entry: TargetEntry, error: DbtendError) -> Check:
    return Check(Level.PROBLEM, entry.name, f"{error.what}: {error.why}", error.hint, is_target=True)


def _has_autovacuum(found: TargetInfo | TargetError) -> bool:
    """A standby has none: all that it takes comes from its primary."""
    return isinstance(found, TargetInfo) and found.engine == EngineName.POSTGRESQL and not found.read_only


def _autovacuum(found: Sequence[tuple[str, Autovacuum | TargetError]]) -> Iterator[Check]:
    """A check for each database where autovacuum does not keep up, and one for all others."""
    kept = [(name, one.found) for name, one in found if isinstance(one, Autovacuum) and one.keeps_up]
    for name, one in found:
        if isinstance(one, TargetError):
            yield Check(Level.WARN, "autovacuum", f"{name}: {one.why}", one.hint)
        elif not one.keeps_up:
            yield Check(Level.WARN, "autovacuum", f"{name}: {one.found}", one.remedy)
    if kept:
        texts = by_reason(kept)
        yield Check(Level.OK, "autovacuum", "; ".join(f"{listed(names, 3)}: {text}" for text, names in texts.items()))


def _target(entry: TargetEntry, found: TargetInfo | TargetError) -> Check:
    if isinstance(found, TargetError):
        return _problem(entry, found)
    bytes_used = found.facts.get("size")
    shown = size(bytes_used) if isinstance(bytes_used, int | float) else "?"
    if found.read_only:
        can = f"can be inspected and checked, not maintained: {found.read_only}"
    else:
        can = "can be maintained in part" if found.lacks_rights else "can be maintained"
    text = "; ".join([f"{found.product}, {shown}, {can}", *found.remarks])
    level = Level.WARN if found.lacks_rights and not found.read_only else Level.OK
    return Check(level, entry.name, text, is_target=True)
