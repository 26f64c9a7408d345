"""The pages of a SQLite file as a picture of characters: what they hold, how full they are, and in what order.

Pure functions, for both front ends. Every sign differs also without colours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import zip_longest
from typing import Final

from engine.domain.damage import describe
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.kept_page_map import KeptMaps
from engine.domain.page_map import (
    DAMAGED,
    FREE,
    INTERNAL,
    LONG_VALUES,
    UNSEEN,
    MappedObject,
    NotMapped,
    PageMap,
    Reading,
    ReadTimes,
    place_of,
)
from tui.presentation.text import cells, counted, padded, percent, plain, precise_duration, shortened, size


class Tone(Enum):
    """What a piece of a row is: decides its colour."""

    TEXT = auto()
    DIM = auto()
    HEADING = auto()
    TABLE = auto()
    INDEX = auto()
    DAMAGED = auto()


Piece = tuple[str, Tone]
Row = tuple[Piece, ...]


class Kind(Enum):
    """What a page holds."""

    TABLE = auto()
    INDEX = auto()
    LONG_VALUES = auto()
    FREE = auto()
    UNSEEN = auto()
    INTERNAL = auto()
    DAMAGED = auto()


LEVELS: Final = 4


@frozen
class Cell:
    """A run of pages: what most of them hold, how full these are, and whether most are in order."""

    kind: Kind
    level: int = LEVELS - 1
    """From 0, nearly empty, to LEVELS - 1."""
    is_in_order: bool = True


TABLE_SIGNS: Final = "░▒▓█"
INDEX_SIGNS: Final = "-+x#"
_SIGNS: Final[Mapping[Kind, str]] = {
    Kind.TABLE: TABLE_SIGNS,
    Kind.INDEX: INDEX_SIGNS,
    Kind.LONG_VALUES: "~" * LEVELS,
    Kind.FREE: "·" * LEVELS,
    Kind.UNSEEN: "?" * LEVELS,
    Kind.INTERNAL: "=" * LEVELS,
    Kind.DAMAGED: "!" * LEVELS,
}
_TONES: Final = {Kind.TABLE: Tone.TABLE, Kind.INDEX: Tone.INDEX, Kind.DAMAGED: Tone.DAMAGED}
_NO_OWNER: Final = {
    FREE: Kind.FREE,
    LONG_VALUES: Kind.LONG_VALUES,
    UNSEEN: Kind.UNSEEN,
    INTERNAL: Kind.INTERNAL,
    DAMAGED: Kind.DAMAGED,
}
_LEGEND: Final[Sequence[Row]] = (
    ((TABLE_SIGNS[::-1], Tone.TABLE), (" table, full to nearly empty", Tone.DIM)),
    ((INDEX_SIGNS[::-1], Tone.INDEX), (" index", Tone.DIM)),
    (("~ long values", Tone.DIM),),
    (("· free", Tone.DIM),),
)
_LEGEND_OF_SOME: Final[Mapping[int, Row]] = {
    INTERNAL: (("= pointer map", Tone.DIM),),
    UNSEEN: (("? not seen", Tone.DIM),),
    DAMAGED: (("! damaged", Tone.DAMAGED),),
}
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
    below: list[Row] = [(), *_strips(found, width, shown), (), *_damage(found), ((order(found), Tone.TEXT),)]
    rows = max(height - len(above) - len(below) - 3, _FEWEST_ROWS)  # the scale; some texts take two
    return [*above, ((_scale(found, width * rows), Tone.DIM),), *picture(found, width, rows), *below]


def before_and_after(maps: KeptMaps, width: int) -> list[Row]:
    """Both maps at one scale, side by side where there is room, and how the order has changed."""
    is_wide = width >= _SIDE_BY_SIDE_FROM
    each = (width - _GAP) // 2 if is_wide else width
    before, after = (
        [
            ((shortened(f"{label} {in_short(found)}", each), Tone.TEXT),),
            *picture(found, each, _ROWS_OF_TWO, share=found.size / maps.largest),
        ]
        for label, found in (("before", maps.before), ("after", maps.after))
    )
    if is_wide:
        pictures = [_beside(left, right, each) for left, right in zip_longest(before, after, fillvalue=())]
    else:
        pictures = [*before, *after]
    return [*pictures, *legend((maps.before, maps.after), width), *_order_rows(maps, width)]


def summary(found: PageMap) -> str:
    """`168 MB in 40,960 pages, 25% free; pages of rows and entries are 50% full`."""
    full = _fullness(found)
    filled = "" if full is None else f"; pages of rows and entries are {percent(full)} full"
    return f"{size(found.size)} in {counted(found.pages, 'page')}, {_free(found)}{filled}"


def _scale(found: PageMap, signs: int) -> str:
    """How many pages a sign of the picture stands for, where they lie, and what it shows of them."""
    number = min(signs, len(found.owners))
    pages = "a page" if found.pages <= number else f"about {counted(round(found.pages / number), 'page')}"
    return f"Each sign: {pages}, row by row in file order; it shows how full."


def in_short(found: PageMap) -> str:
    """`168 MB, 25% free, 50% full`."""
    full = _fullness(found)
    return f"{size(found.size)}, {_free(found)}" + ("" if full is None else f", {percent(full)} full")


def _fullness(found: PageMap) -> float | None:
    """The share of the bytes in use, of pages with rows or entries; None without any."""
    fills = [fill for fill in found.fills if fill is not None]
    return sum(fills) / len(fills) if fills else None


def _free(found: PageMap) -> str:
    share = found.free_pages / found.pages
    return "<1% free" if 0 < share < 0.01 else f"{percent(share)} free"


def legend(maps: Sequence[PageMap], width: int) -> list[Row]:
    """What each sign means."""
    of_some = [row for owner, row in _LEGEND_OF_SOME.items() if any(owner in found.owners for found in maps)]
    rows: list[list[Piece]] = [[]]
    used = 0
    for entry in (*_LEGEND, *of_some):
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
    """Each character stands for a run of pages, and shows the owner of most, or that one is damaged. `share`: of the
    room, in use."""
    found_cells = cells_of(found, int(width * rows * share))
    signs = [(_SIGNS[cell.kind][cell.level], _TONES.get(cell.kind, Tone.DIM)) for cell in found_cells]
    return [_joined(signs[begin : begin + width]) for begin in range(0, len(signs), width)]


def cells_of(found: PageMap, most: int) -> list[Cell]:
    """The file in so many runs of pages at most."""
    number = min(max(most, 1), len(found.owners))
    return [_cell(found, _run(len(found.owners), cell, number)) for cell in range(number)]


def _cell(found: PageMap, run: range) -> Cell:
    owners = Counter(found.owners[place] for place in run)
    owner = DAMAGED if DAMAGED in owners else owners.most_common(1)[0][0]
    if owner < 0:
        return Cell(_NO_OWNER[owner])
    its = [place for place in run if found.owners[place] == owner]
    fills = [fill for place in its if (fill := found.fills[place]) is not None]
    share = sum(fills) / len(fills) if fills else 1.0  # what leads to the other pages is in use
    in_order = sum(found.in_order[place] for place in its) / len(its)
    return Cell(_kind(found.objects[owner]), _level(share), in_order >= 0.5)


def _kind(one: MappedObject) -> Kind:
    return Kind.INDEX if one.is_index else Kind.TABLE


def _damage(found: PageMap) -> list[Row]:
    named = found.named_by_check
    unreadable = found.owners.count(DAMAGED) - len({place_of(found, page) for page in named})
    seen = "" if len(found.owners) == found.pages else f" of the {len(found.owners):,} shown"
    pages = "page" if len(named) == 1 else "pages"
    texts = (
        f"The last check found {pages} {listed([str(page) for page in named])} damaged." if named else "",
        f"{counted(unreadable, 'page')}{seen} cannot be read as rows or entries: check the database."
        if unreadable
        else "",
        f"On record: {plain(describe(found.known_damage))}." if found.known_damage else "",
    )
    return [((text, Tone.DAMAGED),) for text in texts if text]


def _level(share: float) -> int:
    return min(int(share * LEVELS), LEVELS - 1)


def order(found: PageMap) -> str:
    """How many pages of the most scattered table or index are out of order."""
    most = max(found.objects, key=lambda one: one.jumps, default=None)
    if most is None or not most.jumps:
        if _damage(found):
            return "What can be read lies in the order of its rows and entries."
        return "All tables and indexes lie in the order of their rows and entries."
    follow = "does not follow the one before it" if most.jumps == 1 else "do not follow the one before them"
    pages = f"{most.jumps:,} of {counted(most.pages, 'page')} of {plain(most.name)}"
    return f"{pages} {follow} in the order of rows or entries."


def read_times_lines(times: ReadTimes) -> list[str]:
    """What the order of the pages costs, as measured."""
    by_key, by_file = times.in_key_order, times.in_file_order
    lines = [
        f"In key order: {counted(by_key.pages, 'page')} of {plain(times.name)} in {_reading(by_key)}.",
        f"In file order: {counted(by_file.pages, 'other page')} in {_reading(by_file)}.",
    ]
    half = times.page_size / 2
    if by_key.from_disk is None or by_file.from_disk is None:
        lines.append("It is unknown how many of these pages were in memory.")
    elif by_key.from_disk < by_key.pages * half or by_file.from_disk < by_file.pages * half:
        lines.append("Most were in memory: this does not tell what reading from the disk costs.")
    elif (slower := (by_key.seconds / by_key.pages) / max(by_file.seconds / by_file.pages, 1e-9)) >= _ALIKE:
        lines.append(f"The order of its pages makes reading {slower:.1f} times as slow.")
    else:
        lines.append("The order of its pages makes reading no slower.")
    return lines


NOTHING_MEASURED: Final = "Nothing was measured: no large table or index is out of order, or none was found in time."


def _reading(one: Reading) -> str:
    disk = "" if one.from_disk is None else f", {size(one.from_disk)} from the disk"
    return f"{precise_duration(one.seconds)}{disk}"


def _shade(share: float, one: MappedObject) -> str:
    return _SIGNS[_kind(one)][_level(share)]


def _tone(one: MappedObject) -> Tone:
    return _TONES[_kind(one)]


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
        (
            f"Share out of order, and where; here {TABLE_SIGNS[::-1]} {INDEX_SIGNS[::-1]} are in order to scattered",
            Tone.HEADING,
        ),
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


def _order_rows(maps: KeptMaps, width: int) -> Iterator[Row]:
    found = orders(maps)
    name_width = min(max((cells(one.name) for one in found), default=0), max(width - 34, 10))
    for one in found:
        sign = _SIGNS[one.kind][-1]
        name = padded(shortened(one.name, name_width), name_width)
        yield (
            (f"{sign} ", _TONES[one.kind]),
            (name, Tone.TEXT),
            (f"  out of order: {one.before:>4} -> {one.after}", Tone.DIM),
        )


@frozen
class Order:
    """What share of a table or an index is out of order; "" if it was not there."""

    name: str
    kind: Kind
    before: str
    after: str


def orders(maps: KeptMaps) -> list[Order]:
    """How the largest tables and indexes were out of order, before and after."""
    now = {(one.name, one.is_index): one for one in maps.after.objects}
    named = [one for one in maps.before.objects if one.stands_for == 1]
    largest = sorted(named, key=lambda one: -one.pages)[:_COMPARED]
    return [
        Order(plain(one.name), _kind(one), _out_of_order(one), _out_of_order(now.get((one.name, one.is_index))))
        for one in largest
    ]


def _beside(left: Row, right: Row, width: int) -> Row:
    used = sum(cells(text) for text, _ in left)
    return (*left, (" " * (width - used + _GAP), Tone.TEXT), *right) if right else left
