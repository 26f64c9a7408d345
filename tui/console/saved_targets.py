"""The targets of the config file, as last read or written; saves targets and the theme."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.config_file import ConfigFile
from engine.config.model import Config, TargetEntry
from engine.domain.batches import BatchOptions
from engine.domain.lazy_import import lazy
from tui.presentation.canonical_urls import CanonicalUrls

if TYPE_CHECKING:
    from engine.config import editor
else:
    editor = lazy("engine.config.editor", "only a change of the config file needs it")


class SavedTargets:
    """Reads and writes off the event loop: the disk may be slow."""

    def __init__(self, file: ConfigFile, config: Config, *, reserved: Collection[str] = ()) -> None:
        """Do not construct on an event loop: it follows links.

        Args:
            config: the content of the file.
            reserved: names that a new target must not have.
        """
        self.reserved = reserved
        self._file = file
        self.urls = CanonicalUrls()
        self._config = self._resolved(config)

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def config(self) -> Config:
        """All of the file, as last read or written."""
        return self._config

    @property
    def entries(self) -> tuple[TargetEntry, ...]:
        """The targets of the file, without its defaults."""
        return self._config.targets

    def whole(self, entry: TargetEntry) -> TargetEntry:
        """This entry with the defaults of the file."""
        return entry.with_defaults(self._config.defaults)

    def batch_options(self, urls: Iterable[str]) -> BatchOptions:
        """What the defaults of the file say of a batch on these targets."""
        return self._config.defaults.batch_options(urls)

    def entry_of(self, entry: TargetEntry) -> TargetEntry | None:
        """The entry of the file for the same database, under any name; None: there is none."""
        url = self.urls.of(entry.url)
        others = self._others.get(url, ())
        return next((saved for saved in others if saved.name == entry.name), self._by_url.get(url))

    def has(self, entry: TargetEntry) -> bool:
        """Whether the file names this database, or a pattern that stands for it."""
        return entry.pattern in self._urls or self.entry_of(entry) is not None

    async def read(self) -> None:
        """Read the file again. Raises ConfigError."""
        self._config = await asyncio.to_thread(lambda: self._resolved(self._file.load()))

    async def put(self, entry: TargetEntry, *, was: TargetEntry | None) -> TargetEntry:
        """Save a new target, or replace the entry `was`; returns the saved entry. Raises ConfigError."""
        await self._change(partial(editor.with_target, entry=entry, was=was, file=str(self.path)))
        return next(saved for saved in self.entries if saved.name == entry.name)

    async def remove(self, was: TargetEntry) -> None:
        """Raises ConfigError."""
        await self._change(partial(editor.without_target, was=was, file=str(self.path)))

    async def put_theme(self, name: str) -> None:
        """Save the theme. Raises ConfigError."""
        await self._change(partial(editor.with_theme, theme=name, file=str(self.path)))

    async def _change(self, edit: Callable[[str], str]) -> None:
        self._config = await asyncio.to_thread(lambda: self._resolved(self._file.change(edit)))

    def _resolved(self, config: Config) -> Config:
        """This config, after resolving the URLs of its targets."""
        self.urls.learn(entry.url for entry in config.targets)
        self._urls = {entry.url for entry in config.targets}
        self._by_url: dict[str, TargetEntry] = {}
        self._others: dict[str, list[TargetEntry]] = {}
        """Further entries for the same databases."""
        for entry in config.targets:
            url = self.urls.of(entry.url)
            if self._by_url.setdefault(url, entry) is not entry:
                self._others.setdefault(url, []).append(entry)
        return config
