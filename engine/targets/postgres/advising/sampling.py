"""How much of tables and indexes is dead space, by some of their pages where the role may read them.

The pages are bounded in number and time. The rest is estimated from statistics, if there are any.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.thresholds import Thresholds
from engine.targets.postgres.advising import bloat
from engine.targets.postgres.advising.page_contents import chunk_bytes, gin_entries, gist_rows, spgist_rows, tree_rows
from engine.targets.postgres.reading.condition import Bloat, Unread
from engine.targets.postgres.reading.page_sample import may_read_files, sampled_pages
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.shapes import HashShape, IndexShape, ToastShape, TreeShape

MOST_LOOKED_AT: Final = 50
"""Tables and indexes, the largest possible gains first."""
TAKES: Final = 5.0
"""Seconds after which no further one is looked at."""
TREE_PAGES: Final = 128
GIST_PAGES: Final = 48
GIN_PAGES: Final = 160
TOAST_PAGES: Final = 64


@frozen(kw_only=True)
class Shapes:
    """Facts from the catalog alone."""

    trees: Sequence[TreeShape]
    toast: Sequence[ToastShape]
    others: Sequence[IndexShape]
    hashes: Sequence[HashShape]


@frozen
class _Candidate:
    oid: int
    pages: int
    share: float
    """Dead space at most."""
    look: Callable[[], Awaitable[float | None]]
    is_expected: bool = False
    if_unread: Unread = Unread.NOT_WRITTEN

    @property
    def gain(self) -> float:
        return self.share * self.pages * PAGE


async def bloat_of(reader: Reader, shapes: Shapes, limits: Thresholds) -> tuple[dict[int, Bloat], dict[int, Unread]]:
    """The known dead space of indexes and TOAST tables, and whose pages were not read, by oid. Raises TargetError.

    Pages are read only of what may be over these limits.
    """
    found = {
        tree.oid: Bloat(
            tree.pages,
            share,
            is_partial=tree.is_partial,
            share_if_correlated=bloat.tree_share_if_correlated(tree) or 0.0,
            is_expected=tree.is_expected,
        )
        for tree in shapes.trees
        if (share := bloat.tree_share(tree)) is not None
    }
    found |= {one.oid: Bloat(one.pages, bloat.hash_share(one)) for one in shapes.hashes}
    found |= {one.oid: Bloat(one.pages, bloat.toast_share(one)) for one in shapes.toast}
    candidates = [
        *(
            _Candidate(
                tree.oid, tree.pages, bloat.tree_share_at_most(tree), partial(_tree, reader, tree), tree.is_expected
            )
            for tree in shapes.trees
        ),
        *(
            _Candidate(
                one.oid,
                one.pages,
                1.0,
                partial(_other, reader, one),
                one.method == "gin" and one.share_left < 1,
                if_unread=Unread.UNLOGGED if one.is_unlogged else Unread.NOT_WRITTEN,
            )
            for one in shapes.others
        ),
    ]
    wanted = [one for one in candidates if one.share >= limits.index_bloat_share and one.gain >= limits.index_bloat]
    toast = (
        _Candidate(one.oid, one.pages, bloat.toast_share_at_most(one), partial(_toast, reader, one))
        for one in shapes.toast
    )
    wanted += [one for one in toast if one.share >= limits.table_bloat_share and one.gain >= limits.table_bloat]
    if not (wanted and await may_read_files(reader)):
        return found, dict.fromkeys((one.oid for one in wanted), Unread.FORBIDDEN)
    unread = dict.fromkeys((one.oid for one in wanted), Unread.NO_TIME)
    until = time.monotonic() + TAKES
    for one in sorted(wanted, key=lambda one: -one.gain)[:MOST_LOOKED_AT]:
        if time.monotonic() > until:
            break
        if (share := await one.look()) is not None:
            found[one.oid] = Bloat(one.pages, share, is_measured=True, is_expected=one.is_expected)
            del unread[one.oid]
        else:
            unread[one.oid] = one.if_unread
    return found, unread


async def _tree(reader: Reader, tree: TreeShape) -> float | None:
    pages = await sampled_pages(reader, tree.oid, tree.pages, TREE_PAGES)
    rows = tree_rows(pages, deduplicates=tree.deduplicates)
    return None if rows is None else bloat.sampled_tree_share(tree, rows)  # one without rows needs no look


async def _toast(reader: Reader, toast: ToastShape) -> float | None:
    chunk = chunk_bytes(await sampled_pages(reader, toast.oid, toast.pages, TOAST_PAGES))
    return None if chunk is None else bloat.toast_share(toast, chunk)


async def _other(reader: Reader, index: IndexShape) -> float | None:
    if index.method == "gin" and index.is_unlogged:  # how full its pages are counts, and those on disk may be old
        return None
    if index.method == "gin":
        pages = await sampled_pages(reader, index.oid, index.pages, GIN_PAGES)
        return bloat.gin_share(index, gin_entries(pages), len(pages)) if pages else None
    pages = await sampled_pages(reader, index.oid, index.pages, GIST_PAGES)
    if index.method == "spgist":
        rows = spgist_rows(pages)
        return None if rows is None else bloat.spgist_share(index, rows)
    rows = gist_rows(pages)
    return None if rows is None else bloat.gist_share(index, rows)
