"""The entries of the config file that words name: names, groups, paths, URLs. Patterns are not expanded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from engine.config.model import GROUP, Config, TargetEntry, targets_called
from engine.domain.errors import UsageError
from engine.domain.humanize import listed
from engine.domain.schedules import Schedule
from engine.domain.spelling import closest
from engine.fleet.expansion import member_called
from engine.fleet.patterns import is_wild


def entries_named(words: Iterable[str], config: Config, *, name_of: Callable[[str], str] = str) -> list[TargetEntry]:
    """The entries that words name: those of a group, a name or a pattern of names in the config file, or a path or URL.
    With the defaults.

    `name_of`: the name of an entry that is a path or a URL.

    Raises UsageError for an unknown group, and for a bare word that is close to a name.
    """
    named = {entry.name: entry for entry in config.targets}

    def meant_by(word: str) -> list[TargetEntry]:
        if word.startswith(GROUP):
            return _group(word, config)
        if word in named:
            return [named[word]]
        if is_wild(word) and (found := targets_called(word, config.targets)):
            return found
        return [_member(word, config) or _unnamed(word, named, name_of)]

    return [entry.with_defaults(config.defaults) for word in words for entry in meant_by(word)]


def entries_of(schedule: Schedule, config: Config) -> list[TargetEntry]:
    """The entries that a schedule names. No shell has made them of a pattern: each is meant, whatever it is by now.

    Raises as `entries_named`.
    """
    return [replace(entry, is_word=False) for entry in entries_named(schedule.targets, config)]


def configured_entries(config: Config) -> list[TargetEntry]:
    """The targets of the config file, with the defaults, each once; see `all_configured_entries`."""
    return list({(entry.url, entry.exclude): entry for entry in all_configured_entries(config)}.values())


def all_configured_entries(config: Config) -> list[TargetEntry]:
    """The entries of the config file, which may name a target twice, then those that only its schedules name."""
    entries = [entry.with_defaults(config.defaults) for entry in config.targets]
    named = {entry.url for entry in config.targets}
    for schedule in config.schedules:
        try:
            found = entries_of(schedule, config)
        except UsageError:  # to fire it says why
            continue
        entries += [replace(one, exclude=(*one.exclude, *schedule.exclude)) for one in found if one.url not in named]
    return entries


def _member(word: str, config: Config) -> TargetEntry | None:
    """What a pattern of the config file stands for and `dbtend fleet` shows by this name."""
    is_name = not (set(word) & set("/:=*?[") or Path(word).exists())
    return member_called(word, config.targets) if is_name else None


def _group(word: str, config: Config) -> list[TargetEntry]:
    members = targets_called(word, config.targets)
    if not members:
        groups = sorted({GROUP + group for entry in config.targets for group in entry.groups})
        raise UsageError(
            repr(word),
            "is no group of the config file",
            f"there is {listed(groups)}" if groups else "no target has groups",
        )
    return members


def _unnamed(word: str, names: Collection[str], name_of: Callable[[str], str]) -> TargetEntry:
    close = closest(word, names)
    if close and not set(word) & set("/.:=") and not Path(word).exists():
        raise UsageError(repr(word), "is no target of the config file, and no file", f"did you mean {close}?")
    return TargetEntry(name=name_of(word), url=word, is_word=True)
