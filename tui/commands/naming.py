"""How the command line names things in its text: a target as the console does, by its name and label in the config
file; a command so that it finds the same store.

A target without a name there is shown by its file. One process is one command, so there is one config file; it is
read when the first target is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

from engine.config.model import Config
from engine.domain.errors import ConfigError
from engine.domain.lazy_import import lazy
from tui.presentation.text import plain

if TYPE_CHECKING:
    import shlex

    from tui.presentation import canonical_urls, plain_names, target_names
    from tui.presentation.plain_names import PlainNames
    from tui.presentation.target_names import TargetName, TargetNames
else:
    shlex = lazy("shlex", "only a command that follows needs it")
    canonical_urls = lazy("tui.presentation.canonical_urls", "commands without names of targets do without it")
    plain_names = lazy("tui.presentation.plain_names", "commands without names of targets do without it")
    target_names = lazy("tui.presentation.target_names", "commands without names of targets do without it")

_sources: list[Callable[[], Config]] = []
_stores: list[str] = []


def use(config: Callable[[], Config], store: str | None) -> None:
    """Take names from this config from now on; from none if it cannot be read, as a command may not need it.

    `store`: what --store names; None without it.
    """
    _sources[:] = [config]
    _stores[:] = [] if store is None else [store]
    _names.cache_clear()
    _given.cache_clear()
    _plain.cache_clear()


def command(words: str) -> str:
    """`dbtend retry 42`, with the --store of this command: other stores have a job 42, too."""
    return " ".join(("dbtend", words, *(f"--store {shlex.quote(store)}" for store in _stores)))


def named(url: str) -> str:
    """`sales [PROD]`."""
    return name_of(url) + _tag_of(url)


def name_of(url: str) -> str:
    """`sales`; without a name in the config file `sales.db`."""
    given = _given(url)
    return plain(given.name) if given else _plain().of(url)


def target_name_of(url: str) -> TargetName:
    """Its name with its label; without a name in the config file, that of the file."""
    return _given(url) or target_names.TargetName(_plain().of(url))


def tell_apart(urls: Iterable[str]) -> None:
    """Targets that will be shown together get different names."""
    for url in urls:
        name_of(url)


def label_of(url: str) -> str | None:
    """The label of a target in the config; None without one."""
    given = _given(url)
    return given.label or None if given else None


def labelled(url: str) -> str:
    """`sqlite:///srv/sales.db [PROD]`."""
    return plain(url) + _tag_of(url)


def _tag_of(url: str) -> str:
    given = _given(url)
    # On the screen a blank in a label is one that does not break.
    return f" {given.tag}".replace("\N{NO-BREAK SPACE}", " ") if given and given.tag else ""


@cache
def _given(url: str) -> TargetName | None:
    names = _names()
    if names is None:
        return None
    return names.given(url) or names.given(canonical_urls.canonical(url))


@cache
def _plain() -> PlainNames:
    return plain_names.PlainNames()


@cache
def _names() -> TargetNames | None:
    try:
        entries = [entry for source in _sources for entry in source().targets]
    except ConfigError:
        return None
    if not entries:
        return None
    return target_names.TargetNames(canonical_urls.CanonicalUrls(), entries)
