"""What every command starts from: the store, the config, and the targets that the words name."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from engine import Operation, Options, Request, look
from engine.config import Config, TargetEntry, default_config_path, default_store_path, load_config
from engine.errors import UsageError
from tui.commands import values
from tui.text import target_name

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Settings:
    """Which files this call of dbtend works with."""

    store: Path
    config_path: Path
    config_required: bool

    @property
    def given_config(self) -> Path | None:
        """The config file, where it is not at its default place."""
        return self.config_path if self.config_required else None

    def config(self) -> Config:
        """Raises ConfigError."""
        return load_config(self.config_path, required=self.config_required)


def settings(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """An option beats the environment, which beats the default."""
    store = args.store or (values.path(given) if (given := environ.get("DBTEND_STORE")) else default_store_path())
    config = args.config or (values.path(given) if (given := environ.get("DBTEND_CONFIG")) else None)
    return Settings(store, config or default_config_path(), config is not None)


def target_entries(words: Iterable[str], config: Config) -> list[TargetEntry]:
    """A name from the config file means its entry; everything else is a path or a URL.

    Raises UsageError for a bare word that is neither a name nor a file, but close to a name.
    """
    named = {entry.name: entry for entry in config.targets}
    return [named.get(word) or _unnamed(word, named) for word in words]


def _unnamed(word: str, names: Iterable[str]) -> TargetEntry:
    close = get_close_matches(word, names, 1)
    if close and not set(word) & set("/.:=") and not Path(word).exists():
        raise UsageError(repr(word), "is no target of the config file, and no file", f"did you mean {close[0]}?")
    return TargetEntry(name=target_name(word), url=word)


def requests(args: argparse.Namespace, config: Config) -> list[Request]:
    """One request per target: the command line beats the target's entry, which beats the defaults.

    Raises UsageError.
    """
    if not args.words:
        raise UsageError(args.command, "no TARGET was given", f"such as: dbtend {args.command} sales.db")
    return [_request(entry, args, config) for entry in target_entries(args.words, config)]


def _request(entry: TargetEntry, args: argparse.Namespace, config: Config) -> Request:
    asked: Sequence[Operation] | None = args.operations or entry.operations
    return Request(
        target=entry.url,
        operations=tuple(asked or look.default_operations(entry.url)),
        options=Options(
            on_failure=_first(args.on_failure, entry.on_failure, config.defaults.on_failure),
            lock_timeout=_first(args.lock_timeout, entry.lock_timeout, config.defaults.lock_timeout),
            time_limit=args.time_limit,
            until=args.until,
            stop_at_limit=args.stop_at_limit,
        ),
    )


def _first(*given: _T | None) -> _T:
    return next(value for value in given if value is not None)


def one_job(args: argparse.Namespace) -> str:
    """The single job id that `show`, `cancel` and `retry` take. Raises UsageError."""
    words: list[str] = args.words
    if len(words) != 1:
        why = "no JOB was given" if not words else "takes one JOB"
        raise UsageError(args.command, why, f"such as: dbtend {args.command} 42; see dbtend history")
    return words[0]
