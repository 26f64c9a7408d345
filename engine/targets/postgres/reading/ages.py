"""How old the transaction ids and multixacts of tables are, and how VACUUM makes them younger."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.thresholds import MOST_IDS
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader

SOON: Final = 0.9
"""The share of the limit of autovacuum from which on a table is old."""
DANGER: Final = 1_000_000_000
"""Half of all transaction ids."""
EMERGENCY: Final = 1_600_000_000
"""From here on VACUUM itself leaves all else out by default."""


class Counter(StrEnum):
    """The counters that can wrap around."""

    XID = "transaction ids"
    MULTIXACT = "multixacts"


_SETTINGS: Final = {Counter.XID: "freeze", Counter.MULTIXACT: "multixact_freeze"}


@frozen
class Old:
    """The settings with which VACUUM makes a table young enough, and the reason."""

    settings: tuple[tuple[str, str], ...]
    reason: str
    age: int = 0
    """The age of its oldest transaction ids or multixacts."""

    @property
    def is_emergency(self) -> bool:
        """Whether its age alone counts: nothing else may take time."""
        return self.age >= EMERGENCY


NOT_OLD: Final = Old((), "")


def is_old(age: int, limit: int) -> bool:
    return age >= min(SOON * limit, DANGER)


def as_text(counter: Counter, age: int, limit: int) -> str:
    of_what = f"{age / limit:.0%} of autovacuum_{_SETTINGS[counter]}_max_age"
    if age >= DANGER:  # what a DBA has set is no longer what counts
        of_what = f"{age / MOST_IDS:.0%} of all that there are"
    return f"its oldest {counter} are {age:,} old, {of_what}"


def freeze_settings(counter: Counter, limit: int, usual: int) -> tuple[tuple[str, str], ...]:
    """Settings that make VACUUM scan all pages and freeze enough. By default it neither scans
    all pages of a table with its own limit, nor freezes all that is too old by that limit.

    `usual`: the age from which on VACUUM freezes. The server itself takes at most half of the limit.
    """
    name = _SETTINGS[counter]
    youngest = min(usual, int(min(limit, DANGER)) // 2)
    return (f"vacuum_{name}_table_age", "0"), (f"vacuum_{name}_min_age", str(youngest))


async def tables_older_than(reader: Reader, xids: int, multixacts: int) -> set[int]:
    """The oids of those that are at least so old by both. Raises TargetError."""
    return {oid for (oid,) in await reader.rows(query("tables_older_than"), [xids, multixacts], row=(int,))}


async def aged_tables(reader: Reader) -> Mapping[int, Old]:
    """Tables with old transaction ids or multixacts, by oid. Raises TargetError."""
    found = {}
    row = (int, int, int, int, int, int, int)
    for oid, xids, xid_limit, multixacts, multixact_limit, xids_usual, multixacts_usual in await reader.rows(
        query("old_tables", soon=SOON, danger=DANGER), row=row
    ):
        counted = (
            (Counter.XID, xids, xid_limit, xids_usual),
            (Counter.MULTIXACT, multixacts, multixact_limit, multixacts_usual),
        )
        old = [one for one in counted if is_old(one[1], one[2])]
        if old:
            settings = [pair for counter, _, limit, usual in old for pair in freeze_settings(counter, limit, usual)]
            found[oid] = Old(tuple(settings), as_text(*old[0][:3]), max(one[1] for one in old))
    return found
