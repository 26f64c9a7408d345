"""What the rows of a check mean: pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from engine.jobs import MOST_FINDINGS
from engine.values import frozen

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
            broken_rule=self.broken_rule or other.broken_rule,
            orphans=self.orphans + other.orphans,
            complete=self.complete and other.complete,
        )


def remedy(found: Findings) -> str:
    """What to do about it, in a sentence or two; "" where nothing was found."""
    if found.damage is not None:
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


def findings_of(rows: Iterable[Sequence[Any]]) -> Findings:
    """Of the rows of `integrity_check` or `quick_check`.

    Rows that break a rule of their table are no damage: to put them right is up to whoever knows the data.
    """
    sentences = tuple(line for (text,) in rows for line in _lines(str(text)) if line != FOUND_NOTHING)
    named = {sentence: _index_in(sentence) for sentence in sentences}
    others = [sentence for sentence, name in named.items() if name is None]
    return Findings(
        sentences=sentences,
        indexes=tuple(dict.fromkeys(name for name in named.values() if name is not None)),
        damage=next((sentence for sentence in others if not _OF_THE_ROWS.match(sentence)), None),
        broken_rule=next(filter(_OF_THE_ROWS.match, others), None),
        complete=len(sentences) < MOST_FINDINGS,
    )


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


def _index_in(sentence: str) -> str | None:
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
