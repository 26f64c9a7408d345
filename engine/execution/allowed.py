"""What a worker of a shared store does for other logins: nothing that would lend them its own powers.

Its own config file says what else it does. A request that was submitted with the login of the worker is its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Final

from engine.config.model import Config, TargetEntry
from engine.config.watch import ConfigWatch
from engine.domain.claims import Claim
from engine.domain.errors import DbtendError
from engine.domain.option_spec import Lent
from engine.domain.option_specs import BY_NAME
from engine.domain.value_types import FilePath
from engine.system.paths import real_path
from engine.targets import resolve
from engine.targets.file_target import FileTarget
from engine.targets.target import Target

_OF_OTHERS: Final = "this worker takes no {} of other logins"


class Lending:
    """What one config file lets the workers of a process do for other logins."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._watch = None if file is None else ConfigWatch(file)
        self._turn = asyncio.Lock()

    async def refusal(self, claim: Claim, target: Target) -> str:
        """Why a worker with this config file does not carry it out; "" if it does. `target`: what it then works on."""
        if claim.is_own:
            return ""
        config = Config()
        if self._watch is not None:
            async with self._turn:
                await asyncio.to_thread(self._watch.look)
            if self._watch.problem is not None:
                return f"what this worker may do for other logins is not known: {self._watch.problem}"
            config = self._watch.config
        return await asyncio.to_thread(_refusal, claim, target, config, self._file)


def _refusal(claim: Claim, target: Target, config: Config, file: Path | None) -> str:
    """Reads the disk."""
    where = f"in {file or 'its config file'}"
    for lent in Lent:
        spec = BY_NAME[lent]
        if claim.options is None or not spec.differs_from_default(claim.options):
            continue
        if lent not in config.worker.allow:
            return f'{_OF_OTHERS.format(spec.option)}, unless [worker] {where} says allow = ["{lent}"]'
        path = spec.value_in(claim.options)
        if isinstance(spec.type, FilePath) and not _is_below(real_path(path), config.worker.directories):
            return f"{_OF_OTHERS.format(f'{spec.option} {path}')}, unless [worker] {where} names a directory above it"
    return _target_refusal(target, config, where)


def _target_refusal(target: Target, config: Config, where: str) -> str:
    if isinstance(target, FileTarget):
        if _is_below(target.path, config.worker.directories) or _is_named(target.path, config.targets):
            return ""
        unless = f"unless [worker] {where} names a directory above it, or [targets] the file itself"
        return f"{_OF_OTHERS.format('jobs on this file')}, {unless}"
    if "?" not in target.url or _is_named(target.url, config.targets):
        return ""
    return f"{_OF_OTHERS.format('URL with parameters')}, unless [targets] {where} names the very same URL"


def _is_below(real: str, directories: Iterable[str]) -> bool:
    """`real`: a path without links."""
    return any(PurePath(real).is_relative_to(real_path(directory)) for directory in directories)


def _is_named(target: str, entries: Iterable[TargetEntry]) -> bool:
    """Whether an entry is this URL, or this path once its links are followed. A pattern names no target."""
    return any(entry.url == target or _resolved(entry.url) == target for entry in entries)


def _resolved(text: str) -> str:
    """With all links followed; what names no database stands for itself."""
    try:
        target = resolve(text)
    except DbtendError:
        return text
    return target.path if isinstance(target, FileTarget) else target.url
