"""What the rows of a check mean: pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from engine.domain.frozen import frozen
from engine.domain.jobs import MAX_FINDINGS

if TYPE_CHECKING:
    from engine.targets.sqlite.running.locating import Place

_OF_AN_INDEX: Final = re.compile(
    r"(?:row \d+ missing from index |row \d+ values differ from index |wrong # of entries in index "
    r"|rowid not at end-of-record for row \d+ of index )(?P<index>.*)",
    re.DOTALL,
)
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
    """What is wrong with a database. `indexes`: those that REINDEX can put right."""

    sentences: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    damage: str | None = None
    """The first finding that no REINDEX puts right, and that is no matter of the rows alone."""
    unreadable: str | None = None
    """The error that ended a look at foreign keys: of the damage that was found, or of more."""
    only_indexes: bool = False
    """Whether every page was looked at, each table was read to its end, and all damage is in pages of `indexes`."""
    broken_rule: str | None = None
    """The first finding that is no damage: to put it right is up to whoever knows the data."""
    orphans: int = 0
    """Rows that refer to rows which are not there."""
    complete: bool = True
    """Whether there was nothing that SQLite did not come to, because of what it had found by then."""

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            sentences=tuple(dict.fromkeys((*self.sentences, *other.sentences))),
            indexes=tuple(dict.fromkeys((*self.indexes, *other.indexes))),
            damage=self.damage or other.damage,
            unreadable=self.unreadable or other.unreadable,
            only_indexes=self.only_indexes or other.only_indexes,
            broken_rule=self.broken_rule or other.broken_rule,
            orphans=self.orphans + other.orphans,
            complete=self.complete and other.complete,
        )

    @property
    def lost(self) -> str | None:
        """The damage that no REINDEX puts right."""
        return self.damage or (None if self.only_indexes else self.unreadable)


def remedy(found: Findings) -> str:
    """What to do about it, in a sentence or two; "" where nothing was found."""
    if found.lost is not None:
        return "Restore a backup, or save what can be read with sqlite3 and its .recover. Then check again."
    does = []
    if found.indexes:
        does.append("Run reindex, which rebuilds damaged indexes from their tables.")
    if found.orphans:
        does.append(
            "PRAGMA foreign_key_check in sqlite3 lists the rows: delete them, or insert those that they refer to."
        )
    elif found.broken_rule is not None:
        does.append("Put right what is named, in the application or with sqlite3: it is the data, not the file.")
    return " ".join([*does, "Then check again."]) if does else ""


def findings_of(rows: Iterable[Sequence[Any]], places: Mapping[str, Place] = MappingProxyType({})) -> Findings:
    """Of the rows of `integrity_check` or `quick_check`. `places`: where the damage is, by what a row says of it.

    Rows that break a rule of their table are no damage: to put them right is up to whoever knows the data.
    """
    said = sentences_of(rows)
    named = {sentence: _index_in(sentence, places) for sentence in said}
    others = [sentence for sentence, name in named.items() if name is None]
    damage = next((sentence for sentence in others if not _OF_THE_ROWS.match(sentence)), None)
    return Findings(
        sentences=tuple(_with_place(sentence, places) for sentence in said),
        indexes=tuple(dict.fromkeys(name for name in named.values() if name is not None)),
        damage=None if damage is None else _with_place(damage, places),
        broken_rule=next(filter(_OF_THE_ROWS.match, others), None),
        complete=len(said) < MAX_FINDINGS,
    )


def sentences_of(rows: Iterable[Sequence[Any]]) -> tuple[str, ...]:
    """What the rows of a check say, one by one."""
    return tuple(line for (text,) in rows for line in _lines(str(text)) if line != FOUND_NOTHING)


def _with_place(sentence: str, places: Mapping[str, Place]) -> str:
    return places[sentence].sentence if sentence in places else sentence


def not_validated(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """The full-text indexes (FTS4) that SQLite could not look at, each with what it says.

    It says so of every one that holds no text: to compare it with that, it would need it.
    """
    found = [(text, _NOT_VALIDATED.fullmatch(text)) for (text,) in rows if isinstance(text, str)]
    return {match["table"]: text for text, match in found if match is not None}


def _lines(text: str) -> list[str]:
    """SQLite puts some findings into one row, below a heading."""
    if not text.startswith("*** in database"):
        return [text]
    return [line for line in text.split("\n")[1:] if line]


def _index_in(sentence: str, places: Mapping[str, Place]) -> str | None:
    if sentence in places:
        return places[sentence].index_to_rebuild
    found = _OF_AN_INDEX.fullmatch(sentence)
    return found["index"] if found else None


def orphans_of(rows: Iterable[Sequence[Any]]) -> Findings:
    """Of the rows of `foreign_key_check`: (table, rowid, parent table, number of the key).

    SQLite enforces foreign keys only for who asks for it: such rows are no damage.
    """
    counts: dict[tuple[str, str], tuple[int, Any]] = {}
    for table, rowid, parent, _ in rows:
        number, first = counts.get((table, parent), (0, rowid))
        counts[table, parent] = number + 1, first
    sentences = tuple(
        f"{number:,} rows of {table} refer to rows of {parent} that are not there"
        + ("" if first is None else f" (the first: rowid {first})")
        if number > 1
        else f"a row of {table} refers to a row of {parent} that is not there"
        + ("" if first is None else f" (rowid {first})")
        for (table, parent), (number, first) in counts.items()
    )
    orphans = sum(number for number, _ in counts.values())
    return Findings(sentences=sentences, broken_rule=next(iter(sentences), None), orphans=orphans)
