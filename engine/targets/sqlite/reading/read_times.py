"""What scattered order costs: pages of a table or an index are read in two orders, bounded in time and bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from engine.domain.page_map import Reading, ReadTimes
from engine.targets.sqlite.reading.page_fill import DAMAGED, FilePages
from engine.targets.sqlite.reading.page_map import Root, Trees, free_pages_of, opened_pages
from engine.targets.sqlite.system.machine import thread_disk_reads

LONGEST: Final = 1.0
"""Seconds of reading in each order; as many, at most, to find out where the pages are."""
MOST: Final = 16_000_000
"""Bytes that are read in each order."""
FEWEST: Final = 200
"""Pages of a table or an index that can tell it."""
_PIECE: Final = 50
"""Pages that are read in one order before the other has its turn: other work of the disk slows both."""


def read_times(descriptor: int, log: int | None, roots: Sequence[Root], stop: threading.Event) -> ReadTimes | None:
    """Times of the table or index with the most pages out of order, in the database of `descriptor`.

    `log`: the descriptor of its write-ahead log. `stop`: ends it before the next page. None where all are too small,
    and if it was stopped before it could tell.
    """
    give_up = time.monotonic() + LONGEST
    file = opened_pages(descriptor, log, give_up)
    free = None if file is None else free_pages_of(file, give_up)
    if file is None or free is None:
        return None
    name, leaves = _most_scattered(Trees(file, free), roots, give_up, stop)
    if len(leaves) < FEWEST:
        return None
    by_key, by_file = _Reader(file, leaves, 0.0), _Reader(file, sorted(leaves), 0.5)
    done = set[int]()
    try:
        while not stop.is_set() and by_key.can_go_on and by_file.can_go_on:
            by_key.read_piece(done, stop)
            by_file.read_piece(done, stop)
    except DAMAGED:
        return None
    if not (by_key.pages and by_file.pages):
        return None
    return ReadTimes(name=name, page_size=file.size, in_key_order=by_key.result(), in_file_order=by_file.result())


class _Reader:
    """Reads pages in the order in which they are given, piece by piece from all parts of it, and none twice."""

    def __init__(self, file: FilePages, pages: Sequence[int], offset: float) -> None:
        """`offset`: shifts its pieces by this share of the distance between two: similar orders then share no page."""
        self._file = file
        most = min(len(pages) // 2, MOST // file.size)
        pieces = max(most // _PIECE, 1)
        apart = len(pages) / pieces
        starts = [int((number + offset) * apart) for number in range(pieces)]
        self._pieces = [pages[start : start + _PIECE] for start in starts]
        self.pages = 0
        self._seconds = 0.0
        self._from_disk: int | None = 0

    @property
    def can_go_on(self) -> bool:
        return bool(self._pieces) and self._seconds < LONGEST

    def read_piece(self, done: set[int], stop: threading.Event) -> None:
        """Raises as in DAMAGED."""
        before, begin = thread_disk_reads(threading.get_native_id()), time.perf_counter()
        for page in self._pieces.pop():
            if stop.is_set() or self._seconds + time.perf_counter() - begin > LONGEST:
                break
            if page not in done:
                done.add(page)
                self._file.read(page)
                self.pages += 1
        self._seconds += time.perf_counter() - begin
        after = thread_disk_reads(threading.get_native_id())
        if before is None or after is None or self._from_disk is None:
            self._from_disk = None
        else:
            self._from_disk += after - before

    def result(self) -> Reading:
        return Reading(pages=self.pages, seconds=self._seconds, from_disk=self._from_disk)


def _most_scattered(
    trees: Trees, roots: Sequence[Root], give_up: float, stop: threading.Event
) -> tuple[str, Sequence[int]]:
    """The table or index with the most pages out of order, which is the one that the map names, and its leaf pages in
    key order."""
    found = [trees.below(root.page, give_up) for root in roots if not stop.is_set()]
    jumps = [len(trees.out_of_order(tree, give_up)) for tree in found if not stop.is_set()]
    most = max(jumps, default=0)
    return (roots[jumps.index(most)].name, found[jumps.index(most)].leaves) if most else ("", [])
