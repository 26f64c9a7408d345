"""How old the transaction ids and multixacts of tables are, and how VACUUM makes them younger."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.thresholds import MOST_IDS
from engine.targets.postgres.reading.reader import Reader

SOON: Final = 0.9
"""The share of the limit of autovacuum from which on a table is old."""
DANGER: Final = 1_000_000_000
"""Half of all transaction ids."""
EMERGENCY: Final = 1_600_000_000
"""From here on VACUUM itself leaves all else out by default."""

AGES: Final = ", ".join(
    f"""CASE WHEN c.relkind = 'p' THEN 0 ELSE greatest({age}(c.{column}), {age}(toast.{column})) END,
    least((SELECT current_setting('{limit}')::int8), (opt ->> '{limit}')::int8)"""
    for age, column, limit in (
        ("age", "relfrozenxid", "autovacuum_freeze_max_age"),
        ("mxid_age", "relminmxid", "autovacuum_multixact_freeze_max_age"),
    )
)
"""Ages of transaction ids and multixacts of a table, each with its limit."""
WITH_OPTIONS: Final = """FROM pg_class AS c LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
CROSS JOIN LATERAL (SELECT CASE WHEN c.reloptions IS NOT NULL THEN (
    SELECT jsonb_object_agg(split_part(o, '=', 1), split_part(o, '=', 2)) FROM unnest(c.reloptions) AS o) END
) AS own (opt)"""

_DATABASE_IS_OLD: Final = " OR ".join(
    f"{age}(d.{column}) >= least({SOON} * current_setting('{limit}')::int8, {DANGER})"
    for age, column, limit in (
        ("age", "datfrozenxid", "autovacuum_freeze_max_age"),
        ("mxid_age", "datminmxid", "autovacuum_multixact_freeze_max_age"),
    )
)
# No table is older than its database; the limit of one may be lower.
_OLD: Final = f"""
SELECT oid, xids, xid_limit, multixacts, multixact_limit, current_setting('vacuum_freeze_min_age')::int8,
    current_setting('vacuum_multixact_freeze_min_age')::int8
FROM (SELECT c.oid::int8, {AGES} {WITH_OPTIONS} WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND (c.reloptions IS NOT NULL
        OR (SELECT {_DATABASE_IS_OLD} FROM pg_database AS d WHERE d.datname = current_database())))
    AS one (oid, xids, xid_limit, multixacts, multixact_limit)
WHERE xids >= least({SOON} * xid_limit, {DANGER}) OR multixacts >= least({SOON} * multixact_limit, {DANGER})
"""
"""Of thousands of tables few are old: see `is_old`."""


_OLDER: Final = """
SELECT c.oid::int8 FROM pg_class AS c LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'm') AND greatest(age(c.relfrozenxid), age(toast.relfrozenxid)) >= %s
    AND greatest(mxid_age(c.relminmxid), mxid_age(toast.relminmxid)) >= %s
"""


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
    return {oid for (oid,) in await reader.rows(_OLDER, [xids, multixacts], row=(int,))}


async def aged_tables(reader: Reader) -> Mapping[int, Old]:
    """Tables with old transaction ids or multixacts, by oid. Raises TargetError."""
    found = {}
    row = (int, int, int, int, int, int, int)
    for oid, xids, xid_limit, multixacts, multixact_limit, xids_usual, multixacts_usual in await reader.rows(
        _OLD, row=row
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
