"""What every command starts from: the store, the config, and the targets that the words name."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine import Engine, Operation, Request, StoreLocation
from engine.config.model import Config, TargetEntry, default_config_path, default_store_path
from engine.config.reader import load_config, load_store
from engine.domain.errors import StoreError, StoreFullError, UsageError
from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy
from engine.domain.option_specs import BY_NAME, refuse_inapplicable, with_values
from engine.domain.requests import DEFAULT_OPTIONS
from engine.domain.value_types import Flag
from tui.commands.options import typed_options
from tui.commands.run_async import run_async
from tui.presentation import typed_values

if TYPE_CHECKING:
    from engine.inspection import inspector
else:
    inspector = lazy("engine.inspection.inspector", "only requests need it")

T = TypeVar("T")


@frozen
class Settings:
    store: StoreLocation
    config_path: Path
    config_required: bool
    read_only: bool = False
    """Whether nothing may be changed, whatever is asked for."""
    store_required: bool = False
    """Whether --store named it: what only reads it needs one then."""

    def engine(self) -> AbstractAsyncContextManager[Engine]:
        """The engine of a command that only tells: it is as read-only as was asked for."""
        return Engine.open(self.store, config=self.config_path, read_only=self.read_only)

    @asynccontextmanager
    async def reading_engine(self) -> AsyncIterator[Engine]:
        """An engine that changes nothing, and creates no store where there is none. It reads one on a full disk."""
        read_only = self.read_only or not self.store.exists()
        async with AsyncExitStack() as stack:
            try:
                opening = Engine.open(self.store, config=self.config_path, read_only=read_only)
                engine = await stack.enter_async_context(opening)
            except StoreFullError:
                opening = Engine.open(self.store, config=self.config_path, read_only=True)
                engine = await stack.enter_async_context(opening)
            yield engine

    @property
    def given_config(self) -> Path | None:
        """The config file, unless it is the default one."""
        return self.config_path if self.config_required else None

    def require_config(self, *, is_read: bool) -> None:
        """Raise ConfigError if a config file that was named does not exist, or, with `is_read`, is broken."""
        if self.config_required and (is_read or not os.access(self.config_path, os.F_OK)):
            self.config()

    def require_store(self) -> None:
        """Raise StoreError if a store that --store names does not exist."""
        if self.store_required and not self.store.exists():
            raise StoreError(
                str(self.store), "there is no such store of jobs", "check --store: the first run makes one"
            )

    def config(self) -> Config:
        """Raises ConfigError."""
        return load_config(self.config_path, required=self.config_required)


def with_engine(opening: AbstractAsyncContextManager[Engine], work: Callable[[Engine], Awaitable[T]]) -> T:
    """Open an engine for this work, and return its result."""

    async def run() -> T:
        async with opening as engine:
            return await work(engine)

    return run_async(run())


def settings(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """An option beats the environment, which beats the config file, which beats the default."""
    for name in ("DBTEND_STORE", "DBTEND_CONFIG", "DBTEND_READ_ONLY"):
        typed_values.refuse_password(environ.get(name, ""), names_store=name == "DBTEND_STORE")
    config = args.config or (typed_values.path(given) if (given := environ.get("DBTEND_CONFIG")) else None)
    try:
        read_only = args.read_only or Flag().parse(environ.get("DBTEND_READ_ONLY", ""))
    except UsageError as error:
        raise UsageError(f"DBTEND_READ_ONLY={error.what}", error.why, error.hint) from None
    path = config or default_config_path()
    store = args.store or _store(environ.get("DBTEND_STORE") or load_store(path).url)
    return Settings(store, path, config is not None, read_only, store_required=args.store is not None)


def _store(given: str | None) -> StoreLocation:
    return StoreLocation.parse(given) if given else StoreLocation(default_store_path())


def requests(args: argparse.Namespace, entries: Sequence[TargetEntry]) -> list[Request]:
    """One request per target: the command line beats the target's entry, which beats the defaults.

    With `--needed` they hold all that may turn out to be needed.

    Raises UsageError.
    """
    typed = typed_options(args)
    copies = typed.get("backup_to", "")
    if len(entries) > 1 and copies and not Path(copies).is_dir():
        raise UsageError("--backup-to", f"{copies} cannot hold several backups", "name a directory that exists")
    if "keep" in typed and copies and not Path(copies).is_dir():
        why = f"counts backups in a directory, and --backup-to names the file {copies}"
        raise UsageError("--keep", why, "give a directory, or leave --keep out")
    if "offline" in typed and "snapshot_wait" in typed:
        raise UsageError("--snapshot-wait", "means nothing with --offline, which waits for locks only", "leave one out")
    if "fit" in typed and not typed.keys() & {"time_limit", "until"}:
        option = BY_NAME["fit"].as_typed(with_values(DEFAULT_OPTIONS, typed))
        raise UsageError(option, "means nothing without a time limit", "give --time-limit or --until, or leave it out")
    return [_request(entry, args, typed) for entry in entries]


def _request(entry: TargetEntry, args: argparse.Namespace, typed: Mapping[str, Any]) -> Request:
    asked: Sequence[Operation] | None = args.operations or entry.operations
    usual = inspector.operations if args.needed else inspector.default_operations
    operations = tuple(asked or usual(entry.url))
    request = Request(target=entry.url, operations=operations, options=with_values(entry.options, typed))
    refuse_inapplicable(typed, inspector.engine_of(entry.url), request.children, request.options)
    return inspector.applicable(request)


def one_job(args: argparse.Namespace) -> str:
    """The single job id that `show`, `cancel` and `retry` take. Raises UsageError."""
    words: list[str] = args.words
    if len(words) != 1:
        why = "no JOB was given" if not words else "takes one JOB"
        raise UsageError(args.command, why, f"such as: dbtend {args.command} 42; see dbtend history")
    return words[0]
