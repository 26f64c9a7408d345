"""What every command starts from: the store, the config, and the targets that the words name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import fields, replace
from pathlib import Path

from engine import Engine, Operation, Options, Request
from engine.config.model import Config, TargetEntry, default_config_path, default_store_path
from engine.config.reader import load_config
from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.option_specs import OPTION_SPECS, refuse_inapplicable
from engine.inspection import inspector
from tui.commands.server_options import server_options
from tui.presentation import typed_values


@frozen
class Settings:
    """Which files this call of dbtend works with."""

    store: Path
    config_path: Path
    config_required: bool
    read_only: bool = False
    """Whether nothing may be changed, whatever is asked for."""

    def engine(self) -> AbstractAsyncContextManager[Engine]:
        """The engine of a command that only tells: it is as read-only as was asked for."""
        return Engine.open(self.store, read_only=self.read_only)

    @property
    def given_config(self) -> Path | None:
        """The config file, unless it is the default one."""
        return self.config_path if self.config_required else None

    def config(self) -> Config:
        """Raises ConfigError."""
        return load_config(self.config_path, required=self.config_required)


def settings(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """An option beats the environment, which beats the default."""
    for name in ("DBTEND_STORE", "DBTEND_CONFIG", "DBTEND_READ_ONLY"):
        typed_values.refuse_password(environ.get(name, ""))
    store = args.store or (typed_values.path(given) if (given := environ.get("DBTEND_STORE")) else default_store_path())
    config = args.config or (typed_values.path(given) if (given := environ.get("DBTEND_CONFIG")) else None)
    try:
        read_only = args.read_only or typed_values.flag(environ.get("DBTEND_READ_ONLY", ""))
    except UsageError as error:
        raise UsageError(f"DBTEND_READ_ONLY={error.what}", error.why, error.hint) from None
    return Settings(store, config or default_config_path(), config is not None, read_only)


def requests(args: argparse.Namespace, entries: Sequence[TargetEntry]) -> list[Request]:
    """One request per target: the command line beats the target's entry, which beats the defaults.

    With `--needed` they hold all that may turn out to be needed.

    Raises UsageError.
    """
    if len(entries) > 1 and args.backup_to is not None and not args.backup_to.is_dir():
        raise UsageError("--backup-to", f"{args.backup_to} cannot hold several backups", "name a directory that exists")
    return [_request(entry, args) for entry in entries]


def _request(entry: TargetEntry, args: argparse.Namespace) -> Request:
    asked: Sequence[Operation] | None = args.operations or entry.operations
    usual = inspector.operations if args.needed else inspector.default_operations
    operations = tuple(asked or usual(entry.url))
    request = Request(target=entry.url, operations=operations, options=_options(entry.options, args))
    refuse_inapplicable(_typed(args), inspector.engine_of(entry.url), request.children, request.options)
    return inspector.applicable(request)


def _typed(args: argparse.Namespace) -> list[str]:
    """The names of the options that were typed, whatever they say."""
    return [spec.name for spec in OPTION_SPECS if getattr(args, spec.name, None) is not None]


def _options(usual: Options, args: argparse.Namespace) -> Options:
    names = [
        field.name for field in fields(Options) if field.name not in {"server", "rebuild", "leave_out", "check_first"}
    ]
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.objects is not None:
        given["objects"] = tuple(args.objects)
    if args.analysis_limit is not None:
        given["analysis_limit"] = args.analysis_limit or None
    if args.backup_to is not None:
        given["backup_to"] = str(args.backup_to)
    return replace(usual, **given, server=server_options(usual.server, args))


def one_job(args: argparse.Namespace) -> str:
    """The single job id that `show`, `cancel` and `retry` take. Raises UsageError."""
    words: list[str] = args.words
    if len(words) != 1:
        why = "no JOB was given" if not words else "takes one JOB"
        raise UsageError(args.command, why, f"such as: dbtend {args.command} 42; see dbtend history")
    return words[0]
