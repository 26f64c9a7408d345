"""The pages of a SQLite file as a picture: how full they are, what they hold, and where each table and index lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from engine.domain.humanize import size
from engine.domain.page_map import FREE, LONG_VALUES, UNSEEN, PageMap, ReadingTimes
from tui.console.views.line import Line, Role, Span, fit, line, right, wrapped
from tui.presentation.text import counted, percent, plain

_SHADES: Final = "░▒▓█"
_OTHERS: Final = {FREE: "·", LONG_VALUES: "=", UNSEEN: "?"}
_LEAST_ROWS: Final = 4
_FEWEST_OBJECTS: Final = 3
_MOST_OBJECTS: Final = 8
_AROUND: Final = 12
"""Rows of text above and below."""
_LEGEND: Final = (
    ("█▓▒░", Role.TEXT), (" table, full to nearly empty  ", Role.DIM), ("█▓▒░", Role.BAR), (" index  ", Role.DIM),
    ("=", Role.DIM), (" long values  ", Role.DIM), ("·", Role.DIM), (" free", Role.DIM),
)  # fmt: skip


def page_map_document(found: PageMap, width: int, height: int) -> list[Line]:
    """The map in so many rows, if they are enough for all of it."""
    if width <= 0:  # before the first layout
        return []
    shown = min(max((height - _AROUND) // 3, _FEWEST_OBJECTS), _MOST_OBJECTS)
    largest = sorted(enumerate(found.objects), key=lambda one: -one[1].pages)[:shown]
    below = [line(), line(("Where the pages of each lie, from the start of the file to its end", Role.HEADING))]
    below += [_strip(found, number, width) for number, _ in largest]
    if len(found.objects) > len(largest):
        below.append(line((f"and {counted(len(found.objects) - len(largest), 'smaller one')}", Role.DIM)))
    below += [line(), *_order(found, width)]
    head = [*wrapped(_summary(found), width), line(*_LEGEND)]
    if UNSEEN in found.owners:
        head += wrapped("? There was no time to find out what these pages hold.", width, Role.DIM)
    rows = max(height - len(head) - len(below), _LEAST_ROWS)
    return [*head, *_picture(found, width, rows), *below]


def _summary(found: PageMap) -> str:
    fills = [fill for fill in found.fills if fill is not None]
    full = f"; the pages of rows and entries are {percent(sum(fills) / len(fills))} full" if fills else ""
    free = f"{percent(found.free_pages / found.pages)} of them free"
    return f"{size(found.pages * found.page_size)} in {counted(found.pages, 'page')}, {free}{full}."


def _picture(found: PageMap, width: int, rows: int) -> Iterator[Line]:
    """Each character stands for a run of pages, and shows the owner of most."""
    cells = min(width * rows, len(found.owners))
    signs = [_sign(found, _run(len(found.owners), cell, cells)) for cell in range(cells)]
    for begin in range(0, cells, width):
        yield line(*_joined(signs[begin : begin + width]))


def _sign(found: PageMap, run: range) -> Span:
    ((owner, _),) = Counter(found.owners[place] for place in run).most_common(1)
    if owner < 0:
        return _OTHERS[owner], Role.DIM
    fills = [fill for place in run if found.owners[place] == owner and (fill := found.fills[place]) is not None]
    shade = _shade(sum(fills) / len(fills)) if fills else _SHADES[-1]  # what leads to the other pages is in use
    return shade, Role.BAR if found.objects[owner].is_index else Role.TEXT


def _shade(share: float) -> str:
    return _SHADES[min(int(share * len(_SHADES)), len(_SHADES) - 1)]


def _run(places: int, cell: int, cells: int) -> range:
    return range(cell * places // cells, max((cell + 1) * places // cells, cell * places // cells + 1))


def _joined(signs: Sequence[Span]) -> Iterator[Span]:
    """Neighbours that look alike in one piece."""
    text, role = "", Role.TEXT
    for sign, its_role in signs:
        if its_role != role and text:
            yield text, role
            text = ""
        text, role = text + sign, its_role
    yield text, role


def _strip(found: PageMap, number: int, width: int) -> Line:
    """A table or index: its name, its size, and its share of the pages in each part of the file."""
    one = found.objects[number]
    name_width = width // 4
    columns = max(min(width - name_width - 12, len(found.owners)), 1)
    runs = [_run(len(found.owners), column, columns) for column in range(columns)]
    shares = [sum(found.owners[place] == number for place in run) / len(run) for run in runs]
    return line(
        fit(plain(one.name), name_width),
        (right(size(one.pages * found.page_size), 11) + " ", Role.DIM),
        ("".join(_shade(share) if share else " " for share in shares), Role.BAR if one.is_index else Role.TEXT),
    )


def _order(found: PageMap, width: int) -> list[Line]:
    most = max(found.objects, key=lambda one: one.jumps, default=None)
    if most is None or not most.jumps:
        return wrapped("All tables and indexes lie in the order of their rows and entries.", width)
    jumps = f"{most.jumps:,} of {counted(most.pages, 'page')} of {plain(most.name)}"
    times = "" if found.reading is None else _times(found.reading)
    return wrapped(f"{jumps} do not follow the one before them in order.{times}", width)


def _times(reading: ReadingTimes) -> str:
    return (
        f" Reading {reading.pages} pages took {_milliseconds(reading.by_key)} in that order, and"
        f" {_milliseconds(reading.by_place)} in the order of the file (pages in memory need no disk)."
    )


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
