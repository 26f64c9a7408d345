"""The names and labels of targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from engine.config.model import TargetEntry
from engine.fleet.patterns import member_name
from tui.presentation.canonical_urls import CanonicalUrls
from tui.presentation.plain_names import PlainNames
from tui.presentation.text import plain, shortened

LABEL_WIDTH: Final = 16
"""Cells of a label that are shown, at most."""


class TargetName(str):
    """The name of a target; as text with its label: `sales [PROD]`."""

    __slots__ = ("label", "name", "tag")

    name: str
    """Without the label."""
    tag: str
    """The label in brackets: `[PROD]`; "" without a label."""
    label: str
    """The label as configured."""

    def __new__(cls, name: str, label: str | None = None) -> TargetName:
        # A sentence that is wrapped must not take the label apart.
        shown = shortened(plain(label), LABEL_WIDTH).replace(" ", "\N{NO-BREAK SPACE}") if label else ""
        tag = f"[{shown}]" if shown else ""
        self = super().__new__(cls, f"{name} {tag}" if tag else name)
        self.name, self.tag, self.label = name, tag, label or ""
        return self

    @classmethod
    def of(cls, entry: TargetEntry) -> TargetName:
        return cls(entry.name, entry.label)


class TargetNames:
    """Names and labels by URL: a job stores only the URL of its target."""

    def __init__(self, urls: CanonicalUrls, *sources: Iterable[TargetEntry]) -> None:
        """`sources`: a later source overrides names of an earlier one, but keeps its labels."""
        self._urls = urls
        self._plain = PlainNames()
        self._names: dict[str, TargetName] = {}
        self._patterns: dict[str, TargetEntry] = {}
        """By canonical URL: entries with a label, which holds for all targets that they stand for."""
        self._members: dict[str, TargetName | None] = {}
        """The targets found for patterns."""
        for entries in sources:
            for entry in entries:
                known = self._names.get(self._urls.of(entry.url))
                if known is self._names.get(entry.url) and known == entry.name and not entry.label:
                    continue
                takes_label = known is not None and known.label and not entry.label
                self.learn(replace(entry, label=known.label) if known and takes_label else entry)

    def learn(self, entry: TargetEntry) -> None:
        url = self._urls.of(entry.url)
        self._names[url] = self._names[entry.url] = TargetName.of(entry)
        self._patterns.pop(url, None)
        if entry.label:
            self._patterns[url] = entry
        self._members.clear()

    def forget(self, entry: TargetEntry) -> None:
        for url in (self._urls.of(entry.url), entry.url):
            self._names.pop(url, None)
            self._patterns.pop(url, None)
        self._members.clear()

    def of(self, url: str) -> TargetName:
        """Its name; without one, the name of the file or database."""
        return self.given(url) or TargetName(self._plain.of(url))

    def canonical(self, url: str) -> str:
        return self._urls.of(url)

    def given(self, url: str) -> TargetName | None:
        """The name that a user gave it, or its name and label as a member of a pattern; None without one."""
        if name := self._names.get(url):
            return name
        if url not in self._members:
            self._members[url] = self._as_member(url)
        return self._members[url]

    def _as_member(self, url: str) -> TargetName | None:
        for pattern, entry in self._patterns.items():
            if name := member_name(pattern, url, entry.exclude):
                return TargetName(plain(name), entry.label)
        return None

    def called(self, part: str) -> frozenset[str]:
        """The URLs of the targets whose name or label contains `part`."""
        return frozenset(url for url, name in self._names.items() if has_part(name, part))

    @property
    def tags(self) -> frozenset[str]:
        """All labels in brackets."""
        return frozenset(name.tag for name in self._names.values() if name.tag)


def has_part(name: TargetName, part: str) -> bool:
    """Whether `target:PART` selects the target with this name."""
    return any(part.casefold() in text.casefold() for text in (name.name, name.label))
