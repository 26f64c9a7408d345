"""`dbtend metrics`: the state of a store for Prometheus, as a file for node_exporter or on standard output."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from engine import Engine
from engine.config.model import Config, TargetEntry
from engine.domain.overview import Overview
from engine.fleet.membership import member_name
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import name_of
from tui.commands.output_file import replace_file
from tui.commands.settings import Settings
from tui.presentation import typed_values
from tui.presentation.canonical_urls import canonical
from tui.presentation.exit_codes import OK
from tui.presentation.metrics import metrics_text

_MODE: Final = 0o644
"""Of the file: node_exporter is another user."""


def metrics(args: argparse.Namespace, settings: Settings) -> int:
    config = settings.config()
    text = asyncio.run(_text(settings, config)) if settings.store.exists() else text_of(Overview(at=now()), config)
    if args.textfile is None:
        output.write(text.decode())
    else:
        replace_file(args.textfile, text, _MODE, settings)
    return OK


async def _text(settings: Settings, config: Config) -> bytes:
    async with settings.engine() as engine:
        return await metrics_of(engine, lambda: config)


async def metrics_of(engine: Engine, config: Callable[[], Config]) -> bytes:
    """The text for an HTTP answer."""
    overview = await engine.overview()
    return await asyncio.to_thread(lambda: text_of(overview, config()))


def text_of(overview: Overview, config: Config) -> bytes:
    """With targets in the config file, only these are told of."""
    known = {one.target for one in overview.surveys} | {one.target for one in overview.runs}
    names = {url: name_of(url) for url in chosen(known, config.targets)}
    return metrics_text(overview, names=names, version=typed_values.version())


def chosen(urls: Iterable[str], entries: Iterable[TargetEntry]) -> list[str]:
    """Those of these targets for which the entries stand; all without entries."""
    by_url = {canonical(entry.url): entry for entry in entries}
    return [
        url
        for url in urls
        if not by_url
        or url in by_url
        or any(member_name(pattern, url, entry.exclude) for pattern, entry in by_url.items())
    ]
