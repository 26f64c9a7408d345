"""What a worker of a shared store does for other logins: nothing that would lend them its own powers.

Its own config file says what else it does. A request that was submitted with the login of the worker is its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Final

from engine.config.model import Config, TargetEntry
from engine.config.reader import load_config
from engine.domain.claims import Claim
from engine.domain.errors import ConfigError, DbtendError
from engine.domain.option_spec import Lent
from engine.domain.option_specs import BY_NAME
from engine.domain.value_types import FilePath
from engine.targets import file_named, resolve

_OF_OTHERS: Final = "this worker takes no {} of other logins"


async def refusal(claim: Claim, file: Path | None) -> str:
    """Why a worker with this config file does not carry it out; "" if it does."""
    if claim.is_own:
        return ""
    try:
        config = Config() if file is None else await asyncio.to_thread(load_config, file, required=False)
    except ConfigError as error:
        return f"what this worker may do for other logins is not known: {error}"
    return await asyncio.to_thread(_refusal, claim, config, file)


def _refusal(claim: Claim, config: Config, file: Path | None) -> str:
    """Reads the disk."""
    where = f"in {file or 'its config file'}"
    for lent in Lent:
        spec = BY_NAME[lent]
        if claim.options is None or not spec.differs_from_default(claim.options):
            continue
        if lent not in config.worker.allow:
            return f'{_OF_OTHERS.format(spec.option)}, unless [worker] {where} says allow = ["{lent}"]'
        path = spec.value_in(claim.options)
        if isinstance(spec.type, FilePath) and not _is_below(path, config.worker.directories):
            return f"{_OF_OTHERS.format(f'{spec.option} {path}')}, unless [worker] {where} names a directory above it"
    return _target_refusal(claim.target, config, where)


def _target_refusal(target: str, config: Config, where: str) -> str:
    path = file_named(target)
    if path is not None:
        if _is_below(path, config.worker.directories) or _is_named(target, config.targets):
            return ""
        unless = f"unless [worker] {where} names a directory above it, or [targets] the file itself"
        return f"{_OF_OTHERS.format('jobs on this file')}, {unless}"
    if "?" not in resolve(target).url or _is_named(target, config.targets):
        return ""
    return f"{_OF_OTHERS.format('URL with parameters')}, unless [targets] {where} names the very same URL"


def _is_below(path: str, directories: Iterable[str]) -> bool:
    """With all links followed."""
    real = PurePath(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(directory)) for directory in directories)


def _is_named(target: str, entries: Iterable[TargetEntry]) -> bool:
    """Whether one of them is this target; one that is a pattern names none."""
    return _url_of(target) in {_url_of(entry.url) for entry in entries}


def _url_of(text: str) -> str:
    """With all links followed; what names no database stands for itself."""
    try:
        path = file_named(text)
        return resolve(text).url if path is None else os.path.realpath(path)
    except DbtendError:
        return text
