"""Parses the rows of a check into findings: pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from engine.domain.frozen import frozen
from engine.domain.steps import MAX_FINDINGS
from engine.targets.check_results import CHECK_AGAIN, REBUILD_INDEXES
from engine.targets.sqlite.running.damage_location import DamagedPlace, named_pages

_OF_AN_INDEX: Final = re.compile(
    r"(?:row \d+ missing from index |row \d+ values differ from index |wrong # of entries in index "
    r"|rowid not at end-of-record for row \d+ of index )(?P<index>.*)",
    re.DOTALL,
)
_OTHER_ROWS: Final = re.compile(r"(?:row \d+ missing from index |wrong # of entries in index )(?P<index>.*)", re.DOTALL)
_OF_THE_ROWS: Final = re.compile(
    r"NULL value in |non-\w+ value in |NUMERIC value in |TEXT value in |CHECK constraint failed in "
    r"|non-unique entry in index "
)
_NOT_VALIDATED: Final = re.compile(
    r"unable to validate the inverted index for FTS4 table main\.(?P<table>.*): SQL logic error", re.DOTALL
)
FOUND_NOTHING: Final = "ok"


@frozen(kw_only=True)
class Findings:
    """The problems that a check found. `indexes`: those that REINDEX can repair."""

    sentences: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    damage: str | None = None
    """The first finding that REINDEX cannot repair and that is not about the content of rows."""
    unreadable: str | None = None
    """The error that ended the check of foreign keys; its cause may be damage that is known already."""
    only_indexes: bool = False
    """Whether every page was checked, each table was read to its end, and all damage is in pages of `indexes`."""
    broken_rule: str | None = None
    """The first finding that is about the data, not the file."""
    orphans: int = 0
    """Rows whose parent row is missing."""
    pages: tuple[int, ...] = ()
    """The pages that the findings name."""
    counts: tuple[str, ...] = ()
    """How many rows tables have, and how many entries their damaged indexes; a sentence each."""
    complete: bool = True
    """Whether SQLite got to the end, and did not stop at too many findings or at damage."""

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            sentences=tuple(dict.fromkeys((*self.sentences, *other.sentences))),
            indexes=tuple(dict.fromkeys((*self.indexes, *other.indexes))),
            damage=self.damage or other.damage,
            unreadable=self.unreadable or other.unreadable,
            only_indexes=self.only_indexes or other.only_indexes,
            broken_rule=self.broken_rule or other.broken_rule,
            orphans=self.orphans + other.orphans,
            pages=tuple(sorted({*self.pages, *other.pages})),
            counts=(*self.counts, *other.counts),
            complete=self.complete and other.complete,
        )

    def without_index(self, index: str, *, because: str) -> Findings:
        """As it is where an index is not to be rebuilt."""
        indexes = tuple(name for name in self.indexes if name != index)
        return replace(self, indexes=indexes, damage=self.damage or because, sentences=(*self.sentences, because))

    @property
    def lost(self) -> str | None:
        """The damage that REINDEX cannot repair."""
        return self.damage or (None if self.only_indexes else self.unreadable)


def indexes_with_other_rows(findings: Findings) -> list[str]:
    """Of the damaged indexes those whose pages can be read, and whose table was read to its end."""
    named = {match["index"] for text in findings.sentences if (match := _OTHER_ROWS.fullmatch(text))}
    return [index for index in findings.indexes if index in named]


def remedy(found: Findings) -> str:
    """What to do about the findings; "" where there are none."""
    if found.lost is not None:
        return f"Restore a backup, or save the readable data with sqlite3 and its .recover. {CHECK_AGAIN}"
    actions = []
    if found.indexes:
        actions.append(REBUILD_INDEXES)
    if found.orphans:
        actions.append(
            "PRAGMA foreign_key_check in sqlite3 lists the rows: delete them, or insert the missing parent rows."
        )
    elif found.broken_rule is not None:
        actions.append("Correct the named rows, in the application or with sqlite3: the data is wrong, not the file.")
    return " ".join([*actions, CHECK_AGAIN]) if actions else ""


def parse_findings(
    rows: Iterable[Sequence[Any]], places: Mapping[str, DamagedPlace] = MappingProxyType({})
) -> Findings:
    """The findings in the rows of `integrity_check` or `quick_check`. `places`: where the damage is, by sentence.

    Rows that break a rule of their table are no damage: the file is sound, the data is not.
    """
    sentences = sentences_of(rows)
    named = {sentence: _index_named_in(sentence, places) for sentence in sentences}
    others = [sentence for sentence, name in named.items() if name is None]
    damage = next((sentence for sentence in others if not _OF_THE_ROWS.match(sentence)), None)
    return Findings(
        sentences=tuple(_with_place(sentence, places) for sentence in sentences),
        indexes=tuple(dict.fromkeys(name for name in named.values() if name is not None)),
        damage=None if damage is None else _with_place(damage, places),
        broken_rule=next(filter(_OF_THE_ROWS.match, others), None),
        pages=tuple(named_pages(sentences)),
        complete=len(sentences) < MAX_FINDINGS,
    )


def sentences_of(rows: Iterable[Sequence[Any]]) -> tuple[str, ...]:
    """The sentences in the rows of a check, one by one."""
    return tuple(line for (text,) in rows for line in _lines(str(text)) if line != FOUND_NOTHING)


def _with_place(sentence: str, places: Mapping[str, DamagedPlace]) -> str:
    return places[sentence].sentence if sentence in places else sentence


def unverified(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """The full-text indexes (FTS4) that SQLite could not verify, each with its row.

    That is every contentless one: SQLite has no text to compare it with.
    """
    found = [(text, _NOT_VALIDATED.fullmatch(text)) for (text,) in rows if isinstance(text, str)]
    return {match["table"]: text for text, match in found if match is not None}


def _lines(text: str) -> list[str]:
    """SQLite puts some findings into one row, below a heading."""
    if not text.startswith("*** in database"):
        return [text]
    return [line for line in text.split("\n")[1:] if line]


def _index_named_in(sentence: str, places: Mapping[str, DamagedPlace]) -> str | None:
    if sentence in places:
        return places[sentence].index_to_rebuild
    found = _OF_AN_INDEX.fullmatch(sentence)
    return found["index"] if found else None


def parse_orphans(rows: Iterable[Sequence[Any]]) -> Findings:
    """The findings in the rows of `foreign_key_check`: (table, rowid, parent table, number of the key).

    SQLite enforces foreign keys only on request: such rows are no damage.
    """
    counts: dict[tuple[str, str], tuple[int, Any]] = {}
    for table, rowid, parent, _ in rows:
        number, first = counts.get((table, parent), (0, rowid))
        counts[table, parent] = number + 1, first
    sentences = tuple(
        f"{number:,} rows of {table} refer to missing rows of {parent}"
        + ("" if first is None else f" (the first: rowid {first})")
        if number > 1
        else f"a row of {table} refers to a missing row of {parent}" + ("" if first is None else f" (rowid {first})")
        for (table, parent), (number, first) in counts.items()
    )
    orphans = sum(number for number, _ in counts.values())
    return Findings(sentences=sentences, broken_rule=next(iter(sentences), None), orphans=orphans)
