"""`dbtend advise`: what needs which operation, and why."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from engine import Advice, Level
from engine.config.model import TargetEntry
from engine.domain.advice import ByHand, all_by_hand
from engine.domain.errors import DbtendError, TargetError
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.inspection.neighbors import neighbors_once
from tui.commands import output
from tui.commands.advice_overview import BY_HAND, MANY, overview_lines
from tui.commands.advising import adviser
from tui.commands.naming import labelled
from tui.commands.passwords import ask_for_missing
from tui.commands.progress_line import ProgressLine
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.targets import entries_of, named_targets
from tui.presentation import json_format
from tui.presentation.canonical_urls import canonical
from tui.presentation.dead_space import dead_space_rows
from tui.presentation.exit_codes import FAILED, OK
from tui.presentation.text import plain

_COLOUR: Final = {
    Level.NOW: "31",
    Level.SOON: "33",
    Level.UNKNOWN: "35",
    Level.UNCHECKED: "36",
    Level.SMALL: "36",
    Level.NONE: "32",
}


NOT_ALL: Final = "unknown: not everything was looked at; dbtend advise --thorough takes all the time it needs"


def advise(args: argparse.Namespace, settings: Settings) -> int:
    found = named_targets(entries_of(args, settings.config()), args, settings)
    targets = found.targets
    ask_for_missing([entry.url for entry in targets])
    advice, errors = run_async(_advice(targets, settings, None if args.thorough else inspector.BUDGET))
    errors += [one.error for one in found.unlisted]
    if errors and not advice:
        raise errors[0]
    if args.json:
        form = {"advice": [json_format.advice(canonical(e.url), one) for e, found in advice for one in found]}
        output.document({**form, "errors": [json_format.error(one)["error"] for one in errors]} if errors else form)
    elif advice:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else None
        coloured = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        if len(advice) > MANY:
            output.line("\n".join(overview_lines(advice, width=width)))
        else:
            blocks = [
                "\n".join(advice_lines(canonical(entry.url), found, width=width, coloured=coloured))
                for entry, found in advice
            ]
            output.write("\n\n".join(blocks) + "\n")  # with colours; the rest of each line is plain
        if any(one.level is Level.UNKNOWN and one.inspection_can_tell for _, found in advice for one in found):
            output.line(f"\n{NOT_ALL}")
    for error in errors:
        output.error(error, as_json=False)
    return FAILED if errors else OK


async def _advice(
    targets: Sequence[TargetEntry], settings: Settings, budget: float | None
) -> tuple[list[tuple[TargetEntry, Sequence[Advice]]], list[DbtendError]]:
    """The advice for each target, and the errors of those that could not be inspected."""
    advice: list[tuple[TargetEntry, tuple[Advice, ...]]] = []
    errors: list[DbtendError] = []
    limits = {entry.url: entry.thresholds for entry in targets}
    async with adviser(settings) as looking:
        with ProgressLine(len(targets)) as progress:
            advice_on = progress.counting(
                lambda target: looking.advise(target, budget=budget, limits=limits[target]),
                "looked at",
            )
            found = await for_each([entry.url for entry in targets], advice_on)
        await looking.tell_interrupted([entry.url for entry in targets])
    for entry, result in zip(targets, found, strict=True):
        if isinstance(result, TargetError):
            errors.append(result)
        else:
            advice.append((entry, result))
    told = neighbors_once([(entry.url, found) for entry, found in advice])
    return [(entry, found) for (entry, _), found in zip(advice, told, strict=True)], errors


def _word(one: Advice | ByHand) -> str:
    """Its level; that of what may be done by hand, and is not urgent; or that it is not done here."""
    if one.urgency == Level.NONE:
        return "info" if isinstance(one, ByHand) else "primary" if one.is_for_primary else one.level
    return one.urgency


def advice_lines(url: str, advice: Sequence[Advice], *, width: int | None, coloured: bool) -> Iterator[str]:
    """What one target needs: the operations below each other, their reasons wrapped at `width` (None: never)."""
    yield plain(labelled(url))
    by_hand = all_by_hand(advice)
    names = max(*(len(item.operation) for item in advice), len(BY_HAND) if by_hand else 0)
    everything: list[Advice | ByHand] = [*advice, *by_hand]
    levels = max(4, *(len(_word(one)) for one in everything))
    indent = " " * (2 + names + 2 + levels + 2)

    def lines_of(name: str, one: Advice | ByHand, text: str) -> Iterator[str]:
        word = _word(one)
        level = f"{word:{levels}}"
        if coloured:
            shown = one.level if isinstance(one, ByHand) else one.shown_level
            level = f"\x1b[{_COLOUR[shown]}m{word}\x1b[0m" + level[len(word) :]
        first, *others = textwrap.wrap(text, max(width - len(indent) - 1, 20)) if width else [text]
        yield f"  {name:{names}}  {level}  {first}"
        yield from (indent + line for line in others)

    for one in advice:
        yield from lines_of(one.operation, one, plain(one.reason) + (f" ({plain(one.gain)})" if one.gain else ""))
        yield from (indent + line for line in dead_space_rows(one.dead_space))
    for found in by_hand:
        yield from lines_of(BY_HAND, found, plain(found.reason))
