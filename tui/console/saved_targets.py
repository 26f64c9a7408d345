"""The targets of the config file, as they were when it was last read or written here; and what else is saved there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from engine.config.config_file import ConfigFile
from engine.config.model import Config, TargetEntry
from tui.presentation.canonical_urls import CanonicalUrls


class SavedTargets:
    """Reads and writes off the event loop: a home directory may be on a disk that is slow."""

    def __init__(self, file: ConfigFile, config: Config, *, reserved: Collection[str] = ()) -> None:
        """Not to be made on an event loop: it follows links.

        Args:
            config: what the file says now.
            reserved: names that no new target may have.
        """
        self.reserved = reserved
        self._file = file
        self.urls = CanonicalUrls()
        self._config = self._followed(config)

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def entries(self) -> tuple[TargetEntry, ...]:
        """As they stand there, without what is said for all of them."""
        return self._config.targets

    def whole(self, entry: TargetEntry) -> TargetEntry:
        """With what the file says for all targets."""
        return entry.with_defaults(self._config.defaults)

    def entry_of(self, entry: TargetEntry) -> TargetEntry | None:
        """The entry for the same database, whatever it is called; None where the file has none."""
        url = self.urls.of(entry.url)
        same = [saved for saved in self.entries if self.urls.of(saved.url) == url]
        return next((saved for saved in same if saved.name == entry.name), same[0] if same else None)

    async def read(self) -> None:
        """Look at the file again. Raises ConfigError."""
        self._config = await asyncio.to_thread(lambda: self._followed(self._file.load()))

    async def put(self, entry: TargetEntry, *, was: TargetEntry | None) -> TargetEntry:
        """Save a target, a new one or in place of one that it `was`; what is saved. Raises ConfigError."""
        from engine.config.editor import with_target  # it takes a while to import, and few sessions change anything

        await self._change(partial(with_target, entry=entry, was=was, file=str(self.path)))
        return next(saved for saved in self.entries if saved.name == entry.name)

    async def remove(self, was: TargetEntry) -> None:
        """Raises ConfigError."""
        from engine.config.editor import without_target

        await self._change(partial(without_target, was=was, file=str(self.path)))

    async def put_theme(self, name: str) -> None:
        """Save the colours of the console. Raises ConfigError."""
        from engine.config.editor import with_theme

        await self._change(partial(with_theme, theme=name, file=str(self.path)))

    async def _change(self, edit: Callable[[str], str]) -> None:
        self._config = await asyncio.to_thread(lambda: self._followed(self._file.change(edit)))

    def _followed(self, config: Config) -> Config:
        """The same, when it is known what its URLs come to."""
        self.urls.learn(entry.url for entry in config.targets)
        return config
