"""How the command line names a target in its text: by its file or its URL, with the label of the config file behind it.

One process is one command, so there is one config file; it is read when the first target is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from engine.config import Config
from engine.errors import ConfigError
from tui.text import plain, target_name

_sources: list[Callable[[], Config]] = []


def use(config: Callable[[], Config]) -> None:
    """From now on labels are those of this config; none where it cannot be read, as a command may not need it."""
    _sources[:] = [config]
    _tags.cache_clear()
    _tag_of.cache_clear()


def named(url: str) -> str:
    """`sales.db [PROD]`."""
    return target_name(url) + _tag_of(url)


def labelled(url: str) -> str:
    """`sqlite:///srv/sales.db [PROD]`."""
    return plain(url) + _tag_of(url)


@cache
def _tag_of(url: str) -> str:
    if not _tags():
        return ""
    from tui.canonical_urls import canonical

    return _tags().get(canonical(url), "")


@cache
def _tags() -> Mapping[str, str]:
    from tui.canonical_urls import canonical
    from tui.target_names import TargetName

    try:
        entries = [entry for source in _sources for entry in source().targets if entry.label]
    except ConfigError:
        return {}
    # On the screen a blank in a label is one that does not break.
    return {
        canonical(entry.url): f" {TargetName.of(entry).tag}".replace("\N{NO-BREAK SPACE}", " ") for entry in entries
    }
