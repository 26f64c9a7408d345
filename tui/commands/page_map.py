"""`dbtend map`: what the pages of a SQLite file hold, and what their order costs."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterator

from engine.domain.errors import UsageError
from engine.domain.page_map import PageMap, ReadTimes
from tui.commands import output
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.targets import target_entries
from tui.presentation import json_format
from tui.presentation.canonical_urls import canonical
from tui.presentation.exit_codes import OK
from tui.presentation.page_map import NOTHING_MEASURED, page_map_rows, read_times_lines

_WIDTH, _HEIGHT = 80, 24


def map(args: argparse.Namespace, settings: Settings) -> int:  # noqa: A001 - the name of the command
    if len(args.words) != 1:
        raise UsageError("map", "takes one TARGET, a SQLite file", "such as: dbtend map sales.db")
    (entry,) = target_entries(args.words, settings.config())
    found, times = run_async(_look(entry.url, settings, measures=args.read_times))
    if args.json:
        form = {"target": canonical(entry.url), "map": json_format.page_map(found)}
        output.document(form | {"read_times": None if times is None else json_format.read_times(times)})
        return OK
    width, height = shutil.get_terminal_size((_WIDTH, _HEIGHT)) if sys.stdout.isatty() else (_WIDTH, _HEIGHT)
    for row in _lines(found, width, height):
        output.line(row)
    if args.read_times:
        for text in [NOTHING_MEASURED] if times is None else read_times_lines(times):
            output.line(textwrap.fill(text, width))
    return OK


async def _look(url: str, settings: Settings, *, measures: bool) -> tuple[PageMap, ReadTimes | None]:
    async with settings.reading_engine() as engine:
        return await engine.page_map(url), await engine.read_times(url) if measures else None


def _lines(found: PageMap, width: int, height: int) -> Iterator[str]:
    for row in page_map_rows(found, width, height):
        text = "".join(piece for piece, _ in row).rstrip()
        yield from [text] if len(row) > 1 else textwrap.wrap(text, width) or [""]
