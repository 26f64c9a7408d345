"""The pages of a SQLite file as a picture of characters: what they hold, how full they are, and in what order.

Pure functions, for both front ends. No sign needs a colour to be told from another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import zip_longest
from typing import Final

from engine.domain.kept_page_map import KeptMaps
from engine.domain.page_map import FREE, LONG_VALUES, UNSEEN, MappedObject, NotMapped, PageMap, Reading, ReadTimes
from tui.presentation.text import cells, counted, padded, percent, plain, precise_duration, shortened, size


class Tone(Enum):
    """What a piece of a row is: decides its colour."""

    TEXT = auto()
    DIM = auto()
    HEADING = auto()
    TABLE = auto()
    INDEX = auto()


Piece = tuple[str, Tone]
Row = tuple[Piece, ...]

TABLE_SIGNS: Final = "░▒▓█"
INDEX_SIGNS: Final = "-+x#"
OTHER_SIGNS: Final[Mapping[int, str]] = {FREE: "·", LONG_VALUES: "~", UNSEEN: "?"}
_LEGEND: Final[Sequence[Row]] = (
    ((TABLE_SIGNS[::-1], Tone.TABLE), (" table, full to nearly empty", Tone.DIM)),
    ((INDEX_SIGNS[::-1], Tone.INDEX), (" index", Tone.DIM)),
    (("~ long values", Tone.DIM),),
    (("· free", Tone.DIM),),
    (("? not seen", Tone.DIM),),
)
_FEWEST_OBJECTS: Final = 3
_MOST_OBJECTS: Final = 8
_FEWEST_ROWS: Final = 4
_AROUND: Final = 13
"""Rows of text above and below."""
_GAP: Final = 3
_SIDE_BY_SIDE_FROM: Final = 60
_ROWS_OF_TWO: Final = 7
_COMPARED: Final = 4
"""Tables and indexes whose order is compared."""
_ALIKE: Final = 1.2
NOT_MAPPED_WORDS: Final[Mapping[NotMapped, str]] = {
    NotMapped.SLOW: "No page map: it would have taken longer than half a second.",
    NotMapped.UNREADABLE: "No page map: the pages of the file could not be read.",
}


def page_map_rows(found: PageMap, width: int, height: int) -> list[Row]:
    """The map and what it means, in so many rows if they are enough for all of it."""
    shown = min(max((height - _AROUND) // 3, _FEWEST_OBJECTS), _MOST_OBJECTS)
    above = [((summary(found), Tone.TEXT),), *legend((found,), width)]
    below: list[Row] = [(), *_strips(found, width, shown), (), ((order(found), Tone.TEXT),)]
    rows = max(height - len(above) - len(below) - 2, _FEWEST_ROWS)  # some texts take two
    return [*above, *picture(found, width, rows), *below]


def before_and_after(maps: KeptMaps, width: int) -> list[Row]:
    """Both maps at one scale, side by side where there is room, and how the order has changed."""
    is_wide = width >= _SIDE_BY_SIDE_FROM
    each = (width - _GAP) // 2 if is_wide else width
    longest = max(map(_bytes, (maps.before, maps.after)))
    before, after = (
        [
            ((shortened(f"{label} {_in_short(found)}", each), Tone.TEXT),),
            *picture(found, each, _ROWS_OF_TWO, share=_bytes(found) / longest),
        ]
        for label, found in (("before", maps.before), ("after", maps.after))
    )
    if is_wide:
        pictures = [_beside(left, right, each) for left, right in zip_longest(before, after, fillvalue=())]
    else:
        pictures = [*before, *after]
    return [*pictures, *legend((maps.before, maps.after), width), *_orders(maps, width)]


def summary(found: PageMap) -> str:
    """`168 MB in 40,960 pages, 25% free; pages of rows and entries are 50% full`."""
    full = _fullness(found)
    filled = "" if full is None else f"; pages of rows and entries are {percent(full)} full"
    return f"{size(_bytes(found))} in {counted(found.pages, 'page')}, {_free(found)}{filled}"


def _in_short(found: PageMap) -> str:
    """`168 MB, 25% free, 50% full`."""
    full = _fullness(found)
    return f"{size(_bytes(found))}, {_free(found)}" + ("" if full is None else f", {percent(full)} full")


def _fullness(found: PageMap) -> float | None:
    """The share of the bytes in use, of pages with rows or entries; None without any."""
    fills = [fill for fill in found.fills if fill is not None]
    return sum(fills) / len(fills) if fills else None


def _free(found: PageMap) -> str:
    return f"{percent(found.free_pages / found.pages)} free"


def legend(maps: Sequence[PageMap], width: int) -> list[Row]:
    """What each sign means."""
    is_whole = not any(UNSEEN in found.owners for found in maps)
    rows: list[list[Piece]] = [[]]
    used = 0
    for entry in _LEGEND[: -1 if is_whole else None]:
        taken = sum(cells(text) for text, _ in entry)
        if rows[-1] and used + 2 + taken > width:
            rows.append([])
            used = 0
        if rows[-1]:
            rows[-1].append(("  ", Tone.DIM))
        rows[-1] += entry
        used += taken + 2
    return [tuple(row) for row in rows]


def picture(found: PageMap, width: int, rows: int, *, share: float = 1.0) -> list[Row]:
    """Each character stands for a run of pages, and shows the owner of most. `share`: of the room, in use."""
    number = min(max(int(width * rows * share), 1), len(found.owners))
    signs = [_sign(found, _run(len(found.owners), cell, number)) for cell in range(number)]
    return [_joined(signs[begin : begin + width]) for begin in range(0, number, width)]


def order(found: PageMap) -> str:
    """How many pages of the most scattered table or index are out of order."""
    most = max(found.objects, key=lambda one: one.jumps, default=None)
    if most is None or not most.jumps:
        return "All tables and indexes lie in the order of their rows and entries."
    return (
        f"{most.jumps:,} of {counted(most.pages, 'page')} of {plain(most.name)} do not follow the one before them in"
        " the order of rows or entries."
    )


def read_times_lines(times: ReadTimes) -> list[str]:
    """What the order of the pages costs, as measured."""
    by_key, by_file = times.in_key_order, times.in_file_order
    lines = [
        f"{plain(times.name)} in the order of its rows or entries: {_reading(by_key)}.",
        f"Others of its pages in the order of the file: {_reading(by_file)}.",
    ]
    half = times.page_size / 2
    if by_key.from_disk is None or by_file.from_disk is None:
        lines.append("It is unknown how many of these pages were in memory.")
    elif by_key.from_disk < by_key.pages * half or by_file.from_disk < by_file.pages * half:
        lines.append("Most of these pages were in memory: this does not tell what a read from the disk costs.")
    elif (slower := (by_key.seconds / by_key.pages) / max(by_file.seconds / by_file.pages, 1e-9)) >= _ALIKE:
        lines.append(f"The order of its pages makes reading {slower:.1f} times as slow.")
    else:
        lines.append("The order of its pages makes reading no slower.")
    return lines


TOO_SMALL: Final = "All tables and indexes are too small to measure what the order of their pages costs."


def _reading(one: Reading) -> str:
    disk = "" if one.from_disk is None else f", {size(one.from_disk)} from the disk"
    each = 1000 * one.seconds / one.pages
    return f"{counted(one.pages, 'page')} in {precise_duration(one.seconds)} ({each:.3f} ms each){disk}"


def _sign(found: PageMap, run: range) -> Piece:
    ((owner, _),) = Counter(found.owners[place] for place in run).most_common(1)
    if owner < 0:
        return OTHER_SIGNS[owner], Tone.DIM
    fills = [fill for place in run if found.owners[place] == owner and (fill := found.fills[place]) is not None]
    share = sum(fills) / len(fills) if fills else 1.0  # what leads to the other pages is in use
    return _shade(share, found.objects[owner]), _tone(found.objects[owner])


def _shade(share: float, one: MappedObject) -> str:
    signs = INDEX_SIGNS if one.is_index else TABLE_SIGNS
    return signs[min(int(share * len(signs)), len(signs) - 1)]


def _tone(one: MappedObject) -> Tone:
    return Tone.INDEX if one.is_index else Tone.TABLE


def _run(places: int, cell: int, number: int) -> range:
    return range(cell * places // number, max((cell + 1) * places // number, cell * places // number + 1))


def _joined(signs: Sequence[Piece]) -> Row:
    """Neighbours that look alike in one piece."""
    pieces: list[Piece] = []
    for sign, tone in signs:
        if pieces and pieces[-1][1] is tone:
            pieces[-1] = (pieces[-1][0] + sign, tone)
        else:
            pieces.append((sign, tone))
    return tuple(pieces)


def _strips(found: PageMap, width: int, most: int) -> Iterator[Row]:
    """Where the largest tables and indexes lie in the file, and in what order."""
    yield (
        (f"Share out of order, and where: {TABLE_SIGNS[::-1]} {INDEX_SIGNS[::-1]} in order to scattered", Tone.HEADING),
    )
    largest = sorted(enumerate(found.objects), key=lambda one: -one[1].pages)[:most]
    for number, _ in largest:
        yield _strip(found, number, width)
    if len(found.objects) > len(largest):
        yield ((f"and {counted(len(found.objects) - len(largest), 'smaller one')}", Tone.DIM),)


def _strip(found: PageMap, number: int, width: int) -> Row:
    """A table or index: its name, its size, and how orderly its pages are in each part of the file."""
    one, name_width = found.objects[number], width // 4
    columns = max(min(width - name_width - 20, len(found.owners)), 1)
    signs = []
    for column in range(columns):
        run = _run(len(found.owners), column, columns)
        its = [found.in_order[place] for place in run if found.owners[place] == number]
        signs.append(_shade(sum(its) / len(its), one) if its else " ")
    return (
        *_label(one, name_width),
        (f"{size(one.pages * found.page_size):>10} {_out_of_order(one):>5}  ", Tone.DIM),
        ("".join(signs), _tone(one)),
    )


def _label(one: MappedObject, width: int) -> Row:
    sign = _shade(1.0, one)
    return (f"{sign} ", _tone(one)), (padded(shortened(_name(one), width), width), Tone.TEXT)


def _name(one: MappedObject) -> str:
    if one.stands_for == 1:
        return plain(one.name)
    return f"{one.stands_for:,} smaller {'indexes' if one.is_index else 'tables'}"


def _out_of_order(one: MappedObject | None) -> str:
    return "" if one is None else percent(one.jumps / max(one.pages, 1))


def _orders(maps: KeptMaps, width: int) -> Iterator[Row]:
    """The largest tables and indexes, and how much of them was and is out of order."""
    now = {(one.name, one.is_index): one for one in maps.after.objects}
    named = [one for one in maps.before.objects if one.stands_for == 1]
    largest = sorted(named, key=lambda one: -one.pages)[:_COMPARED]
    name_width = min(max(map(cells, map(_name, largest)), default=0), max(width - 34, 10))
    for one in largest:
        yield (
            *_label(one, name_width),
            (
                f"  out of order: {_out_of_order(one):>4} -> {_out_of_order(now.get((one.name, one.is_index)))}",
                Tone.DIM,
            ),
        )


def _beside(left: Row, right: Row, width: int) -> Row:
    used = sum(cells(text) for text, _ in left)
    return (*left, (" " * (width - used + _GAP), Tone.TEXT), *right) if right else left


def _bytes(found: PageMap) -> int:
    return found.pages * found.page_size
